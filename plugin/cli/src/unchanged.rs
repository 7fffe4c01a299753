//! Whether there is anything for nmstate to do. Its own way of doing nothing asks NetworkManager and the kernel for
//! everything three times and more, and takes a checkpoint.

use nmstate::NetworkState;
use nmstate_ipsec_core::networkmanager::{
    self, ActiveConnectionProxy, DeviceProxy, SettingsConnectionProxy, at,
};
use serde_json::Value;
use zbus::Connection;

use crate::difference;

/// Whether everything that `wanted` declares is so already, and will be after a reboot: what cannot be found out is no.
pub(crate) async fn is_there(wanted: &NetworkState) -> bool {
    if !difference::parts(wanted)
        .await
        .is_ok_and(|parts| parts.is_empty())
    {
        return false;
    }
    let Ok(state) = serde_json::to_value(wanted) else {
        return false;
    };
    lasts(&state).await.unwrap_or(false)
}

/// Whether each interface is up by a profile on the disk. What is to be absent may have profiles that nothing shows.
async fn lasts(state: &Value) -> zbus::Result<bool> {
    let bus = Connection::system().await?;
    let manager = networkmanager::manager(&bus).await?;
    for interface in state["interfaces"].as_array().into_iter().flatten() {
        let name = interface["name"].as_str().unwrap_or_default();
        if interface["state"] != "up" || interface["identifier"].as_str().is_some_and(|by| by != "name") {
            return Ok(false);
        }
        let device: DeviceProxy<'_> = at(&bus, manager.get_device_by_ip_iface(name).await?).await?;
        let active: ActiveConnectionProxy<'_> = at(&bus, device.active_connection().await?).await?;
        let profile: SettingsConnectionProxy<'_> = at(&bus, active.connection().await?).await?;
        if profile.flags().await? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
