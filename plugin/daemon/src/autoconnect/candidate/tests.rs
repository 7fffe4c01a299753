use std::time::Duration;

use super::*;

fn failed(code: &str) -> Came {
    Came::Failed {
        code: code.into(),
        text: format!("because of {code}"),
    }
}

fn ground(path: &'static str) -> Ground {
    Ground {
        base: Some(OwnedObjectPath::try_from(path).unwrap()),
        me: None,
    }
}

/// A candidate that is being tried.
fn trying() -> Candidate {
    let mut candidate = Candidate::new(Wish::Up, false);
    assert!(candidate.step(Event::Profile(Wish::Up), Instant::now()));
    candidate
}

/// How long it waits.
fn pause(candidate: &Candidate, now: Instant) -> Duration {
    let State::Waiting(until) = candidate.state else {
        panic!("{candidate:?}")
    };
    until - now
}

#[test]
fn silence_is_answered_with_ever_longer_pauses_and_refusals_with_longer_ones() {
    let now = Instant::now();
    for (code, second, third) in [("peer-silent", 2, 4), ("proposal-refused", 32, 256)] {
        let mut candidate = trying();
        for (most, failures) in [(None, 1), (Some(second), 2), (Some(third), 3)] {
            assert!(!candidate.step(Event::Ended(failed(code)), now));
            if let Some(most) = most {
                let pause = pause(&candidate, now);
                assert!(
                    pause <= Duration::from_secs(most) && pause > Duration::from_secs(most / 2),
                    "{pause:?}"
                );
            }
            assert_eq!(candidate.failed, failures);
            assert!(candidate.step(Event::Due, now));
        }
    }
}

#[test]
fn what_this_host_refuses_waits_for_a_change() {
    let now = Instant::now();
    let changes: [fn() -> Event; 3] = [
        || Event::HostChanged,
        || Event::Profile(Wish::Up),
        || Event::Ground(Ok(ground("/one"))),
    ];
    for change in changes {
        let mut candidate = trying();
        assert!(!candidate.step(Event::Ended(failed("certificate-missing")), now));
        assert!(matches!(candidate.state, State::Resting(Rest::Refused(_))));
        assert!(!candidate.step(Event::Due, now));
        assert!(candidate.step(change(), now));
    }
}

#[test]
fn another_ground_ends_a_pause_and_the_same_does_not() {
    let now = Instant::now();
    let mut candidate = trying();
    candidate.ground = Some(ground("/one"));
    candidate.step(Event::Ended(failed("peer-silent")), now);
    assert!(!candidate.step(Event::Ground(Ok(ground("/one"))), now));
    assert_eq!(candidate.failed, 1);
    assert!(candidate.step(Event::Ground(Ok(ground("/other"))), now));
    assert_eq!(candidate.failed, 0);
}

#[test]
fn what_somebody_took_down_stays_down_until_somebody_brings_it_up() {
    let now = Instant::now();
    let mut candidate = trying();
    candidate.step(Event::Ended(Came::Up), now);
    assert!(!candidate.step(Event::Inactive(Came::ByHand), now));
    for event in [
        Event::HostChanged,
        Event::Ground(Ok(ground("/one"))),
        Event::Profile(Wish::Up),
        Event::Profile(Wish::Nothing),
        Event::Due,
    ] {
        assert!(!candidate.step(event, now));
        assert_eq!(candidate.state, State::Resting(Rest::ByHand));
    }
    // It said that it need not be up, and says that it is to be.
    assert!(candidate.step(Event::Profile(Wish::Up), now));
}

#[test]
fn a_loss_is_tried_at_once_where_it_is_wanted() {
    let now = Instant::now();
    let mut candidate = Candidate::new(Wish::Nothing, false);
    assert!(!candidate.step(Event::Profile(Wish::Nothing), now));
    candidate.step(Event::Active(true), now);
    let lost = || Event::Inactive(Came::Unable("its device has gone".into()));
    assert!(!candidate.step(lost(), now));
    assert_eq!(candidate.state, State::Resting(Rest::Unwanted));
    candidate.step(Event::Active(true), now);
    candidate.step(Event::Profile(Wish::Up), now);
    assert!(!candidate.step(lost(), now));
    assert!(pause(&candidate, now) <= backoff::FIRST);
}

#[test]
fn what_a_transaction_wants_is_wanted_until_it_is_up() {
    let now = Instant::now();
    let mut candidate = Candidate::new(Wish::Nothing, true);
    assert!(candidate.step(Event::Wanted, now));
    candidate.step(Event::Ended(failed("peer-silent")), now);
    assert!(candidate.step(Event::Due, now));
    candidate.step(Event::Ended(Came::Up), now);
    assert!(!candidate.is_to_be_up());
    // And not when the transaction sees to it itself.
    candidate.step(Event::Wanted, now);
    candidate.step(Event::Withdrawn, now);
    assert!(!candidate.step(Event::Inactive(failed("peer-silent")), now));
    assert_eq!(candidate.state, State::Resting(Rest::Unwanted));
}

#[test]
fn what_happens_during_a_try_is_not_lost() {
    let now = Instant::now();
    // The fault may be mended already.
    let mut candidate = trying();
    candidate.step(Event::HostChanged, now);
    candidate.step(Event::Ended(failed("certificate-missing")), now);
    assert!(matches!(candidate.state, State::Waiting(_)));
    // It is not wanted any more.
    let mut candidate = trying();
    candidate.step(Event::Profile(Wish::Nothing), now);
    assert!(!candidate.is_still_tried());
    candidate.step(Event::Ended(Came::Withdrawn), now);
    assert_eq!(candidate.state, State::Resting(Rest::Unwanted));
    // Somebody was quicker, and thought better of it.
    let mut candidate = trying();
    candidate.step(Event::Active(true), now);
    candidate.step(Event::Inactive(Came::ByHand), now);
    assert!(!candidate.is_still_tried());
    candidate.step(Event::Ended(Came::Withdrawn), now);
    assert_eq!(candidate.state, State::Resting(Rest::ByHand));
}

#[test]
fn what_needs_a_person_is_left_to_one() {
    let now = Instant::now();
    let mut candidate = Candidate::new(Wish::Person, false);
    assert!(!candidate.step(Event::Profile(Wish::Person), now));
    assert_eq!(candidate.state, State::Resting(Rest::Person));
    assert!(candidate.is_settled());
}

#[test]
fn a_name_that_does_not_resolve_is_looked_up_again_and_a_missing_device_is_waited_for() {
    let now = Instant::now();
    let missing = |comes_silently| {
        Came::NotReady(Missing {
            text: "there is none".into(),
            comes_silently,
        })
    };
    let mut candidate = trying();
    candidate.step(Event::Ended(missing(true)), now);
    assert!(candidate.step(Event::Due, now));
    candidate.step(Event::Ended(missing(false)), now);
    assert!(!candidate.is_settled());
    assert!(!candidate.step(Event::Due, now));
    assert!(candidate.step(Event::Ground(Ok(ground("/one"))), now));
}
