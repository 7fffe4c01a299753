//! Whether this host has our daemon.

use nmstate_ipsec_core::daemon_api::TransactionsProxy;
use zbus::{Connection, fdo::DBusProxy, proxy::Defaults};

use crate::command::Fault;

/// What is said on standard error where there is no daemon.
pub(crate) const ALONE: &str =
    "nmstate-ipsecd is not on this host: NetworkManager alone carries this out, and tunnels are not undone";

/// The daemon, if it runs or the system bus can start it.
///
/// # Errors
/// There is no system bus.
pub(crate) async fn find() -> Result<Option<TransactionsProxy<'static>>, Fault> {
    let found = async {
        let bus = Connection::system().await?;
        let names = DBusProxy::new(&bus).await?;
        let is_ours = |name: &str| {
            TransactionsProxy::DESTINATION
                .as_ref()
                .is_some_and(|ours| ours == name)
        };
        let is_known = names
            .list_activatable_names()
            .await?
            .iter()
            .any(|name| is_ours(name))
            || names.list_names().await?.iter().any(|name| is_ours(name));
        if !is_known {
            return Ok(None);
        }
        TransactionsProxy::new(&bus).await.map(Some)
    };
    let found: zbus::Result<_> = found.await;
    found.map_err(|error| Fault::failed("failed to look for nmstate-ipsecd on the system bus", error))
}

/// What only the daemon can do is asked for where there is none.
pub(crate) fn missing() -> Fault {
    Fault::Failed(
        "nmstate-ipsecd is not on this host: the system bus cannot start org.nmstate.Ipsec1; install it"
            .into(),
    )
}
