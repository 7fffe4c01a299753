//! NetworkManager's active VPN profiles of libreswan, over D-Bus: nmstate's own reader leaves out the keys that it does
//! not know.

use std::collections::BTreeMap;

use nmstate_ipsec_core::networkmanager::{
    self, ActiveConnectionProxy, SettingsConnectionProxy, at, is_libreswan, text, texts,
};
use zbus::{Connection, zvariant::OwnedObjectPath};

/// A profile's name, and what it says of its connection.
#[derive(Debug, Default)]
pub(crate) struct VpnProfile {
    pub(crate) name: String,
    pub(crate) data: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
}

/// The profiles of libreswan that are active or on their way there.
///
/// # Errors
/// NetworkManager does not answer.
pub(crate) async fn active_vpns() -> zbus::Result<Vec<VpnProfile>> {
    let bus = Connection::system().await?;
    let manager = networkmanager::manager(&bus).await?;
    let mut found = Vec::new();
    for path in manager.active_connections().await? {
        // One that cannot be asked any more has gone meanwhile.
        if let Ok(Some(profile)) = profile(&bus, path).await {
            found.push(profile);
        }
    }
    Ok(found)
}

async fn profile(bus: &Connection, active: OwnedObjectPath) -> zbus::Result<Option<VpnProfile>> {
    let active: ActiveConnectionProxy<'_> = at(bus, active).await?;
    if active.type_().await? != "vpn" {
        return Ok(None);
    }
    let profile: SettingsConnectionProxy<'_> = at(bus, active.connection().await?).await?;
    let settings = profile.get_settings().await?;
    if !is_libreswan(&settings) {
        return Ok(None);
    }
    // There may be none, or none that NetworkManager has itself.
    let secrets = profile.get_secrets("vpn").await.unwrap_or_default();
    Ok(Some(VpnProfile {
        name: text(&settings, "connection", "id").to_owned(),
        data: texts(&settings, "vpn", "data").into_iter().flatten().collect(),
        secrets: texts(&secrets, "vpn", "secrets").into_iter().flatten().collect(),
    }))
}
