//! Guards: what a connection encrypts does not leave in clear, whatever becomes of pluto, of the kernel's policies or of us.
//!
//! A guard is there as long as its profile is and asks for it, whether the connection is up or not. Its rules are in the
//! kernel, and in a file, from which [`load_all`] puts them back before the host has a network. It is a wish of the
//! profile's ([`Guards::follow`]); where names lead is found out when the connection is brought up ([`Guards::resolved`]),
//! which does not go on without it.
//!
//! Whoever empties the kernel's rules takes guards along. They are set again by whatever happens next to the connection: a
//! tunnel that is lost is tried for at once, and every try begins with that.

mod boot;
mod files;
mod nft;
mod rules;
mod selectors;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use nmstate_ipsec_core::{
    connection::{Connection, HostAddress},
    daemon_api::ConnectionStatus,
    profile::{Profile, Uuid},
    reason::Reason,
    render::ResolvedEnds,
};
use tokio::sync::Mutex;

pub use boot::load_all;
use files::Files;
use nft::{Nft, NftError};

use crate::resolve;

/// How the program is called; it is looked for where programs of the system are.
const NFT: &str = "nft";

/// Most addresses of a name that are kept in mind. Programs that have looked the name up keep to what they have found, so
/// that an address that the name led to before stays held back.
const PEERS: usize = 4;

/// All guards of this host. A copy is the same guards.
#[derive(Debug, Clone)]
pub struct Guards(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    nft: Nft,
    /// What profiles ask for, as far as they have been told of. Locked while anything is changed.
    wishes: Mutex<HashMap<Uuid, Wish>>,
}

/// What a profile asks for.
#[derive(Debug, Clone)]
enum Wish {
    /// A guard for this connection.
    Guarded(Arc<Connection>),
    /// None; or the profile has gone.
    Unguarded,
}

/// Why a guard was not set, or did not go.
#[derive(Debug, thiserror::Error)]
enum GuardError {
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error("failed to write its rules into {dir}: {source}")]
    File { dir: String, source: io::Error },
}

impl Guards {
    /// The guards whose files are below `state_dir`. Nothing is changed yet.
    pub fn new(state_dir: &Path) -> Self {
        Self::with_program(state_dir, Path::new(NFT))
    }

    /// The same with another program in nft's place.
    fn with_program(state_dir: &Path, nft: &Path) -> Self {
        Self(Arc::new(Inner {
            files: Files::new(state_dir),
            nft: Nft::new(nft),
            wishes: Mutex::default(),
        }))
    }

    /// Does what the profile with the UUID says now; `None` is said of one that has gone. What cannot be done is logged.
    ///
    /// Of a peer that has a name all known addresses are held back. If none is known the name is looked up, which is not
    /// waited for.
    pub async fn follow(&self, uuid: &Uuid, profile: Option<&Profile>) {
        let wish = match profile.filter(|profile| profile.is_guarded) {
            Some(profile) => Wish::Guarded(Arc::new(profile.connection.clone())),
            None => Wish::Unguarded,
        };
        let done = {
            let mut wishes = self.0.wishes.lock().await;
            wishes.insert(uuid.clone(), wish.clone());
            match &wish {
                Wish::Guarded(connection) => self.0.set(uuid, connection, None).await,
                Wish::Unguarded => self.0.remove(uuid).await.map(|()| true),
            }
        };
        match (done, wish) {
            (Ok(true), _) | (Ok(false), Wish::Unguarded) => {}
            (Ok(false), Wish::Guarded(connection)) => self.look_up(uuid.clone(), connection),
            (Err(error), Wish::Guarded(_)) => failed(uuid, "failed to set the guard", &error),
            (Err(error), Wish::Unguarded) => failed(uuid, "failed to take the guard away", &error),
        }
    }

    /// Takes every guard away but those of the connections `uuids`, after a full listing of profiles. What cannot be done is
    /// logged.
    pub async fn keep_only(&self, uuids: &HashSet<Uuid>) {
        let mut wishes = self.0.wishes.lock().await;
        let mut known: HashSet<Uuid> = match self.0.nft.counters().await {
            Ok(counters) => counters.into_keys().collect(),
            Err(error) => {
                tracing::error!("failed to list the guards that the kernel has: {error}");
                HashSet::new()
            }
        };
        match self.0.files.all() {
            Ok(files) => known.extend(files),
            Err(error) => tracing::error!("failed to list {}: {error}", self.0.files.dir().display()),
        }
        for uuid in known.difference(uuids) {
            wishes.insert(uuid.clone(), Wish::Unguarded);
            if let Err(error) = self.0.forget(uuid).await {
                failed(uuid, "failed to take the guard away", &error);
            }
        }
    }

    /// Has the guard of the connection, if it is to have one, hold back what goes to the peer at the address that was found.
    /// What the profile says now counts, not what it said when the connection was asked for.
    ///
    /// # Errors
    /// The guard is not in place.
    pub async fn resolved(&self, profile: &Profile, ends: &ResolvedEnds) -> Result<(), Reason> {
        let uuid = &profile.uuid;
        let wishes = self.0.wishes.lock().await;
        let connection = match wishes.get(uuid) {
            Some(Wish::Guarded(connection)) => connection.clone(),
            None if profile.is_guarded => Arc::new(profile.connection.clone()),
            None | Some(Wish::Unguarded) => return Ok(()),
        };
        let is_same_peer = connection.right == profile.connection.right;
        let peer = ends.right.address().filter(|_| is_same_peer);
        let set = self.0.set(uuid, &connection, peer).await;
        set.map(drop).map_err(|error| {
            failed(uuid, "failed to set the guard", &error);
            Reason::GuardFailed {
                detail: error.to_string(),
            }
        })
    }

    /// Says of each connection whether its guard is in place, and what that has held back.
    pub async fn describe(&self, connections: &mut [ConnectionStatus]) {
        let held_back = self.held_back().await;
        for status in connections {
            let uuid = status.uuid.parse::<Uuid>().ok();
            if let Some(packets) = uuid.and_then(|uuid| held_back.get(&uuid)) {
                (status.is_guarded, status.held_back) = (true, *packets);
            }
        }
    }

    /// How many packets each guard that is in place has held back; nothing if that cannot be found out.
    async fn held_back(&self) -> HashMap<Uuid, u64> {
        let is_empty = self.0.files.all().is_ok_and(|files| files.is_empty());
        if is_empty {
            return HashMap::new();
        }
        self.0.nft.counters().await.unwrap_or_else(|error| {
            tracing::warn!("failed to ask for what guards have held back: {error}");
            HashMap::new()
        })
    }

    /// Finds out where the peer is before anybody has asked for the connection.
    fn look_up(&self, uuid: Uuid, connection: Arc<Connection>) {
        let guards = self.clone();
        tokio::spawn(async move {
            let found = match resolve::ends(&connection).await {
                Ok(ends) => ends.right.address(),
                Err(reason) => {
                    return tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "the guard does not know its peer yet: {reason}");
                }
            };
            let wishes = guards.0.wishes.lock().await;
            // The profile may say something else by now.
            let is_wanted =
                matches!(wishes.get(&uuid), Some(Wish::Guarded(now)) if Arc::ptr_eq(now, &connection));
            if is_wanted && let Err(error) = guards.0.set(&uuid, &connection, found).await {
                failed(&uuid, "failed to set the guard", &error);
            }
        });
    }
}

impl Inner {
    /// Sets a guard, in the kernel and in its file, also if that has it already: somebody may have emptied the kernel's
    /// rules. `peer` is an address that was found just now. Tells whether the peer is known.
    async fn set(
        &self,
        uuid: &Uuid,
        connection: &Connection,
        peer: Option<IpAddr>,
    ) -> Result<bool, GuardError> {
        let before = self.files.read(uuid).map_err(|error| self.unwritten(error))?;
        let peers = match connection.right {
            HostAddress::Name(_) => newest_first(peer, rules::peers_in(&before, &connection.right)),
            _ => Vec::new(),
        };
        let text = rules::ruleset(uuid, connection, &peers);
        self.nft.load(&text).await?;
        if text != before {
            let written = self.files.write(uuid, &text);
            written.map_err(|error| self.unwritten(error))?;
            tracing::info!(ipsec_uuid = %uuid, nm_connection = %uuid, "the guard of the connection {uuid} is set");
        }
        Ok(!peers.is_empty() || !matches!(connection.right, HostAddress::Name(_)))
    }

    /// Takes a guard away, if there is one.
    async fn remove(&self, uuid: &Uuid) -> Result<(), GuardError> {
        let is_there = self.files.path(uuid).exists();
        if is_there { self.forget(uuid).await } else { Ok(()) }
    }

    /// Takes a guard away, be it in the kernel alone; the table goes with the last one.
    async fn forget(&self, uuid: &Uuid) -> Result<(), GuardError> {
        self.nft.load(&rules::removal(uuid)).await?;
        self.files.remove(uuid).map_err(|error| self.unwritten(error))?;
        if self.nft.counters().await?.is_empty() {
            self.nft.load(&rules::removal_of_table()).await?;
        }
        tracing::info!(ipsec_uuid = %uuid, nm_connection = %uuid, "the guard of the connection {uuid} is gone");
        Ok(())
    }

    fn unwritten(&self, source: io::Error) -> GuardError {
        let dir = self.files.dir().display().to_string();
        GuardError::File { dir, source }
    }
}

/// The address that was found, and those that are kept in mind.
fn newest_first(found: Option<IpAddr>, known: Vec<IpAddr>) -> Vec<IpAddr> {
    let known = known.into_iter().filter(|known| Some(*known) != found);
    let mut peers: Vec<IpAddr> = found.into_iter().chain(known).collect();
    peers.truncate(PEERS);
    peers
}

fn failed(uuid: &Uuid, what: &str, error: &GuardError) {
    tracing::error!(
        ipsec_uuid = %uuid,
        nm_connection = %uuid,
        ipsec_reason = "guard-failed",
        "{what} of the connection {uuid}: {error}"
    );
}
