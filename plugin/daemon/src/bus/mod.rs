//! The daemon's objects on the bus: adapters over [`crate::connection::Registry`].

mod autoconnect;
mod certificates;
mod changes;
mod helper;
mod manager;
mod transactions;

pub use autoconnect::Autoconnect;
pub use certificates::Certificates;
pub use changes::Changes;
pub(crate) use changes::tell_change;
pub use helper::Helper;
pub use manager::Manager;
pub use transactions::Transactions;

use std::sync::Arc;

use nmstate_ipsec_core::contract::DAEMON_PATH;

use crate::connection::Registry;

/// Puts the daemon's interfaces onto `bus`, which may also be a connection without a bus.
///
/// # Errors
/// The connection does not accept them.
pub async fn serve(bus: &zbus::Connection, registry: &Arc<Registry>) -> zbus::Result<()> {
    bus.object_server()
        .at(DAEMON_PATH, Manager::new(registry.clone()))
        .await?;
    bus.object_server().at(DAEMON_PATH, Changes).await?;
    bus.object_server()
        .at(DAEMON_PATH, Certificates::new(registry.clone()))
        .await?;
    bus.object_server()
        .at(DAEMON_PATH, Helper::new(registry.clone()))
        .await?;
    Ok(())
}
