//! `org.nmstate.Ipsec1.Manager`.

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use std::{collections::HashMap, path::Path, sync::Arc};

use nmstate_ipsec_core::{
    contract::PluginError,
    daemon_api::{ConnectionStatus, Failure},
    profile::{Profile, Settings, Uuid},
};
use zbus::{message::Header, object_server::SignalEmitter, zvariant::Value};

use crate::{admission, client::Client, connection::Registry};

/// A configuration dictionary on its way to the bus.
type Dictionary = HashMap<&'static str, Value<'static>>;

/// Code of the reason why a profile is refused, beside those of [`nmstate_ipsec_core::reason::Reason`].
const INVALID_PROFILE: &str = "invalid-profile";

/// Most characters of an untrusted text that are logged.
const SHOWN: usize = 64;

/// Brings connections up and down for the adapters.
pub struct Manager {
    registry: Arc<Registry>,
}

impl Manager {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Hands the profile in `settings` to `wish`, if it is let in; if either refuses, the journal has the reason.
    fn admit(
        &self,
        settings: &Settings,
        wish: impl FnOnce(Profile) -> Result<(), String>,
    ) -> Result<(), PluginError> {
        let list = Path::new(admission::LIST_PATH);
        admission::admit(settings, list).and_then(wish).map_err(|error| {
            let (id, uuid) = (text(settings, "id"), text(settings, "uuid"));
            tracing::error!(
                ipsec_connection = id,
                ipsec_uuid = uuid,
                nm_connection = uuid,
                ipsec_reason = INVALID_PROFILE,
                "connection '{id}' refused: {error}"
            );
            self.registry.history().keep(&id, &uuid, INVALID_PROFILE, &error);
            PluginError::InvalidConnection(error)
        })
    }
}

/// Whoever sent the message with that header.
pub(super) fn client(bus: &zbus::Connection, header: &Header<'_>) -> Client {
    Client::new(bus.clone(), header.sender().map(|name| name.to_owned().into()))
}

/// A text of the profile's `connection` setting as far as it can be shown: the profile is not to be trusted.
fn text(settings: &Settings, key: &str) -> String {
    let value = settings.get("connection").and_then(|section| section.get(key));
    let text = value
        .and_then(|value| value.downcast_ref::<&str>().ok())
        .unwrap_or_default();
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Manager")]
impl Manager {
    /// Judges a profile and begins to bring it up.
    async fn activate(
        &self,
        connection: Settings,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<(), PluginError> {
        // Nobody has a newer profile than NetworkManager, which has just handed it over.
        if let Ok(profile) = Profile::from_settings(&connection) {
            self.registry.guards().follow(&profile.uuid, Some(&profile)).await;
        }
        self.admit(&connection, |profile| {
            self.registry.activate(profile, client(bus, &header))
        })
    }

    /// Takes over a connection that an earlier daemon brought up; it stays as it is if pluto has it.
    fn register(
        &self,
        connection: Settings,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<(), PluginError> {
        self.admit(&connection, |profile| {
            self.registry.register(profile, client(bus, &header))
        })
    }

    /// Takes a connection down; answered when pluto has nothing left of it.
    async fn deactivate(&self, uuid: &str, #[zbus(header)] header: Header<'_>) -> zbus::fdo::Result<()> {
        let uuid: Uuid = uuid
            .parse()
            .map_err(|_| zbus::fdo::Error::InvalidArgs("the argument is not a UUID".into()))?;
        let sender = header.sender().map(|name| name.to_owned().into());
        self.registry.deactivate(&uuid, sender).await;
        Ok(())
    }

    /// What every connection is doing.
    async fn connections(&self) -> Vec<ConnectionStatus> {
        self.registry.describe().await
    }

    /// The last failures of all connections, the oldest first.
    fn recent_failures(&self) -> Vec<Failure> {
        self.registry.history().kept()
    }

    /// The state of a connection has changed.
    #[zbus(signal)]
    pub async fn connection_state(emitter: &SignalEmitter<'_>, uuid: &str, state: u32) -> zbus::Result<()>;

    /// A tunnel is up with this configuration.
    #[zbus(signal)]
    pub async fn network_configuration(
        emitter: &SignalEmitter<'_>,
        uuid: &str,
        config: Dictionary,
        ip4: Dictionary,
        ip6: Dictionary,
    ) -> zbus::Result<()>;

    /// A connection failed.
    #[zbus(signal)]
    pub async fn connection_failed(
        emitter: &SignalEmitter<'_>,
        uuid: &str,
        failure: u32,
        code: &str,
        text: &str,
    ) -> zbus::Result<()>;
}
