//! The plugin: every connection is up as soon as it is asked for, and leads nowhere.

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use std::net::Ipv4Addr;

use nmstate_ipsec_core::{
    contract::{PLUGIN_PATH, ServiceState},
    daemon_api::Dictionary,
    profile::Settings,
};
use tokio::sync::Notify;
use zbus::{Connection, object_server::SignalEmitter, zvariant::Value};

/// The lab's peer, as our own plugin would name it.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 252);

/// The address of a host with nothing but these connections (RFC 5737).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);

/// Told when the connection has been taken down.
static DONE: Notify = Notify::const_new();

struct Plugin;

// The signal StateChanged has another name in Rust: for the property `State` zbus itself makes a function `state_changed`.
#[zbus::interface(name = "org.freedesktop.NetworkManager.VPN.Plugin")]
impl Plugin {
    async fn connect(
        &self,
        _connection: Settings,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        Self::announce(&emitter, ServiceState::Starting.number()).await?;
        Self::config(
            &emitter,
            dictionary([
                ("gateway", number(GATEWAY).into()),
                ("tundev", "_none_".into()),
                ("has-ip4", true.into()),
                ("has-ip6", false.into()),
            ])?,
        )
        .await?;
        Self::ip4_config(
            &emitter,
            dictionary([
                ("internal-gateway", number(GATEWAY).into()),
                ("address", number(ADDRESS).into()),
                ("prefix", 32u32.into()),
                ("never-default", true.into()),
            ])?,
        )
        .await?;
        Ok(Self::announce(&emitter, ServiceState::Started.number()).await?)
    }

    async fn connect_interactive(
        &self,
        connection: Settings,
        _details: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        self.connect(connection, emitter).await
    }

    fn need_secrets(&self, _settings: Settings) -> String {
        String::new()
    }

    async fn disconnect(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> zbus::fdo::Result<()> {
        Self::announce(&emitter, ServiceState::Stopping.number()).await?;
        Self::announce(&emitter, ServiceState::Stopped.number()).await?;
        DONE.notify_one();
        Ok(())
    }

    #[zbus(property)]
    fn state(&self) -> u32 {
        ServiceState::Init.number()
    }

    #[zbus(signal, name = "StateChanged")]
    async fn announce(emitter: &SignalEmitter<'_>, state: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn ip4_config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;
}

/// Serves one connection, until it is taken down.
pub(crate) async fn serve(name: &str) -> zbus::Result<()> {
    let bus = Connection::system().await?;
    bus.object_server().at(PLUGIN_PATH, Plugin).await?;
    bus.request_name(name).await?;
    DONE.notified().await;
    // What was emitted and answered goes before the name does.
    bus.graceful_shutdown().await;
    Ok(())
}

/// NetworkManager's way to write an address: the bytes in the network's order, as a number of this host's.
fn number(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

pub(crate) fn dictionary<const N: usize>(values: [(&str, Value<'_>); N]) -> zbus::Result<Dictionary> {
    let owned = values
        .into_iter()
        .map(|(key, value)| Ok((key.to_owned(), value.try_into_owned()?)));
    owned.collect()
}
