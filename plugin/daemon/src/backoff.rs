//! How long a connection waits between two tries.

use std::time::Duration;

/// The first wait.
pub const FIRST: Duration = Duration::from_secs(1);

/// The longest.
pub const LONGEST: Duration = Duration::from_secs(300);

/// How long the next try waits after `failed` ones: twice as long each time, from a second to five minutes, and not until
/// the same moment as others.
pub fn pause(failed: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let most = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    most.mul_f64(0.75 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_differ() {
        for failed in 0..40 {
            let most = FIRST
                .mul_f64(2_f64.powi(i32::try_from(failed).unwrap().max(1) - 1))
                .min(LONGEST);
            let pause = pause(failed);
            assert!(
                pause <= most && pause >= most.mul_f64(0.75),
                "{failed}: {pause:?}"
            );
        }
        let pauses: std::collections::HashSet<Duration> = (0..20).map(|_| pause(9)).collect();
        assert!(pauses.len() > 1);
    }
}
