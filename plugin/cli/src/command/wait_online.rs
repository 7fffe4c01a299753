//! `nmstate-ipsec wait-online`: for units that need connections.

use std::time::Duration;

use nmstate_ipsec_core::daemon_api::{AutoconnectProxy, ManagerProxy};

use super::Fault;
use crate::args::WaitOnline;

pub(super) async fn run(arguments: &WaitOnline) -> Result<(), Fault> {
    let bus = zbus::Connection::system().await.map_err(unreachable)?;
    let keeper = AutoconnectProxy::new(&bus).await.map_err(unreachable)?;
    let patience = Duration::from_secs(arguments.timeout.into());
    if let Ok(settled) = tokio::time::timeout(patience, keeper.settled()).await {
        return settled.map_err(unreachable);
    }
    let manager = ManagerProxy::new(&bus).await.map_err(unreachable)?;
    let known = manager.connections().await.map_err(unreachable)?;
    let missing = known
        .iter()
        .filter(|status| !matches!(status.state.as_str(), "up" | "ondemand" | "down"));
    let missing: Vec<&str> = missing.map(|status| status.name.as_str()).collect();
    Err(Fault::Failed(format!(
        "not up after {} s: {}; see 'nmstate-ipsec status'",
        arguments.timeout,
        if missing.is_empty() {
            "NetworkManager does not answer".to_owned()
        } else {
            missing.join(", ")
        }
    )))
}

fn unreachable(error: zbus::Error) -> Fault {
    Fault::Failed(format!(
        "failed to ask nmstate-ipsecd for its connections: {error}; see 'systemctl status nmstate-ipsecd'"
    ))
}
