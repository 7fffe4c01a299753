//! NetworkManager on the bus, as far as it is needed here, and what is read of its profiles.
//!
//! The interfaces are those of `org.freedesktop.NetworkManager(5)`. Every call fails with NetworkManager's own error, or
//! when it does not answer.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::collections::HashMap;

use zbus::{
    Connection,
    proxy::{CacheProperties, Defaults, ProxyImpl},
    zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value},
};

use crate::{
    contract::{PLUGIN_ALIAS, PLUGIN_NAME},
    daemon_api::Dictionary,
    profile::Settings,
};

/// NetworkManager's name on the bus.
pub const NAME: &str = "org.freedesktop.NetworkManager";

/// `org.freedesktop.NetworkManager`: activations, devices and checkpoints.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
pub trait Manager {
    /// Begins to bring a profile up; answered with the active connection. `/` is a device or an object of
    /// NetworkManager's choice.
    fn activate_connection(
        &self,
        connection: &ObjectPath<'_>,
        device: &ObjectPath<'_>,
        specific_object: &ObjectPath<'_>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Begins to take an active connection down.
    fn deactivate_connection(&self, active: &ObjectPath<'_>) -> zbus::Result<()>;

    /// The device whose IP interface has the name.
    fn get_device_by_ip_iface(&self, interface: &str) -> zbus::Result<OwnedObjectPath>;

    /// Makes a checkpoint of the devices, of all if none is given, that is rolled back after so many seconds; 0 is
    /// never. The flags are `NM_CHECKPOINT_CREATE_FLAG_*`.
    fn checkpoint_create(
        &self,
        devices: &[ObjectPath<'_>],
        rollback_timeout: u32,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Forgets a checkpoint: what was changed since lasts.
    fn checkpoint_destroy(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<()>;

    /// Puts everything back as it was at a checkpoint; answered with `NM_ROLLBACK_RESULT_*` by device.
    fn checkpoint_rollback(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<HashMap<String, u32>>;

    /// Has a checkpoint rolled back in so many seconds from now; 0 is never.
    fn checkpoint_adjust_rollback_timeout(
        &self,
        checkpoint: &ObjectPath<'_>,
        add_timeout: u32,
    ) -> zbus::Result<()>;

    /// The release, such as `1.52.1`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> zbus::Result<String>;

    /// Whether it is still starting: something that is to be active from the start is not yet.
    #[zbus(property(emits_changed_signal = "false"))]
    fn startup(&self) -> zbus::Result<bool>;

    /// The active connection with the default route; `/` if there is none.
    #[zbus(property(emits_changed_signal = "false"))]
    fn primary_connection(&self) -> zbus::Result<OwnedObjectPath>;

    /// All active connections, also those on their way up or down.
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;

    /// All checkpoints that there are.
    // Signals tell of changes, and what they say is not kept.
    #[zbus(property(emits_changed_signal = "true"))]
    fn checkpoints(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

/// `org.freedesktop.NetworkManager.Settings`: all profiles.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Settings",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager/Settings",
    gen_blocking = false
)]
pub trait Settings {
    /// All profiles, whatever they are of.
    fn list_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;

    /// The profile with the UUID; `InvalidConnection` if there is none.
    fn get_connection_by_uuid(&self, uuid: &str) -> zbus::Result<OwnedObjectPath>;

    /// Adds a profile. The flags are `NM_SETTINGS_ADD_CONNECTION2_FLAG_*`.
    fn add_connection2(
        &self,
        settings: &Settings,
        flags: u32,
        arguments: Dictionary,
    ) -> zbus::Result<(OwnedObjectPath, Dictionary)>;
}

/// `org.freedesktop.NetworkManager.Settings.Connection`: one profile.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Settings.Connection",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub trait SettingsConnection {
    /// What it says, without its secrets.
    fn get_settings(&self) -> zbus::Result<Settings>;

    /// The secrets of one setting; `NoSecrets` if NetworkManager has none.
    fn get_secrets(&self, setting: &str) -> zbus::Result<Settings>;

    /// Has it say something else. The flags are `NM_SETTINGS_UPDATE2_FLAG_*`.
    fn update2(&self, settings: &Settings, flags: u32, arguments: Dictionary) -> zbus::Result<Dictionary>;

    /// Deletes it.
    fn delete(&self) -> zbus::Result<()>;

    /// `NM_SETTINGS_CONNECTION_FLAG_*`: unsaved, generated, volatile, external; 0 for a profile that somebody stored.
    #[zbus(property(emits_changed_signal = "false"))]
    fn flags(&self) -> zbus::Result<u32>;
}

/// `org.freedesktop.NetworkManager.Connection.Active`: one profile that is active, or on its way up or down.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Connection.Active",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub trait ActiveConnection {
    /// The profile.
    #[zbus(property(emits_changed_signal = "false"))]
    fn connection(&self) -> zbus::Result<OwnedObjectPath>;

    /// The profile's `connection.uuid`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn uuid(&self) -> zbus::Result<String>;

    /// `NM_ACTIVE_CONNECTION_STATE_*`
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<u32>;

    /// The profile's `connection.type`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn type_(&self) -> zbus::Result<String>;
}

/// `org.freedesktop.NetworkManager.Device`: one device.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Device",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub trait Device {
    /// What is active on it; `/` if nothing is.
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_connection(&self) -> zbus::Result<OwnedObjectPath>;
}

/// NetworkManager itself, by a proxy that keeps no properties.
///
/// # Errors
/// The bus fails.
pub async fn manager(bus: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(bus)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// One of NetworkManager's objects, by a proxy that keeps no properties and so does not listen to their changes.
///
/// # Errors
/// The bus fails.
pub async fn at<P: ProxyImpl<'static> + Defaults + From<zbus::Proxy<'static>>>(
    bus: &Connection,
    path: OwnedObjectPath,
) -> zbus::Result<P> {
    zbus::proxy::Builder::new(bus)
        .path(path)?
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// What a profile says, with the secrets that NetworkManager has of it.
///
/// # Errors
/// NetworkManager does not tell them all: what is stored anew later would lack what it does not tell.
pub async fn whole(profile: &SettingsConnectionProxy<'_>) -> zbus::Result<Settings> {
    let mut settings = profile.get_settings().await?;
    fill_in_secrets(profile, &mut settings).await?;
    Ok(settings)
}

/// Puts the secrets that NetworkManager has of a profile beside its settings.
///
/// # Errors
/// It does not tell them.
pub async fn fill_in_secrets(
    profile: &SettingsConnectionProxy<'_>,
    settings: &mut Settings,
) -> zbus::Result<()> {
    let mut secrets = match profile.get_secrets("vpn").await {
        Ok(secrets) => secrets,
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSecrets") => return Ok(()),
        Err(error) => return Err(error),
    };
    let secrets = secrets
        .get_mut("vpn")
        .and_then(|secrets| secrets.remove("secrets"));
    if let (Some(secrets), Some(vpn)) = (secrets, settings.get_mut("vpn")) {
        vpn.insert("secrets".into(), secrets);
    }
    Ok(())
}

/// Whether a profile is one of libreswan's, under either name.
pub fn is_libreswan(settings: &Settings) -> bool {
    [PLUGIN_NAME, PLUGIN_ALIAS].contains(&text(settings, "vpn", "service-type"))
}

/// Whether a profile is to be up by itself (`connection.autoconnect`); NetworkManager leaves out what is true by default.
pub fn is_autoconnect(settings: &Settings) -> bool {
    let autoconnect = value(settings, "connection", "autoconnect");
    autoconnect.and_then(|value| bool::try_from(value).ok()) != Some(false)
}

/// Whether a profile belongs to certain users (`connection.permissions`) and is not the host's.
pub fn is_private(settings: &Settings) -> bool {
    let permissions = value(settings, "connection", "permissions");
    permissions.is_some_and(|value| !matches!(&**value, Value::Array(list) if list.is_empty()))
}

/// A value of a profile.
pub fn value<'a>(settings: &'a Settings, setting: &str, key: &str) -> Option<&'a OwnedValue> {
    settings.get(setting)?.get(key)
}

/// A text of a profile; empty if it is not there.
pub fn text<'a>(settings: &'a Settings, setting: &str, key: &str) -> &'a str {
    value(settings, setting, key)
        .and_then(|value| <&str>::try_from(value).ok())
        .unwrap_or_default()
}

/// A copy of a dictionary of texts of a profile, such as `vpn.data`.
pub fn texts(settings: &Settings, setting: &str, key: &str) -> Option<HashMap<String, String>> {
    let value = value(settings, setting, key)?.try_clone().ok()?;
    value.try_into().ok()
}
