//! Where the daemon says what it does: journald with fields, or standard error without it.

use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Prefix of the fields in the journal: `journalctl IPSEC_UUID=...`, `IPSEC_REASON=...`.
const FIELD_PREFIX: &str = "IPSEC";

/// Begins to log; `debug` says more.
pub fn start(debug: bool) {
    let level = if debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    // systemd sets this for a service whose output goes to the journal; see systemd.exec(5).
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let journal = journal.map(|layer| layer.with_field_prefix(Some(FIELD_PREFIX.into())));
    let console = journal
        .is_none()
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    tracing_subscriber::registry()
        .with(journal.with_filter(level))
        .with(console.with_filter(level))
        .init();
}
