//! NetworkManager's checkpoints (`org.freedesktop.NetworkManager(5)`), one of which nmstate makes.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use zbus::zvariant::OwnedObjectPath;

use crate::command::Fault;

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
trait Manager {
    #[zbus(property(emits_changed_signal = "false"))]
    fn checkpoints(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

/// The paths of all checkpoints that there are.
///
/// # Errors
/// NetworkManager cannot be asked.
pub(crate) async fn all() -> Result<Vec<String>, Fault> {
    let asked = async { manager().await?.checkpoints().await };
    let paths = asked.await;
    let paths =
        paths.map_err(|error| Fault::failed("failed to ask NetworkManager for its checkpoints", error))?;
    Ok(paths.iter().map(ToString::to_string).collect())
}

async fn manager() -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::new(&zbus::Connection::system().await?).await
}
