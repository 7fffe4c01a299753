use nmstate_ipsec_core::render::{LeftEnd, RightEnd};

use super::*;

fn ends() -> ResolvedEnds {
    ResolvedEnds {
        left: LeftEnd::DefaultRoute,
        right: RightEnd::Ip("192.0.2.252".parse().unwrap()),
    }
}

fn report(verb: &str) -> Updown {
    Updown::from_env([("PLUTO_VERB", verb), ("PLUTO_CONNECTION", "hosta_conn-5b2b1ea8")]).unwrap()
}

fn reported(verb: &str) -> Event {
    Event::Reported(Box::new(report(verb)))
}

fn failure() -> Reason {
    Reason::UpdownLost
}

/// Where `events` lead from `state`, and the effects of the last one.
fn from(state: State, events: impl IntoIterator<Item = Event>, one_pair: bool) -> (State, Vec<Effect>) {
    let mut reached = (state, Vec::new());
    for event in events {
        reached = step(reached.0, event, one_pair);
    }
    reached
}

fn after(events: impl IntoIterator<Item = Event>) -> (State, Vec<Effect>) {
    from(State::default(), events, true)
}

/// What follows when a connection is up.
fn announced(reports: Vec<Updown>) -> Vec<Effect> {
    vec![Effect::Announce(ends(), reports), Effect::Watch(ends())]
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
    events.push(reported("up-client"));
    events
}

/// A connection that was up and is being tried for again.
fn lost() -> State {
    after(up().into_iter().chain([Event::Lost, Event::Unloaded])).0
}

#[test]
fn one_pair_is_up_with_its_first_report() {
    let (state, effects) = after(up());
    assert!(matches!(state.phase, Phase::Up(..)));
    assert_eq!(effects, announced(vec![report("up-client")]));
    // whack's own end comes later and changes nothing.
    let (state, effects) = step(state, Event::Negotiated(Ok(Progress::Established)), true);
    assert!(matches!(state.phase, Phase::Up(..)) && effects.is_empty());
}

#[test]
fn several_pairs_are_up_when_pluto_says_so() {
    let mut events = up();
    events.push(reported("up-client"));
    let (state, effects) = from(State::default(), events, false);
    assert!(matches!(state.phase, Phase::Negotiating(..)) && effects.is_empty());
    let (_, effects) = step(state, Event::Negotiated(Ok(Progress::Established)), false);
    assert_eq!(effects, announced(vec![report("up-client"), report("up-client")]));
}

#[test]
fn a_tunnel_without_report_waits_for_it_and_a_trap_does_not() {
    let established = Event::Negotiated(Ok(Progress::Established));
    let (state, effects) = after(negotiating().into_iter().chain([established]));
    assert_eq!(effects, [Effect::AwaitReport(ends(), Progress::Established)]);
    assert!(matches!(
        step(state, reported("up-host"), true).0.phase,
        Phase::Up(..)
    ));
    // What is caught is kept, to be compared with the kernel.
    let routed = [reported("route-client"), Event::Negotiated(Ok(Progress::Routed))];
    let (_, effects) = after(negotiating().into_iter().chain(routed));
    assert_eq!(effects, announced(vec![report("route-client")]));
}

#[test]
fn a_route_does_not_complete_a_tunnel() {
    let routed = [
        reported("route-client"),
        Event::Negotiated(Ok(Progress::Established)),
    ];
    let (state, effects) = after(negotiating().into_iter().chain(routed));
    assert!(matches!(state.phase, Phase::Negotiating(..)));
    assert_eq!(effects, [Effect::AwaitReport(ends(), Progress::Established)]);
}

#[test]
fn preparing_is_no_progress() {
    let (state, effects) = after(negotiating().into_iter().chain([reported("prepare-client")]));
    assert!(matches!(state.phase, Phase::Negotiating(_, reports, _) if reports.is_empty()));
    assert!(effects.is_empty());
}

#[test]
fn every_first_failure_cleans_up_before_it_is_told() {
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
        let (state, effects) = after(events);
        assert_eq!(effects, [Effect::Unload]);
        let (state, effects) = step(state, Event::Unloaded, true);
        assert_eq!(
            (state, effects),
            (State::default(), vec![Effect::Fail(failure())])
        );
    }
}

#[test]
fn a_new_activation_waits_until_the_old_one_is_out_of_pluto() {
    let (state, effects) = step(after(up()).0, Event::Activate, true);
    assert_eq!(state.phase, Phase::Unloading(After::Activate));
    assert_eq!(effects, [Effect::Unload]);
    let (state, effects) = step(state, Event::Unloaded, true);
    assert_eq!((state.phase, effects), (Phase::Preparing, vec![Effect::Prepare]));
}

#[test]
fn the_last_wish_counts_while_unloading() {
    let wishes = [Event::Deactivate, Event::Activate, Event::Deactivate];
    let (state, _) = after(up().into_iter().chain(wishes));
    assert_eq!(state.phase, Phase::Unloading(After::Rest));
}

#[test]
fn a_loss_is_told_and_tried_for_at_once_without_starting_pluto() {
    let (state, effects) = step(after(up()).0, Event::Lost, true);
    assert_eq!(effects, [Effect::TellLost, Effect::Unload]);
    let (state, effects) = step(state, Event::Unloaded, true);
    assert_eq!(
        (&state.phase, effects),
        (&Phase::Preparing, vec![Effect::Prepare])
    );
    let (_, effects) = step(state, Event::Prepared(Ok(ends())), true);
    assert_eq!(effects, [Effect::Load(ends(), false)]);
}

#[test]
fn a_report_about_what_is_up_adds_to_it_and_one_of_its_end_is_left_to_the_kernel() {
    let pair = |client: &str| {
        let variables = [
            ("PLUTO_VERB", "up-client"),
            ("PLUTO_CONNECTION", "hosta_conn-5b2b1ea8"),
            ("PLUTO_PEER_CLIENT_NET", client),
            ("PLUTO_PEER_CLIENT_MASK", "255.255.255.255"),
        ];
        Updown::from_env(variables).unwrap()
    };
    let (one, other) = (pair("198.51.100.1"), pair("198.51.100.2"));
    let first = negotiating()
        .into_iter()
        .chain([Event::Reported(Box::new(one.clone()))]);
    let (state, effects) = from(after(first).0, [Event::Reported(Box::new(other.clone()))], true);
    assert_eq!(effects, announced(vec![one.clone(), other.clone()]));
    // A pair that comes back takes the place of what it was.
    let (state, effects) = step(state, Event::Reported(Box::new(one.clone())), true);
    assert_eq!(effects, announced(vec![one, other]));
    let (down, effects) = step(state.clone(), reported("down-client"), true);
    assert_eq!((down, effects), (state, Vec::new()));
}

#[test]
fn of_several_pairs_the_first_late_report_completes_what_pluto_has_done() {
    let established = Event::Negotiated(Ok(Progress::Established));
    let events = negotiating()
        .into_iter()
        .chain([established, reported("up-client")]);
    let (state, _) = from(State::default(), events, false);
    assert!(matches!(state.phase, Phase::Up(..)));
}

#[test]
fn without_pluto_nothing_is_tried_until_there_is_another() {
    let (unloading, _) = step(after(up()).0, Event::Lost, true);
    let (waiting, effects) = step(unloading, Event::WithoutPluto, true);
    assert_eq!((&waiting.phase, waiting.lost), (&Phase::Waiting, Some(0)));
    assert!(
        matches!(
            effects[..],
            [Effect::Note(Reason::PlutoDown { .. }), Effect::Wait(3)]
        ),
        "{effects:?}"
    );
    let (next, effects) = step(waiting, Event::Retry, true);
    assert_eq!((next.phase, effects), (Phase::Preparing, vec![Effect::Prepare]));
    // Who wanted it down, or has another wish, is served all the same.
    let (unloading, _) = step(after(up()).0, Event::Deactivate, true);
    assert_eq!(
        step(unloading, Event::WithoutPluto, true),
        (State::default(), Vec::new())
    );
}

#[test]
fn after_a_loss_every_failure_is_noted_and_tried_again_later() {
    let mut state = lost();
    for failed in 1..=3 {
        let (unloading, effects) = step(state, Event::Prepared(Err(failure())), true);
        assert_eq!(effects, [Effect::Note(failure()), Effect::Unload]);
        let (opening, effects) = step(unloading, Event::Unloaded, true);
        assert_eq!(
            (&opening.phase, effects),
            (&Phase::Opening(false), vec![Effect::Open])
        );
        // pluto may not take it either.
        let opened = if failed == 2 { Err(failure()) } else { Ok(ends()) };
        let (waiting, effects) = step(opening, Event::Opened(opened), true);
        assert_eq!(effects, [Effect::Wait(failed)]);
        let (next, effects) = step(waiting, Event::Retry, true);
        assert_eq!(effects, [Effect::Prepare]);
        state = next;
    }
    // Once it is up again, the next loss begins anew.
    let (state, _) = from(
        state,
        [
            Event::Prepared(Ok(ends())),
            Event::Loaded(Ok(())),
            reported("up-client"),
        ],
        true,
    );
    assert!(matches!(state.phase, Phase::Up(..)));
    assert_eq!(state.lost, None);
}

/// A connection that was lost and waits for its next try.
fn waiting() -> State {
    let failed = [
        Event::Prepared(Err(failure())),
        Event::Unloaded,
        Event::Opened(Ok(ends())),
    ];
    from(lost(), failed, true).0
}

#[test]
fn the_peer_may_call_while_the_next_try_is_waited_for() {
    let (state, effects) = step(waiting(), reported("up-client"), true);
    assert_eq!(effects, announced(vec![report("up-client")]));
    assert_eq!(state.lost, None);
    // One that never was up is listened for when somebody says so.
    let (listening, _) = after([Event::Listen, Event::Opened(Ok(ends()))]);
    assert_eq!(listening.phase, Phase::Listening(ends()));
    let (state, _) = step(listening.clone(), reported("up-client"), true);
    assert!(matches!(state.phase, Phase::Up(..)));
    let (state, _) = from(listening.clone(), [Event::Activate, Event::Unloaded], true);
    assert_eq!(state.phase, Phase::Preparing);
    assert_eq!(
        from(listening, [Event::Lost, Event::Unloaded], true).0,
        State::default()
    );
    assert_eq!(
        after([Event::Listen, Event::Opened(Err(failure())), Event::Unloaded]).0,
        State::default()
    );
}

#[test]
fn what_pluto_has_when_somebody_asks_for_it_is_negotiated_at_once() {
    let negotiating = Phase::Negotiating(ends(), Vec::new(), false);
    let opened = || Event::Opened(Ok(ends()));
    for events in [
        [Event::Listen, opened(), Event::Asked],
        [Event::Listen, Event::Asked, opened()],
    ] {
        let (state, effects) = after(events);
        assert_eq!((&state.phase, state.lost), (&negotiating, None));
        assert_eq!(effects, [Effect::Negotiate(ends())]);
        // A transaction was first; then NetworkManager asks as well.
        assert_eq!(step(state.clone(), Event::Asked, true), (state, Vec::new()));
    }
    // For the peer's sake pluto is not started, for somebody who asks it is.
    let asked = |reason| after([Event::Listen, Event::Asked, Event::Opened(Err(reason))]);
    let (state, effects) = asked(systemd::pluto_is_stopped());
    assert_eq!(state.phase, Phase::Unloading(After::Activate));
    assert_eq!(effects, [Effect::Unload]);
    assert_eq!(asked(failure()).0.phase, Phase::Unloading(After::Fail(failure())));
    // pluto has read the certificate that was there before.
    for (events, then) in [
        (vec![Event::Listen, Event::Renewed], After::Rest),
        (vec![Event::Listen, opened(), Event::Renewed], After::Rest),
        (vec![Event::Listen, Event::Asked, Event::Renewed], After::Activate),
    ] {
        assert_eq!(after(events).0.phase, Phase::Unloading(then));
    }
    let (state, _) = after([Event::Listen, Event::Asked, Event::Deactivate]);
    assert_eq!(state.phase, Phase::Unloading(After::Rest));
}

#[test]
fn a_connection_that_is_listened_for_and_lost_with_pluto_is_tried_when_that_is_due() {
    let (state, effects) = step(waiting(), Event::Lost, true);
    assert_eq!((&state.phase, effects), (&Phase::Waiting, Vec::new()));
    assert_eq!(step(state, Event::Retry, true).1, [Effect::Prepare]);
}

#[test]
fn waiting_ends_when_somebody_takes_it_down_or_wants_it_anew() {
    let waiting = waiting();
    assert_eq!(waiting.phase, Phase::Listening(ends()));
    let (state, _) = from(waiting.clone(), [Event::Deactivate, Event::Unloaded], true);
    assert_eq!(state, State::default());
    let (state, _) = from(waiting, [Event::Activate, Event::Unloaded], true);
    assert_eq!((state.phase, state.lost), (Phase::Preparing, None));
}

#[test]
fn a_restarted_daemon_adopts_what_is_up_and_brings_back_what_is_not() {
    let (state, effects) = after([Event::Register]);
    assert_eq!((&state.phase, effects), (&Phase::Adopting, vec![Effect::Adopt]));
    let known = vec![report("up-host")];
    let (adopted, effects) = step(state.clone(), Event::Adopted(Some((ends(), known.clone()))), true);
    assert_eq!(
        (adopted.phase, effects),
        (Phase::Up(ends(), known), vec![Effect::Watch(ends())])
    );
    let (gone, effects) = step(state, Event::Adopted(None), true);
    assert_eq!(gone.lost, Some(0));
    assert_eq!(effects, [Effect::TellLost, Effect::Unload]);
}

#[test]
fn news_of_work_that_was_given_up_changes_nothing() {
    for late in [
        Event::Adopted(Some((ends(), Vec::new()))),
        Event::Prepared(Ok(ends())),
        Event::Loaded(Ok(())),
        Event::Negotiated(Err(failure())),
        reported("up-client"),
        reported("down-client"),
        Event::Lost,
        Event::Retry,
        Event::Unloaded,
        Event::Deactivate,
    ] {
        assert_eq!(step(State::default(), late, true), (State::default(), Vec::new()));
    }
}

#[test]
fn one_that_has_lost_its_ike_sa_keeps_what_it_has_while_it_negotiates() {
    let orphaned = || up().into_iter().chain([Event::Orphaned]);
    let (state, effects) = after(orphaned());
    assert_eq!(effects, [Effect::TellLost, Effect::Negotiate(ends())]);
    let reports = vec![report("up-client")];
    assert_eq!(state.phase, Phase::Renegotiating(ends(), reports.clone()));

    // Its updown helper is not told again.
    let established = orphaned().chain([Event::Negotiated(Ok(Progress::Established))]);
    assert_eq!(after(established).1, announced(reports.clone()));
    let (state, effects) = after(orphaned().chain([reported("up-client")]));
    assert_eq!((effects, state.lost), (announced(reports), None));

    let refused = after(orphaned().chain([Event::Negotiated(Err(failure()))]));
    assert_eq!(refused.1, [Effect::Note(failure()), Effect::Unload]);
    let underway = after(orphaned().chain([Event::Negotiated(Ok(Progress::Underway))]));
    assert_eq!(underway.1, [Effect::Unload]);
    assert_eq!(underway.0.phase, Phase::Unloading(After::Retry));
    assert_eq!(after(orphaned().chain([Event::Deactivate])).1, [Effect::Unload]);
}

#[test]
fn a_connection_whose_certificate_is_another_one_is_loaded_in_its_own_place() {
    let renewed = || up().into_iter().chain([Event::Renewed]);
    let (state, effects) = after(renewed());
    assert_eq!(state.phase, Phase::Loading(ends()));
    assert_eq!(effects, [Effect::Reload(ends())]);
    let again = [Event::Loaded(Ok(())), reported("up-client")];
    let (state, effects) = after(renewed().chain(again));
    assert_eq!(state.lost, None);
    assert_eq!(effects, announced(vec![report("up-client")]));
    // The peer may refuse the new certificate: that is no reason to give the connection up.
    let (state, effects) = after(renewed().chain([Event::Loaded(Err(failure()))]));
    assert_eq!(state.phase, Phase::Unloading(After::Retry));
    assert_eq!(effects, [Effect::Note(failure()), Effect::Unload]);
}

#[test]
fn a_new_certificate_ends_a_try_with_the_old_one() {
    let early = negotiating().into_iter().chain([Event::Renewed]);
    assert_eq!(after(early).0.phase, Phase::Unloading(After::Activate));
    let tried = [Event::Prepared(Ok(ends())), Event::Renewed];
    assert_eq!(from(lost(), tried, true).0.phase, Phase::Unloading(After::Retry));
    assert_eq!(from(waiting(), [Event::Renewed], true).1, [Effect::Prepare]);
    assert_eq!(after([Event::Renewed]).0, State::default());
}
