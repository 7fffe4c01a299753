//! How many checks and tests passed, failed or were skipped.

use std::fmt;

/// The sum of everything that was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that either passed or failed.
    pub(crate) fn of(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    /// Adds another sum to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// What a line printed by a test program adds, such as
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; ...`.
    pub(crate) fn of_line(line: &str) -> Self {
        if line.starts_with("SKIP ") {
            return Self {
                skipped: 1,
                ..Self::default()
            };
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return Self::default();
        };
        let count = |what: &str| {
            let words: Vec<&str> = result
                .split([' ', ';', '.'])
                .filter(|word| !word.is_empty())
                .collect();
            let pair = words.windows(2).find(|pair| pair[1] == what);
            pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
        };
        Self {
            passed: count("passed"),
            failed: count("failed"),
            skipped: count("ignored"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn lines_of_test_programs_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 9 filtered out; finished in 1.0s";
        assert_eq!(
            Tally::of_line(line),
            Tally {
                passed: 12,
                failed: 3,
                skipped: 1
            }
        );
        assert_eq!(
            Tally::of_line("SKIP bus: no dbus-daemon"),
            Tally {
                skipped: 1,
                ..Tally::default()
            }
        );
        assert_eq!(Tally::of_line("test result_of_parsing ... ok"), Tally::default());
    }

    #[test]
    fn the_sum_is_told_in_one_line() {
        let mut tally = Tally::of(true);
        tally.add(Tally::of(false));
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
    }
}
