//! Deactivations that NetworkManager forgets.
//!
//! While NetworkManager takes a connection down it runs its `pre-down` scripts and waits for them. A plugin that says
//! meanwhile that it has lost the tunnel and reconnects (`StateChanged` to `STARTING`) has NetworkManager activate the
//! connection again: what was to be down is not (seen with 1.42 and 1.52). So nothing is said of a connection that is
//! being taken down, and where the two cross, NetworkManager is asked to take it down once more.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream::FuturesUnordered};
use nmstate_ipsec_core::networkmanager::{self, ActiveConnectionProxy};
use tokio::sync::{broadcast, watch};
use zbus::{
    Connection, MatchRule, MessageStream,
    message::Type,
    names::OwnedUniqueName,
    zvariant::{ObjectPath, OwnedObjectPath},
};

use super::{ACTIVATED, ACTIVATING, DEACTIVATING};

/// Most changes that somebody who listens may be behind with.
const BACKLOG: usize = 1024;

/// In place of an active connection's path: changes may have been missed before this.
pub const GAP: ObjectPath<'_> = ObjectPath::from_static_str_unchecked("/");

/// A change of an active connection: which one, and its state and the reason, `NM_ACTIVE_CONNECTION_STATE_*`.
pub type Change = (OwnedObjectPath, u32, u32);

/// As long as NetworkManager is listened to.
struct Listening<'a>(&'a Deactivations);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.listens.send_replace(false);
    }
}

/// What NetworkManager is taking down; also tells the changes of all active connections to whoever waits for some.
#[derive(Debug)]
pub struct Deactivations {
    known: Mutex<Known>,
    changes: broadcast::Sender<Change>,
    /// Whether NetworkManager is listened to.
    listens: watch::Sender<bool>,
}

impl Default for Deactivations {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            changes: broadcast::Sender::new(BACKLOG),
            listens: watch::Sender::new(false),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// The NetworkManager that says so; another one begins anew.
    networkmanager: Option<OwnedUniqueName>,
    /// UUIDs by active connection, as far as they are known yet.
    leaving: HashMap<OwnedObjectPath, Option<String>>,
}

impl Deactivations {
    /// Whether NetworkManager is taking the connection down.
    pub fn includes(&self, uuid: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.leaving.values().flatten().any(|leaving| leaving == uuid)
    }

    /// The changes of active connections from now on. One subscription on the bus serves all who wait.
    pub async fn changes(&self) -> broadcast::Receiver<Change> {
        let mut listens = self.listens.subscribe();
        // It lives as long as this does.
        let _ = listens.wait_for(|listens| *listens).await;
        self.changes.subscribe()
    }

    /// Listens to NetworkManager, and asks again for the deactivation of connections that it has forgotten, of those
    /// that `is_ours` knows by their UUIDs.
    ///
    /// # Errors
    /// The bus cannot be listened to. It ends otherwise only with the bus.
    pub async fn watch(&self, bus: &Connection, is_ours: impl Fn(&str) -> bool) -> zbus::Result<()> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(networkmanager::NAME)?
            .interface("org.freedesktop.NetworkManager.Connection.Active")?
            .member("StateChanged")?
            .build();
        let mut changes = MessageStream::for_match_rule(rule, bus, None).await?;
        self.listens.send_replace(true);
        let _listening = Listening(self);
        // What has happened while nobody listened is for those who wait to find out.
        let _ = self.changes.send((GAP.into(), 0, 0));
        // The stream is never left unread: what it has no room for any more stops all that comes from the bus.
        let mut asking = FuturesUnordered::new();
        loop {
            let change = tokio::select! {
                change = changes.try_next() => change?,
                Some(()) = asking.next() => continue,
            };
            let Some(change) = change else { return Ok(()) };
            let header = change.header();
            let (Some(path), Some(sender)) = (header.path(), header.sender()) else {
                continue;
            };
            let Ok((state, reason)) = change.body().deserialize::<(u32, u32)>() else {
                continue;
            };
            // Mostly nobody waits.
            let _ = self.changes.send((path.to_owned().into(), state, reason));
            let is_forgotten = self.changed(path, &sender.to_owned().into(), state);
            if state == DEACTIVATING || is_forgotten {
                asking.push(self.follow(bus, path.to_owned(), is_forgotten, &is_ours));
            }
        }
    }

    /// Finds out which connection is being taken down, or was to be and is forgotten.
    async fn follow(
        &self,
        bus: &Connection,
        path: ObjectPath<'static>,
        is_forgotten: bool,
        is_ours: &impl Fn(&str) -> bool,
    ) {
        // One that cannot be asked any more is gone.
        let Ok(uuid) = uuid(bus, &path).await else { return };
        if !is_forgotten {
            return self.identify(&path, uuid);
        }
        if !is_ours(&uuid) {
            return;
        }
        tracing::warn!(nm_connection = %uuid, "NetworkManager activates {uuid} again, which was to be down; asking once more");
        if let Err(error) = take_down(bus, &path).await {
            tracing::error!(nm_connection = %uuid, "failed to have NetworkManager take {uuid} down: {error}; see 'nmcli connection show --active'");
        }
    }

    /// Keeps in mind what `sender` says of an active connection. Whether it is activated although it was to be down.
    fn changed(&self, path: &ObjectPath<'_>, sender: &OwnedUniqueName, state: u32) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.networkmanager.as_ref() != Some(sender) {
            *known = Known {
                networkmanager: Some(sender.clone()),
                leaving: HashMap::new(),
            };
        }
        let was_leaving = known.leaving.remove(path).is_some();
        if state == DEACTIVATING {
            known.leaving.insert(path.to_owned().into(), None);
        }
        was_leaving && matches!(state, ACTIVATING | ACTIVATED)
    }

    fn identify(&self, path: &ObjectPath<'_>, uuid: String) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaving) = known.leaving.get_mut(path) {
            *leaving = Some(uuid);
        }
    }
}

async fn uuid(bus: &Connection, path: &ObjectPath<'_>) -> zbus::Result<String> {
    let active: ActiveConnectionProxy<'_> = networkmanager::at(bus, path.to_owned().into()).await?;
    active.uuid().await
}

async fn take_down(bus: &Connection, path: &ObjectPath<'_>) -> zbus::Result<()> {
    let manager = networkmanager::manager(bus).await?;
    manager.deactivate_connection(path).await
}

#[cfg(test)]
mod tests {
    use super::{super::DEACTIVATED, *};

    const PATH: ObjectPath<'_> =
        ObjectPath::from_static_str_unchecked("/org/freedesktop/NetworkManager/ActiveConnection/5");

    #[test]
    fn one_that_is_activated_again_on_its_way_down_is_forgotten() {
        let known = Deactivations::default();
        let networkmanager = ":1.11".try_into().unwrap();
        let says = |state| known.changed(&PATH, &networkmanager, state);
        assert!(!says(ACTIVATED));
        assert!(!says(DEACTIVATING));
        known.identify(&PATH, "5b2b1ea8".into());
        assert!(known.includes("5b2b1ea8"));
        assert!(says(ACTIVATING));
        assert!(!known.includes("5b2b1ea8"));
        assert!(!says(ACTIVATED));
        assert!(!says(DEACTIVATING));
        assert!(!says(DEACTIVATED));
        assert!(!known.includes("5b2b1ea8"));
    }

    #[test]
    fn another_networkmanager_counts_its_connections_anew() {
        let known = Deactivations::default();
        let (one, other) = (":1.11".try_into().unwrap(), ":1.12".try_into().unwrap());
        assert!(!known.changed(&PATH, &one, DEACTIVATING));
        assert!(!known.changed(&PATH, &other, ACTIVATING));
    }
}
