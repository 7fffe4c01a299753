//! How many stories are told at once, and how those that wait make room.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::STORIES_AT_ONCE;

/// Stories that may wait beside those that are told: a guest that idles needs memory alone.
pub(crate) const IDLE_AT_ONCE: usize = 2;

static TAKEN: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// Held while a story is told.
pub(crate) struct Place(());

/// Waits for a place.
pub(crate) fn take() -> Place {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = LEFT
        .wait_while(taken, |taken| *taken >= STORIES_AT_ONCE)
        .unwrap_or_else(PoisonError::into_inner);
    *taken += 1;
    Place(())
}

impl Drop for Place {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    LEFT.notify_one();
}

/// Lets time pass in a story, which is what it is about, and makes room for another one meanwhile.
pub(crate) fn idle(time: Duration) {
    beside(|| thread::sleep(time));
}

/// Waits in a story for what takes minutes and costs its guest little, and makes room for another one meanwhile.
pub(crate) fn beside<T>(wait: impl FnOnce() -> T) -> T {
    leave();
    let waited = wait();
    std::mem::forget(take());
    waited
}
