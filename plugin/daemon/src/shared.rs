//! Work that answers all who asked for it before it began: of very many connections at once, each wants pluto to look at its
//! secrets, and to say what it has.

use tokio::sync::Mutex;

/// The last outcome of work, and how often that was begun.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    begun: std::sync::atomic::AtomicU64,
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self {
            begun: 0.into(),
            last: Mutex::new(None),
        }
    }
}

impl<T: Clone> Shared<T> {
    /// What came of `work`, by whomever it was done, begun after this was called.
    pub(crate) async fn run(&self, work: impl AsyncFnOnce() -> T) -> T {
        use std::sync::atomic::Ordering::SeqCst;
        let asked = self.begun.load(SeqCst);
        let mut last = self.last.lock().await;
        if let Some((number, outcome)) = &*last
            && *number > asked
        {
            return outcome.clone();
        }
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        let outcome = work().await;
        *last = Some((number, outcome.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_while_it_runs_gets_the_next_outcome() {
        let (shared, runs) = (Shared::default(), AtomicU32::new(0));
        let ask = || {
            shared.run(async || {
                tokio::task::yield_now().await;
                runs.fetch_add(1, SeqCst) + 1
            })
        };
        // The first begins at once; the others did not ask before that, and share the one that follows.
        assert_eq!(join_all((0..5).map(|_| ask())).await, [1, 2, 2, 2, 2]);
        assert_eq!(ask().await, 3);
    }

    #[tokio::test]
    async fn an_outcome_that_nobody_waited_for_is_nobodys() {
        let shared = Shared::<u32>::default();
        let abandoned = shared.run(async || std::future::pending().await);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(1), abandoned)
                .await
                .is_err()
        );
        assert_eq!(shared.run(async || 7).await, 7);
    }
}
