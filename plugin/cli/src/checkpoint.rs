//! NetworkManager's checkpoints (`org.freedesktop.NetworkManager(5)`), one of which nmstate makes.

use nmstate_ipsec_core::networkmanager;

use crate::command::Fault;

/// The paths of all checkpoints that there are.
///
/// # Errors
/// NetworkManager cannot be asked.
pub(crate) async fn all() -> Result<Vec<String>, Fault> {
    let asked = async {
        let bus = zbus::Connection::system().await?;
        networkmanager::manager(&bus).await?.checkpoints().await
    };
    let paths = asked.await;
    let paths =
        paths.map_err(|error| Fault::failed("failed to ask NetworkManager for its checkpoints", error))?;
    Ok(paths.iter().map(ToString::to_string).collect())
}
