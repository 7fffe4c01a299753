//! NetworkManager's interfaces, as far as they are needed here (`org.freedesktop.NetworkManager(5)`).

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::collections::HashMap;

use nmstate_ipsec_core::{daemon_api::Dictionary, profile::Settings as Profile};
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
pub(crate) trait Manager {
    fn activate_connection(
        &self,
        connection: &ObjectPath<'_>,
        device: &ObjectPath<'_>,
        specific_object: &ObjectPath<'_>,
    ) -> zbus::Result<OwnedObjectPath>;
    fn deactivate_connection(&self, active: &ObjectPath<'_>) -> zbus::Result<()>;
    fn get_device_by_ip_iface(&self, interface: &str) -> zbus::Result<OwnedObjectPath>;
    fn checkpoint_create(
        &self,
        devices: &[ObjectPath<'_>],
        rollback_timeout: u32,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;
    fn checkpoint_destroy(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<()>;
    fn checkpoint_rollback(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<HashMap<String, u32>>;
    fn checkpoint_adjust_rollback_timeout(
        &self,
        checkpoint: &ObjectPath<'_>,
        add_timeout: u32,
    ) -> zbus::Result<()>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    // Signals tell of changes, and what they say is not kept.
    #[zbus(property(emits_changed_signal = "true"))]
    fn checkpoints(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Settings",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager/Settings",
    gen_blocking = false
)]
pub(crate) trait Settings {
    fn list_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    fn get_connection_by_uuid(&self, uuid: &str) -> zbus::Result<OwnedObjectPath>;
    fn add_connection2(
        &self,
        settings: &Profile,
        flags: u32,
        arguments: Dictionary,
    ) -> zbus::Result<(OwnedObjectPath, Dictionary)>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Settings.Connection",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub(crate) trait SettingsConnection {
    fn get_settings(&self) -> zbus::Result<Profile>;
    fn get_secrets(&self, setting: &str) -> zbus::Result<Profile>;
    fn update2(&self, settings: &Profile, flags: u32, arguments: Dictionary) -> zbus::Result<Dictionary>;
    fn delete(&self) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Connection.Active",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub(crate) trait ActiveConnection {
    #[zbus(property(emits_changed_signal = "false"))]
    fn uuid(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<u32>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn type_(&self) -> zbus::Result<String>;
    #[zbus(signal)]
    fn state_changed(&self, state: u32, reason: u32) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.Device",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
pub(crate) trait Device {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_connection(&self) -> zbus::Result<OwnedObjectPath>;
}
