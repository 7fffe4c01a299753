//! NetworkManager's active VPN profiles of libreswan, over D-Bus: nmstate's own reader leaves out the keys that it does
//! not know.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::collections::BTreeMap;

use nmstate_ipsec_core::{contract, profile::Settings};
use zbus::{
    Connection,
    proxy::{CacheProperties, Defaults, ProxyImpl},
    zvariant::{OwnedObjectPath, OwnedValue},
};

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
trait Manager {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Connection.Active",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait ActiveConnection {
    #[zbus(property(emits_changed_signal = "false"))]
    fn connection(&self) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn type_(&self) -> zbus::Result<String>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Settings.Connection",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait SettingsConnection {
    fn get_settings(&self) -> zbus::Result<Settings>;
    fn get_secrets(&self, setting: &str) -> zbus::Result<Settings>;
}

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
    let manager = ManagerProxy::new(&bus).await?;
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
    let service: Option<String> = value(&settings, "vpn", "service-type");
    if !service
        .is_some_and(|service| [contract::PLUGIN_NAME, contract::PLUGIN_ALIAS].contains(&service.as_str()))
    {
        return Ok(None);
    }
    // There may be none, or none that NetworkManager has itself.
    let secrets = profile.get_secrets("vpn").await.unwrap_or_default();
    Ok(Some(VpnProfile {
        name: value(&settings, "connection", "id").unwrap_or_default(),
        data: value(&settings, "vpn", "data").map(sorted).unwrap_or_default(),
        secrets: value(&secrets, "vpn", "secrets").map(sorted).unwrap_or_default(),
    }))
}

fn sorted(pairs: std::collections::HashMap<String, String>) -> BTreeMap<String, String> {
    pairs.into_iter().collect()
}

fn value<T: TryFrom<OwnedValue>>(settings: &Settings, setting: &str, key: &str) -> Option<T> {
    let value = settings.get(setting)?.get(key)?;
    T::try_from(value.try_clone().ok()?).ok()
}

async fn at<P: ProxyImpl<'static> + Defaults + From<zbus::Proxy<'static>>>(
    bus: &Connection,
    path: OwnedObjectPath,
) -> zbus::Result<P> {
    zbus::proxy::Builder::new(bus)
        .path(path)?
        .cache_properties(CacheProperties::No)
        .build()
        .await
}
