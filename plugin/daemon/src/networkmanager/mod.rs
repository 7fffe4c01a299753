//! What must be known of the NetworkManager on this host (`org.freedesktop.NetworkManager(5)`).

mod activations;
pub(crate) mod base;
pub mod deactivation;
pub(crate) mod profiles;

pub(crate) use activations::{BY_THE_USER, Ended};

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use nmstate_ipsec_core::{
    ip_config::NetworkConfig,
    networkmanager::{NAME, manager},
    starter::start_service,
};
use zbus::Connection;

use crate::shared::Shared;

/// The first release seen to accept routes without an address; 1.42 was seen to refuse them, and with them
/// the connection ("no valid IP address/prefix").
const ROUTES_ALONE: (u32, u32) = (1, 52);

/// How long NetworkManager may take to say its version.
const TIME_OUT: Duration = Duration::from_secs(2);

/// The code of what NetworkManager refuses or fails by itself.
pub(crate) const REASON: &str = "networkmanager";

/// What is said where it gives no reason.
pub(crate) const NO_REASON: &str =
    "NetworkManager did not bring it up and gave no reason; see 'journalctl -u NetworkManager'";

/// How long NetworkManager takes to start, and whoever brings connections up to ask it.
const SETTLING: Duration = Duration::from_secs(60);

/// `NM_ACTIVE_CONNECTION_STATE_*`
pub(crate) const ACTIVATING: u32 = 1;
pub(crate) const ACTIVATED: u32 = 2;
pub(crate) const DEACTIVATING: u32 = 3;
pub(crate) const DEACTIVATED: u32 = 4;

/// What runs NetworkManager's dispatcher scripts, and leaves the bus when there have been none for a while.
const DISPATCHER: &str = "org.freedesktop.nm_dispatcher";

/// Whether NetworkManager is on the bus; where the bus cannot be asked, nobody is.
pub(crate) async fn is_there(bus: &Connection) -> bool {
    let asked = async {
        let bus = zbus::fdo::DBusProxy::new(bus).await?;
        Ok::<_, zbus::Error>(bus.name_has_owner(NAME.try_into()?).await?)
    };
    asked.await.unwrap_or(false)
}

/// Waits until NetworkManager has been on the bus for a while if it was not: it asks for what it finds wanted then.
pub(crate) async fn comes(bus: &Connection) -> zbus::Result<()> {
    let broker = zbus::fdo::DBusProxy::new(bus).await?;
    let mut changes = broker.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
    if broker.name_has_owner(NAME.try_into()?).await? {
        return Ok(());
    }
    while let Some(change) = changes.next().await {
        if change.args()?.new_owner().is_some() {
            tokio::time::sleep(SETTLING).await;
            return Ok(());
        }
    }
    Err(zbus::Error::Failure("the bus was closed".into()))
}

/// Whether NetworkManager is still starting.
pub(crate) async fn is_starting(bus: &Connection) -> bool {
    let Ok(networkmanager) = manager(bus).await else {
        return false;
    };
    networkmanager.startup().await.unwrap_or_default()
}

/// The NetworkManager of this host. Its release is asked for while there is something else to wait for: when a
/// connection has come up, NetworkManager is busy with it.
#[derive(Debug, Default)]
pub struct NetworkManager {
    release: Mutex<Option<(u32, u32)>>,
    asking: Shared<()>,
    waking: Shared<()>,
}

impl NetworkManager {
    /// Asks for the release; it may be another since the last time.
    pub async fn ask(&self, bus: &Connection) {
        let ask = async || {
            let release = release(bus).await;
            *self.release.lock().unwrap_or_else(PoisonError::into_inner) = release;
        };
        self.asking.run(ask).await;
    }

    /// Has the dispatcher started while pluto negotiates: NetworkManager waits for its `vpn-pre-up` scripts before it calls a
    /// connection activated, and until then for the dispatcher itself. Where there is none, nothing happens.
    pub(crate) async fn wake_dispatcher(&self, bus: &Connection) {
        let wake = async || {
            if let Err(error) = start_service(bus, DISPATCHER).await {
                tracing::debug!("failed to have NetworkManager's dispatcher started: {error}");
            }
        };
        self.waking.run(wake).await;
    }

    /// `configuration` as far as this NetworkManager accepts it.
    ///
    /// An older one gets no routes where the peer assigned no address. Without a virtual device the kernel's
    /// policies take the packets from whatever route they follow; with one the daemon makes the routes itself.
    pub async fn acceptable(&self, bus: &Connection, mut configuration: NetworkConfig) -> NetworkConfig {
        let lacks_address = configuration
            .ip4
            .as_ref()
            .is_some_and(|ip4| ip4.address.is_none())
            || configuration
                .ip6
                .as_ref()
                .is_some_and(|ip6| ip6.address.is_none());
        if !lacks_address {
            return configuration;
        }
        if self.known().is_none() {
            self.ask(bus).await;
        }
        if self.known().is_none_or(|release| release >= ROUTES_ALONE) {
            return configuration;
        }
        configuration.ip4.take_if(|ip4| ip4.address.is_none());
        configuration.ip6.take_if(|ip6| ip6.address.is_none());
        configuration.config.has_ip4 = configuration.ip4.is_some();
        configuration.config.has_ip6 = configuration.ip6.is_some();
        configuration
    }

    fn known(&self) -> Option<(u32, u32)> {
        *self.release.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Major and minor number, if NetworkManager says them.
async fn release(bus: &Connection) -> Option<(u32, u32)> {
    let asked = async {
        let networkmanager = manager(bus).await.ok()?;
        parse(&networkmanager.version().await.ok()?)
    };
    tokio::time::timeout(TIME_OUT, asked).await.ok().flatten()
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse("1.42.4"), Some((1, 42)));
        assert!(parse("1.52.1").unwrap() >= ROUTES_ALONE && parse("1.60-dev").unwrap() >= ROUTES_ALONE);
        assert_eq!(parse("unknown"), None);
    }
}
