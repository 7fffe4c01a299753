//! Whoever asked for a connection, and how they are told what became of it.

use futures_util::StreamExt;
use nmstate_ipsec_core::{
    contract::{DAEMON_PATH, ServiceState},
    ip_config::{Ip4Config, Ip6Config, NetworkConfig},
    profile::Uuid,
    reason::Reason,
};
use zbus::{Connection, names::OwnedUniqueName, object_server::SignalEmitter};

use crate::bus::Manager;

/// The caller of `Activate`; signals go to it alone.
#[derive(Debug, Clone)]
pub struct Client {
    bus: Connection,
    /// Its unique name; there is none on a connection without a bus.
    name: Option<OwnedUniqueName>,
    /// Whether there is somebody to be told.
    listens: bool,
}

impl Client {
    /// The peer with the unique name `name` on `bus`.
    pub fn new(bus: Connection, name: Option<OwnedUniqueName>) -> Self {
        let listens = true;
        Self { bus, name, listens }
    }

    /// Nobody: the connection is the daemon's own until somebody asks for it.
    pub fn nobody(bus: Connection) -> Self {
        Self {
            bus,
            name: None,
            listens: false,
        }
    }

    /// Whether there is nobody to be told.
    pub fn is_nobody(&self) -> bool {
        !self.listens
    }

    /// Whether the one with this unique name is the client.
    pub fn is(&self, name: Option<&OwnedUniqueName>) -> bool {
        self.listens && self.name.as_ref() == name
    }

    /// Whether both are one.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// Tells of a change of state.
    pub async fn tell_state(&self, uuid: &Uuid, state: ServiceState) {
        if self.is_nobody() {
            return;
        }
        let sent = match self.emitter() {
            Ok(to) => Manager::connection_state(&to, uuid.as_str(), state.number()).await,
            Err(error) => Err(error),
        };
        warn_unless(sent, uuid);
    }

    /// Tells that the tunnel is up, and how.
    pub async fn tell_configuration(&self, uuid: &Uuid, configuration: &NetworkConfig) {
        if self.is_nobody() {
            return;
        }
        let config = configuration.config.to_dict();
        let ip4 = configuration
            .ip4
            .as_ref()
            .map(Ip4Config::to_dict)
            .unwrap_or_default();
        let ip6 = configuration
            .ip6
            .as_ref()
            .map(Ip6Config::to_dict)
            .unwrap_or_default();
        let sent = match self.emitter() {
            Ok(to) => Manager::network_configuration(&to, uuid.as_str(), config, ip4, ip6).await,
            Err(error) => Err(error),
        };
        warn_unless(sent, uuid);
    }

    /// Tells that the connection failed, and why.
    pub async fn tell_failure(&self, uuid: &Uuid, reason: &Reason) {
        if self.is_nobody() {
            return;
        }
        let (failure, text) = (reason.failure().number(), reason.to_string());
        let sent = match self.emitter() {
            Ok(to) => Manager::connection_failed(&to, uuid.as_str(), failure, reason.code(), &text).await,
            Err(error) => Err(error),
        };
        warn_unless(sent, uuid);
    }

    /// Ends when the client has left the bus.
    ///
    /// # Errors
    /// The bus cannot be asked.
    pub async fn gone(&self) -> zbus::Result<()> {
        let Some(name) = &self.name else {
            return std::future::pending().await;
        };
        let bus = zbus::fdo::DBusProxy::new(&self.bus).await?;
        let mut changes = bus
            .receive_name_owner_changed_with_args(&[(0, name.as_str())])
            .await?;
        // It may have left before the watch was set.
        if !bus.name_has_owner(name.inner().clone().into()).await? {
            return Ok(());
        }
        while let Some(change) = changes.next().await {
            if change.args()?.new_owner().is_none() {
                return Ok(());
            }
        }
        // Who has lost the bus knows nothing of anybody on it.
        Err(zbus::Error::Failure("the bus was closed".into()))
    }

    /// Emits to the client alone.
    fn emitter(&self) -> zbus::Result<SignalEmitter<'static>> {
        let emitter = SignalEmitter::new(&self.bus, DAEMON_PATH)?;
        Ok(match &self.name {
            Some(name) => emitter.set_destination(name.inner().clone().into()).into_owned(),
            None => emitter.into_owned(),
        })
    }
}

/// A client that cannot be told is gone or going; its watch takes the connection down.
fn warn_unless(sent: zbus::Result<()>, uuid: &Uuid) {
    if let Err(error) = sent {
        tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to tell the client of the connection: {error}");
    }
}
