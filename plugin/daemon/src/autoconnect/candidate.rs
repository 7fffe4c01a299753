//! One profile that is to be up whenever it can be, as a pure state machine.
//!
//! ```text
//! Resting --ground, certificate, profile, somebody--> Trying --Up--> Active
//!    ^                                                 |  ^             |
//!    +-- taken down by hand, refused here, not ready --+  |  failed     |
//!                                                      v  | Due         |
//!                                                    Waiting <----------+ lost
//! ```

use std::net::IpAddr;

use nmstate_ipsec_core::daemon_api::Failure;
use tokio::time::Instant;
use zbus::zvariant::OwnedObjectPath;

use crate::backoff;

/// What a connection would be brought up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ground {
    /// The activation of the device that leads to the peer; nothing where NetworkManager finds one itself.
    pub(super) base: Option<OwnedObjectPath>,
    /// The address of this host from which the peer is reached.
    pub(super) me: Option<IpAddr>,
}

/// What is in the way of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// In words.
    pub(super) text: String,
    /// Whether it may come without anybody telling, as an answer of the DNS does.
    pub(super) comes_silently: bool,
}

/// What the profile wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To be up whenever it can be.
    Up,
    /// Nothing (`connection.autoconnect` is no).
    Nothing,
    /// To be brought up by its user: it is not the system's, or its secrets are not.
    Person,
}

/// Where a profile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// NetworkManager has it active; `true` if it is up, and not on its way there.
    Active(bool),
    /// It is being tried.
    Trying,
    /// It is tried again at this moment.
    Waiting(Instant),
    /// It waits until something changes.
    Resting(Rest),
}

/// What has to change before a profile is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// The profile.
    Unwanted,
    /// Its user has to bring it up.
    Person,
    /// Somebody took it down, and has to bring it up.
    ByHand,
    /// What this host refuses: the profile, a certificate, or the ground; the reason is in words.
    Refused(String),
    /// The ground.
    NotReady(String),
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    /// It is up.
    Up,
    /// Somebody took it down meanwhile.
    ByHand,
    /// It was not tried.
    NotReady(Missing),
    /// It failed for a reason with this code.
    Failed {
        /// [`nmstate_ipsec_core::reason::Reason::code`].
        code: String,
        /// The reason in words.
        text: String,
    },
    /// NetworkManager did not try it.
    Unable(String),
    /// Nobody wants it up any more.
    Withdrawn,
    /// There is no such profile.
    Gone,
}

impl From<Failure> for Came {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            code: failure.code,
            text: failure.text,
        }
    }
}

/// What happens to a profile.
#[derive(Debug)]
pub(super) enum Event {
    /// It is there, or has changed.
    Profile(Wish),
    /// A transaction wants it up again, whatever it says itself.
    Wanted,
    /// A transaction sees to it itself.
    Withdrawn,
    /// NetworkManager has it active; `true` if it is up.
    Active(bool),
    /// NetworkManager has it active no longer; the reason, if it failed.
    Inactive(Came),
    /// The end of a try.
    Ended(Came),
    /// What there is to bring it up on now.
    Ground(Result<Ground, Missing>),
    /// Certificates of this host have changed, or pluto runs again.
    HostChanged,
    /// The peer has called, and it has a tunnel that NetworkManager does not know of.
    Called,
    /// The moment of [`State::Waiting`].
    Due,
}

/// Codes of reasons that lie on this host or in the profile: another try would fail the same way.
const LOCAL: [&str; 9] = [
    "family-mismatch",
    "certificate-missing",
    "certificate-unusable",
    "certificate-expired",
    "secret-missing",
    "name-taken",
    "configuration-refused",
    "ikev1-off",
    "invalid-profile",
];

/// Codes of reasons for which a peer refuses. It may come to think otherwise, and nobody is told of that: it is asked
/// rarely.
const REFUSED: [&str; 7] = [
    "proposal-refused",
    "authentication-refused",
    "selectors-refused",
    "peer-authentication-failed",
    "certificate-untrusted",
    "certificate-identity",
    "password-refused",
];

/// So many failures does a refusal count for: it is tried again after four seconds, half a minute, four minutes.
const WEIGHT_OF_REFUSAL: u32 = 3;

/// A profile, and what was tried.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Where it is.
    pub(super) state: State,
    /// Tries that have failed since it was up.
    pub(super) failed: u32,
    /// What the last of them was to be brought up on.
    pub(super) ground: Option<Ground>,
    wish: Wish,
    /// Whether a transaction wants it up.
    is_wanted: bool,
    /// How long the next pause is, in failures.
    weight: u32,
    /// Whether something has changed during the try, which may not have seen it.
    again: bool,
    /// Whether somebody took it down during the try.
    by_hand: bool,
}

impl Candidate {
    /// A profile of which nothing is known yet. If `by_hand`, somebody took it down.
    pub(super) fn new(wish: Wish, by_hand: bool) -> Self {
        Self {
            state: State::Resting(if by_hand { Rest::ByHand } else { Rest::Unwanted }),
            failed: 0,
            ground: None,
            wish,
            is_wanted: false,
            weight: 0,
            again: false,
            by_hand: false,
        }
    }

    /// Whether it is to be up.
    pub(super) fn is_to_be_up(&self) -> bool {
        self.is_wanted || self.wish == Wish::Up
    }

    /// Whether nothing is to be waited for: it is up, or only a person can help.
    pub(super) fn is_settled(&self) -> bool {
        match &self.state {
            State::Active(is_up) => *is_up,
            State::Resting(rest) => !matches!(rest, Rest::NotReady(_)),
            _ => false,
        }
    }

    /// Takes it through `event` at the moment `now`; `true` means that a try begins.
    pub(super) fn step(&mut self, event: Event, now: Instant) -> bool {
        if self.state == State::Trying {
            self.again |= matches!(event, Event::Profile(_) | Event::HostChanged | Event::Ground(_));
            self.by_hand |= matches!(event, Event::Inactive(Came::ByHand));
            self.by_hand &= !matches!(event, Event::Active(_) | Event::Wanted);
        }
        match event {
            Event::Profile(wish) => self.profile(wish),
            Event::Wanted => {
                self.is_wanted = true;
                self.begin_unless_active()
            }
            Event::Withdrawn => {
                self.is_wanted = false;
                false
            }
            Event::Active(is_up) => {
                if self.state != State::Trying {
                    self.state = State::Active(is_up);
                }
                if is_up {
                    self.is_up();
                }
                false
            }
            Event::Inactive(came) if matches!(self.state, State::Active(_)) => self.ended(came, now),
            Event::Ended(came) if self.state == State::Trying => self.ended(came, now),
            Event::Ground(ground) => self.on(ground),
            Event::HostChanged => {
                let waits = matches!(self.state, State::Waiting(_) | State::Resting(Rest::Refused(_)));
                waits && self.begin_anew()
            }
            Event::Due | Event::Called if matches!(self.state, State::Waiting(_)) => self.begin(),
            Event::Inactive(_) | Event::Ended(_) | Event::Due | Event::Called => false,
        }
    }

    fn profile(&mut self, wish: Wish) -> bool {
        let was = std::mem::replace(&mut self.wish, wish);
        match self.state {
            State::Active(_) | State::Trying => false,
            // Nobody but who says that it is to be up lifts what somebody did by hand.
            State::Resting(Rest::ByHand) if was == wish || wish != Wish::Up => false,
            _ if self.is_to_be_up() => self.begin_anew(),
            _ => self.rest(),
        }
    }

    fn on(&mut self, ground: Result<Ground, Missing>) -> bool {
        if !matches!(
            self.state,
            State::Waiting(_) | State::Resting(Rest::NotReady(_) | Rest::Refused(_))
        ) {
            return false;
        }
        match ground {
            Ok(ground) if self.ground.as_ref() != Some(&ground) => self.begin_anew(),
            Ok(_) => false,
            Err(missing) => {
                if let State::Resting(Rest::NotReady(text)) = &mut self.state {
                    *text = missing.text;
                }
                false
            }
        }
    }

    /// Whether the try that is about to begin is still wanted.
    pub(super) fn is_still_tried(&self) -> bool {
        self.state == State::Trying && self.is_to_be_up() && !self.by_hand
    }

    fn ended(&mut self, came: Came, now: Instant) -> bool {
        let again = std::mem::take(&mut self.again);
        let by_hand = std::mem::take(&mut self.by_hand);
        match came {
            Came::Up => {
                self.state = State::Active(true);
                self.is_up();
                false
            }
            _ if by_hand || came == Came::ByHand => {
                self.is_wanted = false;
                self.state = State::Resting(Rest::ByHand);
                false
            }
            Came::Gone | Came::Withdrawn => self.rest(),
            _ if !self.is_to_be_up() => self.rest(),
            Came::NotReady(missing) => {
                self.ground = None;
                if missing.comes_silently || again {
                    return self.wait(1, now);
                }
                self.state = State::Resting(Rest::NotReady(missing.text));
                false
            }
            Came::Failed { code, text } if LOCAL.contains(&code.as_str()) && !again => {
                self.failed = self.failed.saturating_add(1);
                self.state = State::Resting(Rest::Refused(text));
                false
            }
            Came::Failed { code, .. } if REFUSED.contains(&code.as_str()) => {
                self.wait(WEIGHT_OF_REFUSAL, now)
            }
            Came::Failed { .. } | Came::Unable(_) | Came::ByHand => self.wait(1, now),
        }
    }

    fn is_up(&mut self) {
        (self.failed, self.weight) = (0, 0);
        self.is_wanted = false;
    }

    /// Nobody wants it up, or not without being there.
    fn rest(&mut self) -> bool {
        let rest = if self.wish == Wish::Person {
            Rest::Person
        } else {
            Rest::Unwanted
        };
        self.state = State::Resting(rest);
        false
    }

    fn wait(&mut self, weight: u32, now: Instant) -> bool {
        self.failed = self.failed.saturating_add(1);
        self.weight = self.weight.saturating_add(weight);
        self.state = State::Waiting(now + backoff::pause(self.weight));
        false
    }

    fn begin_unless_active(&mut self) -> bool {
        !matches!(self.state, State::Active(_) | State::Trying) && self.begin_anew()
    }

    /// Begins without regard to what has failed before.
    fn begin_anew(&mut self) -> bool {
        (self.failed, self.weight) = (0, 0);
        self.begin()
    }

    fn begin(&mut self) -> bool {
        (self.again, self.by_hand) = (false, false);
        self.state = State::Trying;
        true
    }
}

#[cfg(test)]
mod tests;
