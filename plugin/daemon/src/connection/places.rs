//! How many are loaded into pluto or negotiate at once: very many, as after its restart, only hinder each other.

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Most connections that have a place at once.
const AT_ONCE: usize = 16;

/// The places of a host.
#[derive(Debug)]
pub struct Places {
    free: Semaphore,
    taken: watch::Sender<usize>,
}

/// Had by one who is loaded or negotiates.
#[derive(Debug)]
pub(super) struct Place<'a> {
    places: &'a Places,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            free: Semaphore::new(AT_ONCE),
            taken: watch::Sender::new(0),
        }
    }

    /// Waits for a place.
    pub(super) async fn take(&self) -> Place<'_> {
        let permit = self.free.acquire().await.ok();
        self.taken.send_modify(|taken| *taken += 1);
        Place {
            places: self,
            _permit: permit,
        }
    }

    /// Waits until nobody has one.
    pub(super) async fn are_free(&self) {
        // The sender lives as long as this.
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn they_are_free_when_the_last_has_left() {
        let places = Places::new();
        places.are_free().await;
        let (one, other) = (places.take().await, places.take().await);
        drop(one);
        let free = tokio::time::timeout(Duration::from_millis(50), places.are_free());
        assert!(free.await.is_err());
        drop(other);
        places.are_free().await;
    }
}
