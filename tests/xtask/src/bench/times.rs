//! What one kind of work took, in every run.

use std::time::{Duration, Instant};

use anyhow::Result;
use lab::world::World;

/// A line of a table: ours, and what it is compared with.
pub(super) struct Row<'a> {
    pub(super) work: &'a str,
    pub(super) ours: &'a Times,
    pub(super) plain: &'a Times,
}

/// Prints what is measured on what, and what the columns are.
pub(super) fn print_head(world: &World, runs: usize) -> Result<()> {
    let versions = "NetworkManager --version | sed 's/^/NetworkManager /'; ipsec --version; nmstatectl --version; uname -sr";
    let versions = world.left().shell(versions).run()?;
    println!("image {}: {}", world.image(), versions.trim().replace('\n', ", "));
    println!("median of {runs} runs, ours and plain libreswan in turns, seconds under emulation\n");
    print_columns();
    Ok(())
}

/// Prints what the columns are.
pub(super) fn print_columns() {
    println!(
        "{:<46} {:>6} {:>13} {:>6} {:>13} {:>6}",
        "work", "ours", "(range)", "plain", "(range)", "ratio"
    );
}

impl Row<'_> {
    /// Prints the line; `most` is what the ratio is to be at most.
    pub(super) fn print(&self, most: Option<f64>) {
        let range = |times: &Times| {
            let (least, most) = times.range();
            format!("({least:.2}-{most:.2})")
        };
        let ratio = self.ours.median() / self.plain.median();
        let most = most
            .map(|most| format!("  (to be at most {most})"))
            .unwrap_or_default();
        println!(
            "{:<46} {:>6.2} {:>13} {:>6.2} {:>13} {ratio:>6.2}{most}",
            self.work,
            self.ours.median(),
            range(self.ours),
            self.plain.median(),
            range(self.plain)
        );
    }
}

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

    /// Both, run by run.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let both = self.0.iter().zip(&other.0);
        Self(both.map(|(one, other)| *one + *other).collect())
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
