//! When connections that are down are tried next by somebody else than their workers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::history::now;

/// When the next try begins, in microseconds since 1970, by UUID.
#[derive(Debug, Clone, Default)]
pub struct Tries(Arc<Mutex<HashMap<String, u64>>>);

impl Tries {
    /// Waits for the next try of a connection; meanwhile it is known when that begins.
    pub async fn wait(&self, uuid: &str, pause: Duration) {
        let at = now().saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        let _known = Known::new(self, uuid, at);
        tokio::time::sleep(pause).await;
    }

    /// When a connection is tried next; 0 if nobody waits for that.
    pub(super) fn next(&self, uuid: &str) -> u64 {
        let tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.get(uuid).copied().unwrap_or_default()
    }
}

/// What is known as long as somebody waits.
struct Known<'a> {
    tries: &'a Tries,
    uuid: &'a str,
}

impl<'a> Known<'a> {
    fn new(tries: &'a Tries, uuid: &'a str, at: u64) -> Self {
        let mut all = tries.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(uuid.to_owned(), at);
        Self { tries, uuid }
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        let mut all = self.tries.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(self.uuid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_try_is_known_as_long_as_somebody_waits_for_it() {
        let tries = Tries::default();
        let waiting = tries.wait("one", Duration::from_secs(60));
        let looking = async { tries.next("one") };
        tokio::select! {
            biased;
            () = waiting => panic!("a minute has passed"),
            next = looking => assert!(next > now()),
        }
        assert_eq!(tries.next("one"), 0);
        assert_eq!(tries.next("other"), 0);
    }
}
