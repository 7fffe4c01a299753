//! What one kind of work took, in every run.

use std::time::{Duration, Instant};

use anyhow::Result;

#[derive(Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = work()?;
        self.add(began.elapsed());
        Ok(done)
    }

    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The median in seconds.
    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted
            .get(sorted.len() / 2)
            .map_or(f64::NAN, Duration::as_secs_f64)
    }

    /// The least and the most in seconds.
    pub(super) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let seconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        (seconds(sorted.first()), seconds(sorted.last()))
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted
    }
}
