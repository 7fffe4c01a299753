//! The life of one connection in the daemon as a pure state machine.
//!
//! ```text
//! Idle --Activate--> Preparing --Prepared--> Loading --Loaded--> Negotiating --Reported--> Up
//!  ^                  ^  |                      |                     |                    |
//!  |       Retry      |  +-- failure, Lost, Deactivate, Activate ----+--------------------+
//!  |                  |                         v
//!  |               Waiting <----- Retry --- Unloading --- Activate ---> Preparing
//!  +------------------------- Rest, Fail -------+
//!
//! Up --Orphaned--> Renegotiating --Negotiated, Reported--> Up
//! Up --Renewed---> Loading
//! Unloading --WithoutPluto--> Waiting
//! Unloading, Idle --Unloaded, Listen--> Opening --Opened--> Listening --Reported--> Up
//!                                          |                   |
//!                                          +----- Asked -------+---> Negotiating
//! ```
//! Whatever begins, `Unloading` comes before the connection begins anew or is idle, so that two
//! activations of one profile never meet in pluto. There are three exceptions. A connection that has lost nothing but its IKE SA
//! keeps its policies while it negotiates another, so that nothing leaves in clear; one whose certificate was renewed is
//! loaded in its own place; and what pluto was given before somebody asked for it is negotiated as it is. A connection that never was up fails;
//! one that was is tried for until somebody takes it down.

use nmstate_ipsec_core::{
    reason::Reason,
    render::ResolvedEnds,
    updown::{Action, Updown},
};

use crate::systemd;

/// Without pluto the next try is as far away as after so many failures more: it is for a watch that is blind.
const PAUSE_WITHOUT_PLUTO: u32 = 3;

/// A connection between two events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// Where it is.
    pub phase: Phase,
    /// Tries that have failed since the tunnel was lost; `None` unless it was up once.
    pub lost: Option<u32>,
}

/// Where a connection is.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Phase {
    /// pluto knows nothing of it.
    #[default]
    Idle,
    /// Whether pluto has it up already is being found out, for a daemon that was restarted.
    Adopting,
    /// Names are being resolved.
    Preparing,
    /// The connection and its secret are being handed to pluto.
    Loading(ResolvedEnds),
    /// pluto negotiates; what its updown helper has reported so far is kept, and whether pluto itself has
    /// nothing more to say.
    Negotiating(ResolvedEnds, Vec<Updown>, bool),
    /// Traffic passes, or a trap policy waits for it.
    Up(ResolvedEnds, Vec<Updown>),
    /// It has lost its IKE SA and negotiates another; what it has in pluto and in the kernel stays meanwhile.
    Renegotiating(ResolvedEnds, Vec<Updown>),
    /// Everything of it is being taken out of pluto.
    Unloading(After),
    /// It was lost, and the next try has yet to come.
    Waiting,
    /// It is being handed to pluto so that the peer can call; nothing is begun from here, unless somebody has asked for it
    /// meanwhile.
    Opening(bool),
    /// pluto has it and answers the peer; nothing is begun from here.
    Listening(ResolvedEnds),
}

/// What comes when a connection has been taken out of pluto.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    /// Nothing: it was asked to go down.
    Rest,
    /// The failure is told to whoever asked for the connection.
    Fail(Reason),
    /// The activation that was asked for meanwhile.
    Activate,
    /// Another try: at once after the loss, later after a failure.
    Retry,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event {
    /// Somebody wants it up; the profile may be a new one.
    Activate,
    /// Somebody is going to ask for it, and the peer is to be answered meanwhile.
    Listen,
    /// That somebody asks for what pluto was given, as it was given, or is about to.
    Asked,
    /// The end of [`Effect::Open`].
    Opened(Result<ResolvedEnds, Reason>),
    /// Somebody says that it has been up since before this daemon was.
    Register,
    /// The end of [`Effect::Adopt`]: the ends, and what reports would have said; nothing if pluto does not have it up.
    Adopted(Option<(ResolvedEnds, Vec<Updown>)>),
    /// The end of [`Effect::Prepare`].
    Prepared(Result<ResolvedEnds, Reason>),
    /// The end of [`Effect::Load`].
    Loaded(Result<(), Reason>),
    /// pluto's updown helper has reported.
    Reported(Box<Updown>),
    /// The end of [`Effect::Negotiate`].
    Negotiated(Result<Progress, Reason>),
    /// The kernel has no SA or no policy of it any more, or pluto has ended; or a name leads elsewhere now: the end of
    /// [`Effect::Watch`].
    Lost,
    /// A certificate that it uses is another one now.
    Renewed,
    /// Its IKE SA has gone together with another connection. pluto still has its child SAs, the peer has not.
    Orphaned,
    /// The time for another try has come, or what was missing is there: the end of [`Effect::Wait`].
    Retry,
    /// Somebody wants it down, or whoever wanted it up is gone.
    Deactivate,
    /// The end of [`Effect::Unload`].
    Unloaded,
    /// The same where pluto has ended, and who watches it will tell of the next one.
    WithoutPluto,
}

/// How far pluto came with a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// SAs are in place.
    Established,
    /// pluto was negotiating already and goes on.
    Underway,
    /// A trap policy waits for traffic.
    Routed,
}

/// What the worker then does. All but the last four run in the background and end in an event; the next of them ends
/// the one before.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Find out whether pluto has it up already.
    Adopt,
    /// Resolve names.
    Prepare,
    /// Hand connection and secret to pluto. With `true` pluto is started if it does not run; a connection
    /// that was lost waits for whoever stopped pluto.
    Load(ResolvedEnds, bool),
    /// Hand the connection to pluto in place of the one that is there; what that encrypted is held back.
    Reload(ResolvedEnds),
    /// Have pluto negotiate, or set a trap.
    Negotiate(ResolvedEnds),
    /// Fail unless the updown helper reports soon.
    AwaitReport(ResolvedEnds, Progress),
    /// Take the connection out of pluto; what runs in the background is given up.
    Unload,
    /// Hand the connection to pluto, for the peer to call.
    Open,
    /// Wait for the next try, the longer the more have failed.
    Wait(u32),
    /// Wait until the names in the profile lead to other addresses.
    Watch(ResolvedEnds),
    /// Tell whoever asked for the connection that it is up, and how.
    Announce(ResolvedEnds, Vec<Updown>),
    /// Tell them that it is down and being brought up again.
    TellLost,
    /// Tell them that it failed.
    Fail(Reason),
    /// Say in the journal why a try failed.
    Note(Reason),
}

/// Takes `state` through `event`. `one_pair` says that the profile has one pair of traffic selectors,
/// so that the first report of the updown helper completes it.
pub fn step(state: State, event: Event, one_pair: bool) -> (State, Vec<Effect>) {
    use Phase::{
        Adopting, Idle, Listening, Loading, Negotiating, Opening, Preparing, Renegotiating, Unloading, Up,
        Waiting,
    };
    let lost = state.lost;
    let (phase, effects) = match (state.phase, event) {
        (Idle, Event::Activate) | (Waiting | Listening(_), Event::Retry) => {
            (Preparing, vec![Effect::Prepare])
        }
        (Idle, Event::Listen) => (Opening(false), vec![Effect::Open]),
        (Opening(_), Event::Asked) => (Opening(true), Vec::new()),
        // For what is asked for pluto is started.
        (Opening(true), Event::Opened(Err(Reason::PlutoDown { .. }))) => unload(After::Activate),
        (Opening(false), Event::Opened(opened)) => return opened_or_not(lost, opened),
        // The peer has called.
        (Listening(ends), Event::Reported(report)) if report.verb.action == Action::Up => {
            up(ends, vec![*report])
        }
        // What pluto had is gone; who is to try it again does so.
        (Listening(_), Event::Lost) if lost.is_some() => (Waiting, Vec::new()),
        (Listening(_), Event::Lost) => unload(After::Rest),
        (Idle, Event::Register) => (Adopting, vec![Effect::Adopt]),
        (Adopting, Event::Adopted(Some((ends, reports)))) => (Up(ends, reports), vec![Effect::Watch(ends)]),
        (Adopting, Event::Adopted(None)) | (Up(..), Event::Lost) => return lose(),
        (Up(ends, reports), Event::Orphaned) => return negotiate_again(ends, reports),
        // pluto reads certificates when it is given a connection, and deletes the old one's SAs then.
        (Up(ends, _) | Renegotiating(ends, _), Event::Renewed) => return reload(ends),
        (Loading(_) | Negotiating(..), Event::Renewed) if lost.is_some() => unload(After::Retry),
        (Loading(_) | Negotiating(..) | Opening(true), Event::Renewed) => unload(After::Activate),
        (Opening(false) | Listening(_), Event::Renewed) if lost.is_none() => unload(After::Rest),
        (Waiting | Listening(_), Event::Renewed) if lost.is_some() => (Preparing, vec![Effect::Prepare]),
        // The updown helper is told only of what is new, and the policies are not.
        (Renegotiating(ends, reports), Event::Negotiated(Ok(Progress::Established))) => up(ends, reports),
        // What comes of somebody else's negotiation would not be heard.
        (Renegotiating(..), Event::Negotiated(Ok(_))) => unload(After::Retry),
        // That it went down is for the kernel to say: pluto may be resuming it elsewhere (MOBIKE), and one
        // pair of several, or an idle SA of a trap, may come and go.
        (Up(ends, reports) | Renegotiating(ends, reports), Event::Reported(report))
            if report.verb.action == Action::Up =>
        {
            further(ends, reports, *report)
        }
        (Preparing, Event::Prepared(Ok(ends))) => (Loading(ends), vec![Effect::Load(ends, lost.is_none())]),
        (Loading(ends), Event::Loaded(Ok(())))
        | (Opening(true), Event::Opened(Ok(ends)))
        | (Listening(ends), Event::Asked) => (
            Negotiating(ends, Vec::new(), false),
            vec![Effect::Negotiate(ends)],
        ),
        (Negotiating(ends, reports, done), Event::Reported(report)) => {
            reported(ends, reports, *report, one_pair || done, done)
        }
        (Negotiating(ends, reports, _), Event::Negotiated(Ok(progress))) => {
            negotiated(ends, reports, progress)
        }
        (Preparing, Event::Prepared(Err(reason)))
        | (Loading(_), Event::Loaded(Err(reason)))
        | (Opening(true), Event::Opened(Err(reason)))
        | (Negotiating(..) | Renegotiating(..), Event::Negotiated(Err(reason))) => return fail(lost, reason),
        (Unloading(_), Event::Activate | Event::Register) => (Unloading(After::Activate), Vec::new()),
        (Unloading(_), Event::Deactivate) => (Unloading(After::Rest), Vec::new()),
        (Unloading(After::Retry), Event::WithoutPluto) if lost.is_some() => return wait_for_pluto(lost),
        (Unloading(after), Event::Unloaded | Event::WithoutPluto) => return unloaded(after, lost),

        (phase, Event::Deactivate) if phase != Idle => unload(After::Rest),
        (phase, Event::Activate | Event::Register) if phase != Idle => unload(After::Activate),
        // Late ends of work that was given up, and reports of a tunnel that is going.
        (phase, _) => (phase, Vec::new()),
    };
    // Up and idle: whatever was lost before is over.
    let lost = lost.filter(|_| !matches!(phase, Up(..) | Idle));
    (State { phase, lost }, effects)
}

/// Everything of the connection is gone from pluto.
fn unloaded(after: After, lost: Option<u32>) -> (State, Vec<Effect>) {
    let (phase, lost, effects) = match (after, lost) {
        (After::Rest, _) => (Phase::Idle, None, Vec::new()),
        (After::Fail(reason), _) => (Phase::Idle, None, vec![Effect::Fail(reason)]),
        (After::Activate, _) => return begin(),
        (After::Retry, None | Some(0)) => (Phase::Preparing, lost, vec![Effect::Prepare]),
        // Two hosts that wait for their next tries in turn would never meet.
        (After::Retry, Some(_)) => (Phase::Opening(false), lost, vec![Effect::Open]),
    };
    (State { phase, lost }, effects)
}

/// pluto has the connection, or not: either way the next try is waited for, by whoever is going to make it.
fn opened_or_not(lost: Option<u32>, opened: Result<ResolvedEnds, Reason>) -> (State, Vec<Effect>) {
    let (phase, effects) = match (opened, lost) {
        (Ok(ends), Some(failed)) => (Phase::Listening(ends), vec![Effect::Wait(failed)]),
        (Ok(ends), None) => (Phase::Listening(ends), Vec::new()),
        (Err(_), Some(failed)) => (Phase::Waiting, vec![Effect::Wait(failed)]),
        (Err(_), None) => unload(After::Rest),
    };
    (State { phase, lost }, effects)
}

/// Nothing can be tried until there is another pluto.
fn wait_for_pluto(lost: Option<u32>) -> (State, Vec<Effect>) {
    let pause = lost.unwrap_or_default().saturating_add(PAUSE_WITHOUT_PLUTO);
    let state = State {
        phase: Phase::Waiting,
        lost,
    };
    let effects = vec![Effect::Note(systemd::pluto_is_stopped()), Effect::Wait(pause)];
    (state, effects)
}

fn begin() -> (State, Vec<Effect>) {
    let state = State {
        phase: Phase::Preparing,
        lost: None,
    };
    (state, vec![Effect::Prepare])
}

/// The tunnel that was up is gone: what is left of it is taken out of pluto, and it is tried for at once.
fn lose() -> (State, Vec<Effect>) {
    let state = State {
        phase: Phase::Unloading(After::Retry),
        lost: Some(0),
    };
    (state, vec![Effect::TellLost, Effect::Unload])
}

/// The connection that was up negotiates another IKE SA.
fn negotiate_again(ends: ResolvedEnds, reports: Vec<Updown>) -> (State, Vec<Effect>) {
    let state = State {
        phase: Phase::Renegotiating(ends, reports),
        lost: Some(0),
    };
    (state, vec![Effect::TellLost, Effect::Negotiate(ends)])
}

/// The connection that was up is to authenticate with another certificate.
fn reload(ends: ResolvedEnds) -> (State, Vec<Effect>) {
    let state = State {
        phase: Phase::Loading(ends),
        lost: Some(0),
    };
    (state, vec![Effect::Reload(ends)])
}

/// A try has failed: for good, or until the next one.
fn fail(lost: Option<u32>, reason: Reason) -> (State, Vec<Effect>) {
    let Some(failed) = lost else {
        let (phase, effects) = unload(After::Fail(reason));
        return (State { phase, lost }, effects);
    };
    let (phase, mut effects) = unload(After::Retry);
    effects.insert(0, Effect::Note(reason));
    (
        State {
            phase,
            lost: Some(failed.saturating_add(1)),
        },
        effects,
    )
}

fn reported(
    ends: ResolvedEnds,
    mut reports: Vec<Updown>,
    report: Updown,
    complete: bool,
    done: bool,
) -> (Phase, Vec<Effect>) {
    // What is routed is told before it is up, and of a trap nothing else.
    if !matches!(report.verb.action, Action::Up | Action::Route) {
        return (Phase::Negotiating(ends, reports, done), Vec::new());
    }
    let is_up = report.verb.action == Action::Up;
    reports.push(report);
    if is_up && complete {
        up(ends, reports)
    } else {
        (Phase::Negotiating(ends, reports, done), Vec::new())
    }
}

fn negotiated(ends: ResolvedEnds, reports: Vec<Updown>, progress: Progress) -> (Phase, Vec<Effect>) {
    let is_up = reports.iter().any(|report| report.verb.action == Action::Up);
    if progress != Progress::Routed && !is_up {
        return (
            Phase::Negotiating(ends, reports, true),
            vec![Effect::AwaitReport(ends, progress)],
        );
    }
    up(ends, reports)
}

/// A report about a tunnel that is up: another pair of it, or a pair that has come back.
fn further(ends: ResolvedEnds, mut reports: Vec<Updown>, report: Updown) -> (Phase, Vec<Effect>) {
    let key = |of: &Updown| (of.verb.action, of.my_client, of.peer_client);
    let same = |known: &Updown| key(known) == key(&report);
    match reports.iter().position(same) {
        Some(at) => reports[at] = report,
        None => reports.push(report),
    }
    up(ends, reports)
}

fn up(ends: ResolvedEnds, reports: Vec<Updown>) -> (Phase, Vec<Effect>) {
    (
        Phase::Up(ends, reports.clone()),
        vec![Effect::Announce(ends, reports), Effect::Watch(ends)],
    )
}

fn unload(after: After) -> (Phase, Vec<Effect>) {
    (Phase::Unloading(after), vec![Effect::Unload])
}

#[cfg(test)]
mod tests;
