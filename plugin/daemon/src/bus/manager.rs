//! `org.nmstate.Ipsec1.Manager`.

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use std::{collections::HashMap, sync::Arc};

use nmstate_ipsec_core::{
    contract::PluginError,
    profile::{Profile, Settings, Uuid},
};
use zbus::{message::Header, object_server::SignalEmitter, zvariant::Value};

use crate::{client::Client, connection::Registry};

/// A configuration dictionary on its way to the bus.
type Dictionary = HashMap<&'static str, Value<'static>>;

/// Brings connections up and down for the adapters.
pub struct Manager {
    registry: Arc<Registry>,
}

impl Manager {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Manager")]
impl Manager {
    /// Judges a profile and begins to bring it up.
    fn activate(
        &self,
        connection: Settings,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &zbus::Connection,
    ) -> Result<(), PluginError> {
        let profile = Profile::from_settings(&connection).map_err(|error| {
            tracing::error!(reason = "invalid-profile", "refused a profile: {error}");
            PluginError::InvalidConnection(error.to_string())
        })?;
        let client = Client::new(bus.clone(), header.sender().map(|name| name.to_owned().into()));
        self.registry.activate(profile, client);
        Ok(())
    }

    /// Takes a connection down; answered when pluto has nothing left of it.
    async fn deactivate(&self, uuid: &str) -> zbus::fdo::Result<()> {
        let uuid: Uuid = uuid
            .parse()
            .map_err(|_| zbus::fdo::Error::InvalidArgs("the argument is not a UUID".into()))?;
        self.registry.deactivate(&uuid).await;
        Ok(())
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
