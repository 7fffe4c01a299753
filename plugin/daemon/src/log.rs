//! Where the daemon says what it does: journald with fields, or standard error without it.
//!
//! Fields are named alike everywhere: `ipsec_connection`, `ipsec_uuid`, `ipsec_reason`; journald has them in
//! capitals. `nm_connection` is NetworkManager's own: `journalctl NM_CONNECTION=...`, which nmcli tells its
//! users to run after a failure, then shows what the daemon has to say.

use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Begins to log; `debug` says more.
pub fn start(debug: bool) {
    let level = if debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    // systemd sets this for a service whose output goes to the journal; see systemd.exec(5).
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let journal = journal.map(|layer| layer.with_field_prefix(None));
    let console = journal
        .is_none()
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    tracing_subscriber::registry()
        .with(journal.with_filter(level))
        .with(console.with_filter(level))
        .init();
}
