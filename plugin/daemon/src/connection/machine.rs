//! The life of one connection in the daemon as a pure state machine.
//!
//! ```text
//! Idle --Activate--> Preparing --Prepared--> Loading --Loaded--> Negotiating --Reported--> Up
//!  ^                     |                      |                     |                    |
//!  +----- Unloaded ------+---- any failure or Deactivate: Unloading --+--------------------+
//! ```
//! Whatever begins, `Unloading` comes before the connection is idle again, so that two activations of
//! one profile never meet in pluto.

use nmstate_ipsec_core::{
    reason::Reason,
    render::ResolvedEnds,
    updown::{Action, Updown},
};

/// Where a connection is.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum State {
    /// pluto knows nothing of it.
    #[default]
    Idle,
    /// Names are being resolved.
    Preparing,
    /// The connection and its secret are being handed to pluto, which is started if it does not run.
    Loading(ResolvedEnds),
    /// pluto negotiates; what its updown helper has reported so far is kept.
    Negotiating(ResolvedEnds, Vec<Updown>),
    /// Traffic passes, or a trap policy waits for it.
    Up(ResolvedEnds, Vec<Updown>),
    /// Everything of it is being taken out of pluto.
    Unloading(After),
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
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event {
    /// Somebody wants it up; the profile may be a new one.
    Activate,
    /// The end of [`Effect::Prepare`].
    Prepared(Result<ResolvedEnds, Reason>),
    /// The end of [`Effect::Load`].
    Loaded(Result<(), Reason>),
    /// pluto's updown helper has reported.
    Reported(Box<Updown>),
    /// The end of [`Effect::Negotiate`].
    Negotiated(Result<Progress, Reason>),
    /// Somebody wants it down, or whoever wanted it up is gone.
    Deactivate,
    /// The end of [`Effect::Unload`].
    Unloaded,
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

/// What the worker then does. All but the last two run in the background and end in an event.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Resolve names.
    Prepare,
    /// Start pluto if need be, hand it connection and secret.
    Load(ResolvedEnds),
    /// Have pluto negotiate, or set a trap.
    Negotiate(ResolvedEnds),
    /// Fail unless the updown helper reports soon.
    AwaitReport(ResolvedEnds, Progress),
    /// Take the connection out of pluto; what runs in the background is given up.
    Unload,
    /// Tell whoever asked for the connection that it is up, and how.
    Announce(ResolvedEnds, Vec<Updown>),
    /// Tell them that it failed.
    Fail(Reason),
}

/// Takes `state` through `event`. `one_pair` says that the profile has one pair of traffic selectors,
/// so that the first report of the updown helper completes it.
pub fn step(state: State, event: Event, one_pair: bool) -> (State, Vec<Effect>) {
    use State::{Idle, Loading, Negotiating, Preparing, Unloading, Up};
    match (state, event) {
        (Idle, Event::Activate) => (Preparing, vec![Effect::Prepare]),
        (Preparing, Event::Prepared(Ok(ends))) => (Loading(ends.clone()), vec![Effect::Load(ends)]),
        (Loading(ends), Event::Loaded(Ok(()))) => {
            (Negotiating(ends.clone(), Vec::new()), vec![Effect::Negotiate(ends)])
        }
        (Negotiating(ends, reports), Event::Reported(report)) => reported(ends, reports, *report, one_pair),
        (Negotiating(ends, reports), Event::Negotiated(Ok(progress))) => {
            if progress != Progress::Routed && reports.is_empty() {
                return (Negotiating(ends.clone(), reports), vec![Effect::AwaitReport(ends, progress)]);
            }
            up(ends, reports)
        }
        (Preparing, Event::Prepared(Err(reason)))
        | (Loading(_), Event::Loaded(Err(reason)))
        | (Negotiating(..), Event::Negotiated(Err(reason))) => unload(After::Fail(reason)),
        (Preparing | Loading(_) | Negotiating(..) | Up(..), Event::Deactivate) => unload(After::Rest),
        (Preparing | Loading(_) | Negotiating(..) | Up(..), Event::Activate) => unload(After::Activate),
        (Unloading(_), Event::Activate) => (Unloading(After::Activate), Vec::new()),
        (Unloading(_), Event::Deactivate) => (Unloading(After::Rest), Vec::new()),
        (Unloading(After::Rest), Event::Unloaded) => (Idle, Vec::new()),
        (Unloading(After::Fail(reason)), Event::Unloaded) => (Idle, vec![Effect::Fail(reason)]),
        (Unloading(After::Activate), Event::Unloaded) => (Preparing, vec![Effect::Prepare]),
        // Late ends of work that was given up, and reports of a tunnel that is going.
        (state, _) => (state, Vec::new()),
    }
}

fn reported(
    ends: ResolvedEnds,
    mut reports: Vec<Updown>,
    report: Updown,
    one_pair: bool,
) -> (State, Vec<Effect>) {
    if report.verb.action != Action::Up {
        return (State::Negotiating(ends, reports), Vec::new());
    }
    reports.push(report);
    if one_pair { up(ends, reports) } else { (State::Negotiating(ends, reports), Vec::new()) }
}

fn up(ends: ResolvedEnds, reports: Vec<Updown>) -> (State, Vec<Effect>) {
    (State::Up(ends.clone(), reports.clone()), vec![Effect::Announce(ends, reports)])
}

fn unload(after: After) -> (State, Vec<Effect>) {
    (State::Unloading(after), vec![Effect::Unload])
}
