//! What is known of connections that somebody else than their workers brings up.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use nmstate_ipsec_core::daemon_api::ConnectionStatus;

/// A connection that is not up and is to be, or was taken down.
#[derive(Debug, Clone)]
pub struct Try {
    /// `connection.id`.
    pub name: String,
    /// Whether it is to be up.
    pub is_to_be_up: bool,
    /// Tries that have failed since it was up.
    pub failed: u32,
    /// When the next one begins, in microseconds since 1970; 0 if none is waited for.
    pub next: u64,
    /// What is waited for, in words.
    pub waits_for: String,
    /// Since when, in microseconds since 1970.
    pub since: u64,
}

impl Try {
    /// Puts what is known into the status of a connection.
    pub(super) fn tell(self, status: &mut ConnectionStatus) {
        // What pluto listens for, nobody else knows of.
        if matches!(status.state.as_str(), "down" | "lost") && self.is_to_be_up {
            WAITING.clone_into(&mut status.state);
        }
        if status.next_try == 0 {
            status.next_try = self.next;
        }
        status.failed_tries = status.failed_tries.max(self.failed);
        status.waits_for = self.waits_for;
    }

    /// Whether both say the same.
    fn is_same(&self, other: &Self) -> bool {
        let said = |known: &Self| (known.is_to_be_up, known.failed, known.waits_for.clone());
        said(self) == said(other) && self.next == other.next
    }
}

/// [`ConnectionStatus::state`] of a connection that is to be up and for which nothing is begun from here.
pub(super) const WAITING: &str = "waiting";

/// The connections that are to be up and are not, by UUID.
#[derive(Debug, Default)]
pub struct Tries(Mutex<HashMap<String, Try>>);

impl Tries {
    /// Keeps in mind what is known of a connection; nothing if it is up, or nobody wants it up. Whether that is new.
    pub fn set(&self, uuid: &str, known: Option<Try>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(known) if all.get(uuid).is_some_and(|before| before.is_same(&known)) => false,
            Some(known) => {
                all.insert(uuid.to_owned(), known);
                true
            }
            None => all.remove(uuid).is_some(),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> HashMap<String, Try> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_once() {
        let tries = Tries::default();
        let known = Try {
            name: "hosta_conn".into(),
            is_to_be_up: true,
            failed: 1,
            next: 7,
            waits_for: String::new(),
            since: 0,
        };
        assert!(tries.set("one", Some(known.clone())));
        assert!(!tries.set("one", Some(known)));
        assert_eq!(tries.all()["one"].failed, 1);
        assert!(tries.set("one", None));
        assert!(!tries.set("one", None) && tries.all().is_empty());
    }
}
