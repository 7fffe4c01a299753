//! What the crates log, on standard error, in upstream's form.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::time;

/// Modules whose debugging messages quote whole profiles and policies, secrets included.
const TELLING: [&str; 3] = [
    "nmstate::nm::nm_dbus::nm_api",
    "nmstate::policy",
    "nmstate::revert",
];

/// Writes what is of the wanted modules.
struct Lines {
    is_of_all: bool,
    level: LevelFilter,
}

/// Begins to log: nmstate's own messages, with one `verbose` its debugging too, with two everybody's.
pub(super) fn begin(verbose: u8, quiet: bool) {
    if quiet {
        return;
    }
    let level = match verbose {
        0 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    let lines = Lines {
        is_of_all: verbose > 1,
        level,
    };
    // Only somebody else's logger is in the way, and there is none.
    if log::set_boxed_logger(Box::new(lines)).is_ok() {
        log::set_max_level(level);
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let is_telling =
            metadata.level() >= Level::Debug && TELLING.iter().any(|module| target.starts_with(module));
        metadata.level() <= self.level && !is_telling && (self.is_of_all || target.starts_with("nmstate"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // There is nowhere to say that standard error takes nothing.
            let _ = writeln!(
                std::io::stderr().lock(),
                "[{} {:<5} {}] {}",
                time::now(),
                record.level(),
                record.target(),
                record.args()
            );
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(lines: &Lines, target: &str, level: Level) -> bool {
        lines.enabled(&Metadata::builder().target(target).level(level).build())
    }

    #[test]
    fn modules_that_tell_secrets_are_not_logged() {
        let all = Lines {
            is_of_all: true,
            level: LevelFilter::Debug,
        };
        assert!(takes(&all, "nispor::query", Level::Debug));
        assert!(takes(&all, "nmstate::policy::template", Level::Info));
        assert!(!takes(&all, "nmstate::policy::template", Level::Debug));
        assert!(!takes(&all, "nmstate::nm::nm_dbus::nm_api", Level::Debug));
        let few = Lines {
            is_of_all: false,
            level: LevelFilter::Info,
        };
        assert!(takes(&few, "nmstate::query_apply::net_state", Level::Info));
        assert!(!takes(&few, "nispor::query", Level::Error));
        assert!(!takes(&few, "nmstate::nm", Level::Debug));
    }
}
