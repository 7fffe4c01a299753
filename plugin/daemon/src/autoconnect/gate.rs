//! When nothing may be brought up: in the middle of somebody's change, and where the host's boot would wait for itself.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, watch},
    time::Instant,
};

use crate::{
    networkmanager::{self, profiles::Profiles},
    systemd::{self, IPSEC_UNIT},
};

/// How long a change that is made under a checkpoint holds up connections that it has not touched.
const PATIENCE: Duration = Duration::from_secs(30);

/// Until something changes; looked again all the same, once a day.
const FOR_EVER: Duration = Duration::from_secs(86400);

/// What is known of NetworkManager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    /// Since when there has been a checkpoint: somebody is changing something, and ends that or takes it back.
    changing_since: Option<Instant>,
    /// NetworkManager is starting, and pluto's unit waits for it to have done so (`network-online.target`). What is brought
    /// up now would wait for pluto, and NetworkManager for what is brought up.
    is_deadlock: bool,
}

/// Held by whoever brings something up.
pub(super) type Open = OwnedRwLockReadGuard<()>;

/// The gate before all tries.
#[derive(Debug)]
pub(super) struct Gate {
    /// Held by our own transactions.
    turn: Arc<RwLock<()>>,
    known: watch::Sender<Known>,
}

impl Gate {
    pub(super) fn new(turn: Arc<RwLock<()>>) -> Self {
        Self {
            turn,
            known: watch::Sender::new(Known::default()),
        }
    }

    /// Asks NetworkManager and systemd how things are.
    pub(super) async fn look(&self, profiles: &Profiles) {
        let is_changing = profiles.checkpoints().await.is_ok_and(|known| !known.is_empty());
        let is_deadlock = networkmanager::is_starting(&profiles.bus).await
            && systemd::is_booted()
            && !systemd::is_active(&profiles.bus, IPSEC_UNIT)
                .await
                .unwrap_or(true);
        // Whoever waits is woken by what is new alone: all of them look when they are.
        self.known.send_if_modified(|known| {
            let before = *known;
            known.is_deadlock = is_deadlock;
            known.changing_since = is_changing.then(|| known.changing_since.unwrap_or_else(Instant::now));
            *known != before
        });
    }

    /// Whether somebody is in the middle of a change that may be about a profile which has been as it is since
    /// `unchanged_since`.
    pub(super) fn is_changing(&self, unchanged_since: Instant) -> bool {
        let known = *self.known.borrow();
        known.changing_since.is_some() && known.closed_for(unchanged_since, Instant::now()).is_some()
    }

    /// Waits until none of our own transactions is going on, and holds the next one up.
    pub(super) async fn turn(&self) -> Open {
        self.turn.clone().read_owned().await
    }

    /// Waits until a connection may be brought up whose profile has been as it is since `unchanged_since`.
    pub(super) async fn pass(&self, profiles: &Profiles, unchanged_since: Instant) -> Open {
        let mut changes = self.known.subscribe();
        loop {
            let open = self.turn().await;
            self.look(profiles).await;
            let Some(closed) = changes
                .borrow_and_update()
                .closed_for(unchanged_since, Instant::now())
            else {
                return open;
            };
            drop(open);
            tokio::select! {
                // The sender lives as long as this does.
                _ = changes.changed() => {}
                () = tokio::time::sleep(closed) => {}
            }
        }
    }
}

impl Known {
    /// How long at most a connection has to wait whose profile has been as it is since `unchanged_since`.
    fn closed_for(&self, unchanged_since: Instant, now: Instant) -> Option<Duration> {
        if self.is_deadlock {
            return Some(FOR_EVER);
        }
        let since = self.changing_since?;
        if unchanged_since >= since {
            return Some(FOR_EVER);
        }
        Some((since + PATIENCE).saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_holds_up_what_it_touches_and_for_a_while_the_rest() {
        let before = Instant::now();
        let begin = before + Duration::from_secs(1);
        let known = Known {
            changing_since: Some(begin),
            is_deadlock: false,
        };
        assert_eq!(known.closed_for(before, begin), Some(PATIENCE));
        assert_eq!(known.closed_for(before, begin + PATIENCE), None);
        assert_eq!(known.closed_for(begin, begin + PATIENCE), Some(FOR_EVER));
        assert_eq!(Known::default().closed_for(begin, begin), None);
    }

    #[test]
    fn nothing_begins_that_the_boot_would_wait_for() {
        let known = Known {
            changing_since: None,
            is_deadlock: true,
        };
        assert_eq!(known.closed_for(Instant::now(), Instant::now()), Some(FOR_EVER));
    }
}
