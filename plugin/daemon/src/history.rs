//! The last failures, for whoever asks why something is not up.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use nmstate_ipsec_core::daemon_api::Failure;

/// So many failures are kept; the journal has them all.
const KEPT: usize = 64;

/// The last failures of all connections, the oldest first.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Failure>>);

impl History {
    /// Keeps a failure that has just happened.
    pub fn keep(&self, connection: &str, uuid: &str, code: &str, text: &str) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() == KEPT {
            failures.pop_front();
        }
        failures.push_back(Failure {
            time: now(),
            connection: connection.to_owned(),
            uuid: uuid.to_owned(),
            code: code.to_owned(),
            text: text.to_owned(),
        });
    }

    /// The last failure of the connection since then, in microseconds since 1970.
    pub fn last(&self, uuid: &str, since: u64) -> Option<Failure> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = failures.iter().rfind(|failure| failure.uuid == uuid)?;
        (last.time >= since).then(|| last.clone())
    }

    /// The failures that are kept.
    pub fn kept(&self) -> Vec<Failure> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().cloned().collect()
    }
}

/// Now, as everything is dated: microseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_in_their_order() {
        let history = History::default();
        for number in 0..KEPT + 2 {
            history.keep("hosta_conn", "uuid", "peer-silent", &number.to_string());
        }
        let kept = history.kept();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].text.as_str(), kept[KEPT - 1].text.as_str()), ("2", "65"));
        assert!(kept[0].time > 0);
    }
}
