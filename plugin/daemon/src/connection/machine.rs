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
        (Preparing, Event::Prepared(Ok(ends))) => (Loading(ends), vec![Effect::Load(ends)]),
        (Loading(ends), Event::Loaded(Ok(()))) => {
            (Negotiating(ends, Vec::new()), vec![Effect::Negotiate(ends)])
        }
        (Negotiating(ends, reports), Event::Reported(report)) => reported(ends, reports, *report, one_pair),
        (Negotiating(ends, reports), Event::Negotiated(Ok(progress))) => {
            if progress != Progress::Routed && reports.is_empty() {
                return (
                    Negotiating(ends, reports),
                    vec![Effect::AwaitReport(ends, progress)],
                );
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
    if one_pair {
        up(ends, reports)
    } else {
        (State::Negotiating(ends, reports), Vec::new())
    }
}

fn up(ends: ResolvedEnds, reports: Vec<Updown>) -> (State, Vec<Effect>) {
    (
        State::Up(ends, reports.clone()),
        vec![Effect::Announce(ends, reports)],
    )
}

fn unload(after: After) -> (State, Vec<Effect>) {
    (State::Unloading(after), vec![Effect::Unload])
}

#[cfg(test)]
mod tests {
    use super::*;
    use nmstate_ipsec_core::render::{LeftEnd, RightEnd};

    fn ends() -> ResolvedEnds {
        ResolvedEnds {
            left: LeftEnd::DefaultRoute,
            right: RightEnd::Ip("192.0.2.252".parse().unwrap()),
        }
    }

    fn report(verb: &str) -> Updown {
        Updown::from_env([("PLUTO_VERB", verb), ("PLUTO_CONNECTION", "hosta_conn-5b2b1ea8")]).unwrap()
    }

    fn failure() -> Reason {
        Reason::UpdownLost
    }

    /// The state after `events`, and the effects of the last one.
    fn after(events: impl IntoIterator<Item = Event>, one_pair: bool) -> (State, Vec<Effect>) {
        let mut reached = (State::Idle, Vec::new());
        for event in events {
            reached = step(reached.0, event, one_pair);
        }
        reached
    }

    fn negotiating() -> Vec<Event> {
        vec![
            Event::Activate,
            Event::Prepared(Ok(ends())),
            Event::Loaded(Ok(())),
        ]
    }

    fn up() -> Vec<Event> {
        let mut events = negotiating();
        events.push(Event::Reported(Box::new(report("up-client"))));
        events
    }

    #[test]
    fn one_pair_is_up_with_its_first_report() {
        let (state, effects) = after(up(), true);
        assert!(matches!(state, State::Up(..)));
        assert_eq!(effects, [Effect::Announce(ends(), vec![report("up-client")])]);
        // whack's own end comes later and changes nothing.
        let (state, effects) = step(state, Event::Negotiated(Ok(Progress::Established)), true);
        assert!(matches!(state, State::Up(..)) && effects.is_empty());
    }

    #[test]
    fn several_pairs_are_up_when_pluto_says_so() {
        let mut events = up();
        events.push(Event::Reported(Box::new(report("up-client"))));
        assert!(matches!(after(up(), false).0, State::Negotiating(..)));
        events.push(Event::Negotiated(Ok(Progress::Established)));
        let (_, effects) = after(events, false);
        assert_eq!(
            effects,
            [Effect::Announce(
                ends(),
                vec![report("up-client"), report("up-client")]
            )]
        );
    }

    #[test]
    fn a_tunnel_without_report_waits_for_it_and_a_trap_does_not() {
        let mut events = negotiating();
        events.push(Event::Negotiated(Ok(Progress::Established)));
        let (state, effects) = after(events, true);
        assert_eq!(effects, [Effect::AwaitReport(ends(), Progress::Established)]);
        assert!(matches!(
            step(state, Event::Reported(Box::new(report("up-host"))), true).0,
            State::Up(..)
        ));
        let mut events = negotiating();
        events.push(Event::Negotiated(Ok(Progress::Routed)));
        assert!(matches!(after(events, true).0, State::Up(..)));
    }

    #[test]
    fn preparing_is_no_progress() {
        let mut events = negotiating();
        events.push(Event::Reported(Box::new(report("prepare-client"))));
        assert!(matches!(after(events, true).0, State::Negotiating(_, reports) if reports.is_empty()));
    }

    #[test]
    fn every_failure_cleans_up_before_it_is_told() {
        let at_each_step: [Vec<Event>; 3] = [
            vec![Event::Activate, Event::Prepared(Err(failure()))],
            vec![
                Event::Activate,
                Event::Prepared(Ok(ends())),
                Event::Loaded(Err(failure())),
            ],
            negotiating()
                .into_iter()
                .chain([Event::Negotiated(Err(failure()))])
                .collect(),
        ];
        for events in at_each_step {
            let (state, effects) = after(events, true);
            assert_eq!(effects, [Effect::Unload]);
            assert_eq!(
                step(state, Event::Unloaded, true),
                (State::Idle, vec![Effect::Fail(failure())])
            );
        }
    }

    #[test]
    fn a_new_activation_waits_until_the_old_one_is_out_of_pluto() {
        let (state, effects) = step(after(up(), true).0, Event::Activate, true);
        assert_eq!(
            (state.clone(), effects),
            (State::Unloading(After::Activate), vec![Effect::Unload])
        );
        assert_eq!(
            step(state, Event::Unloaded, true),
            (State::Preparing, vec![Effect::Prepare])
        );
    }

    #[test]
    fn the_last_wish_counts_while_unloading() {
        let mut events = up();
        events.extend([Event::Deactivate, Event::Activate, Event::Deactivate]);
        assert_eq!(after(events, true).0, State::Unloading(After::Rest));
    }

    #[test]
    fn news_of_work_that_was_given_up_changes_nothing() {
        for late in [
            Event::Prepared(Ok(ends())),
            Event::Loaded(Ok(())),
            Event::Negotiated(Err(failure())),
            Event::Reported(Box::new(report("up-client"))),
            Event::Unloaded,
            Event::Deactivate,
        ] {
            assert_eq!(step(State::Idle, late, true), (State::Idle, Vec::new()));
        }
    }
}
