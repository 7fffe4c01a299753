//! What can happen to connections, from all who tell of it, in one channel.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use nmstate_ipsec_core::{daemon_api::Dictionary, networkmanager, profile::Profile};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, oneshot},
    time::Instant,
};
use zbus::{MatchRule, MessageStream, message::Type, names::MemberName, zvariant::OwnedObjectPath};

use super::candidate::{Came, Ground, Missing};
use crate::{
    connection::Registry,
    networkmanager::{deactivation::GAP, profiles::Profiles},
};

/// Where NetworkManager's profiles are.
const SETTINGS_PATH: &str = "/org/freedesktop/NetworkManager/Settings";

/// How long a source that has failed rests.
const REST: Duration = Duration::from_secs(5);

/// What the keeper of connections is told.
#[derive(Debug)]
pub(super) enum Told {
    /// Everything has to be looked at: there is another NetworkManager, or something was missed.
    Everything,
    /// A profile is new or has changed.
    Profile(OwnedObjectPath),
    /// A profile has gone.
    Removed(OwnedObjectPath),
    /// An active connection has changed: its state and the reason, `NM_ACTIVE_CONNECTION_STATE_*`.
    Active(OwnedObjectPath, u32, u32),
    /// NetworkManager has a checkpoint, or has none, or has started.
    Gate,
    /// A device, an address, or what NetworkManager has on it has changed.
    Ground,
    /// Certificates have changed, or pluto has started.
    Host,
    /// The peer has brought this connection up.
    Called(String),
    /// A transaction wants the connection with this UUID up, or no longer.
    Wanted(String, bool),
    /// What there is to bring up the connection on now.
    Looked(String, Result<Ground, Missing>),
    /// All has been looked at.
    LooksEnded,
    /// A try is about to begin: with which profile, if it is still wanted.
    MayTry(String, oneshot::Sender<Option<Wanted>>),
    /// pluto is about to answer the peer for this one: is its next try still waited for?
    StillWaits(String, oneshot::Sender<bool>),
    /// A try has begun on this ground.
    Tries(String, Ground),
    /// A try has ended.
    Ended(String, Came),
    /// Somebody has changed the profile with this UUID and wants to know whether its guard is in place.
    Read(String, oneshot::Sender<Option<bool>>),
    /// Somebody wants to know when there is nothing more to wait for.
    Settled(oneshot::Sender<()>),
}

/// A profile, if it is valid, and since when it has been as it is.
pub(super) type Wanted = (Option<Arc<Profile>>, Instant);

/// Where it is told.
pub(super) type Teller = mpsc::UnboundedSender<Told>;

/// Tells whatever happens; never ends.
pub(super) async fn tell(registry: &Registry, profiles: &Profiles, teller: &Teller) {
    let host = registry.host();
    let mut addresses = host.addresses.subscribe();
    let mut changes = host.changed.subscribe();
    let devices = async {
        while addresses.changed().await.is_ok() {
            let _ = teller.send(Told::Ground);
        }
    };
    let calls = async {
        let mut calls = host.called.subscribe();
        loop {
            match calls.recv().await {
                Ok(uuid) => drop(teller.send(Told::Called(uuid))),
                // Who was missed is tried when that is due.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    let of_host = async {
        while changes.changed().await.is_ok() {
            let _ = teller.send(Told::Host);
        }
    };
    tokio::join!(
        again("NetworkManager's profiles", || profiles_change(profiles, teller)),
        again("NetworkManager's properties", || properties_change(
            profiles, teller
        )),
        again("NetworkManager's arrival", || networkmanager_comes(
            profiles, teller
        )),
        active_connections_change(profiles, teller),
        devices,
        calls,
        of_host,
    );
}

async fn again<F: Future<Output = zbus::Result<()>>>(what: &str, source: impl Fn() -> F) {
    loop {
        match source().await {
            Ok(()) => tracing::error!("the watch of {what} has ended; setting it again"),
            Err(error) => tracing::error!("the watch of {what} has failed: {error}; setting it again"),
        }
        tokio::time::sleep(REST).await;
    }
}

async fn networkmanager_comes(profiles: &Profiles, teller: &Teller) -> zbus::Result<()> {
    let mut came = Box::pin(profiles.networkmanager_comes().await?);
    let _ = teller.send(Told::Everything);
    while came.next().await.is_some() {
        let _ = teller.send(Told::Everything);
    }
    Ok(())
}

async fn active_connections_change(profiles: &Profiles, teller: &Teller) {
    loop {
        let mut changes = profiles.changes().await;
        loop {
            let told = match changes.recv().await {
                Ok((path, ..)) if *path == GAP => Told::Everything,
                Ok((path, state, reason)) => Told::Active(path, state, reason),
                Err(RecvError::Lagged(_)) => Told::Everything,
                Err(RecvError::Closed) => break,
            };
            let _ = teller.send(told);
        }
    }
}

/// `NewConnection` and `ConnectionRemoved` of all profiles, `Updated` of each.
async fn profiles_change(profiles: &Profiles, teller: &Teller) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(networkmanager::NAME)?
        .path_namespace(SETTINGS_PATH)?
        .build();
    let mut signals = MessageStream::for_match_rule(rule, &profiles.bus, None).await?;
    let _ = teller.send(Told::Everything);
    while let Some(signal) = signals.try_next().await? {
        let header = signal.header();
        let named = || signal.body().deserialize::<OwnedObjectPath>().ok();
        let told = match header.member().map(MemberName::as_str) {
            Some("NewConnection") => named().map(Told::Profile),
            Some("ConnectionRemoved") => named().map(Told::Removed),
            Some("Updated") => header.path().map(|path| Told::Profile(path.to_owned().into())),
            _ => None,
        };
        if let Some(told) = told {
            let _ = teller.send(told);
        }
    }
    Ok(())
}

/// Checkpoints come and go, and NetworkManager's start comes to an end.
async fn properties_change(profiles: &Profiles, teller: &Teller) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(networkmanager::NAME)?
        .path("/org/freedesktop/NetworkManager")?
        .interface("org.freedesktop.DBus.Properties")?
        .member("PropertiesChanged")?
        .build();
    let mut signals = MessageStream::for_match_rule(rule, &profiles.bus, None).await?;
    let _ = teller.send(Told::Gate);
    while let Some(signal) = signals.try_next().await? {
        let body = signal.body();
        let Ok((_, changed, _)) = body.deserialize::<(String, Dictionary, Vec<String>)>() else {
            continue;
        };
        if changed.contains_key("Checkpoints") || changed.contains_key("Startup") {
            let _ = teller.send(Told::Gate);
        }
        if changed.contains_key("PrimaryConnection") {
            let _ = teller.send(Told::Ground);
        }
    }
    Ok(())
}
