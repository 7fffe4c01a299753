//! The daemon's D-Bus interface, as its clients see it: the adapter, the updown helper, the commands.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zbus::zvariant::{OwnedValue, Type};

use crate::profile::Settings;

/// `a{sv}`: one of NetworkManager's configuration dictionaries.
pub type Dictionary = HashMap<String, OwnedValue>;

/// Why a connection was refused, failed, or could not be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Failure {
    /// When, in microseconds since 1970.
    pub time: u64,
    /// `connection.id` of the profile, escaped and shortened if the profile was refused.
    pub connection: String,
    /// `connection.uuid` of the profile, likewise.
    pub uuid: String,
    /// A stable code: [`crate::reason::Reason::code`], or `invalid-profile`.
    pub code: String,
    /// What failed, on what, why, and what to do next.
    pub text: String,
}

/// `org.nmstate.Ipsec1.Manager`: brings connections up and down, one caller a connection.
///
/// Signals go to the caller of `Activate` alone. All of them carry the connection's UUID first.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Manager",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Manager {
    /// Judges a profile and begins to bring it up; the signals tell how that went.
    ///
    /// # Errors
    /// `InvalidConnection` of [`crate::contract::PluginError`], naming key and value; nothing was begun.
    fn activate(&self, connection: &Settings) -> Result<(), crate::contract::PluginError>;

    /// Takes over a connection that was up under an earlier daemon; it stays as it is if pluto has it, and is
    /// brought back if not.
    ///
    /// # Errors
    /// As those of `Activate`.
    fn register(&self, connection: &Settings) -> Result<(), crate::contract::PluginError>;

    /// Takes a connection down; answered when pluto has nothing left of it.
    ///
    /// # Errors
    /// pluto could not be told.
    fn deactivate(&self, uuid: &str) -> zbus::Result<()>;

    /// The last failures of all connections, the oldest first.
    ///
    /// # Errors
    /// The daemon does not answer.
    fn recent_failures(&self) -> zbus::Result<Vec<Failure>>;

    /// The state of a connection has changed; the number is a [`crate::contract::ServiceState`].
    #[zbus(signal)]
    fn connection_state(&self, uuid: String, state: u32) -> zbus::Result<()>;

    /// The tunnel is up with this configuration; an empty dictionary means that there is none.
    #[zbus(signal)]
    fn network_configuration(
        &self,
        uuid: String,
        config: Dictionary,
        ip4: Dictionary,
        ip6: Dictionary,
    ) -> zbus::Result<()>;

    /// The connection failed: NetworkManager's failure, and code and text of a [`crate::reason::Reason`].
    #[zbus(signal)]
    fn connection_failed(&self, uuid: String, failure: u32, code: String, text: String) -> zbus::Result<()>;
}

/// What pluto's updown helper calls, with the `PLUTO_` variables of its environment.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.libreswan.helper",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Helper {
    /// Hands over the environment; pluto waits for the helper, so nobody waits for an answer.
    #[zbus(no_reply)]
    fn callback(&self, environment: &HashMap<&str, String>) -> zbus::Result<()>;
}
