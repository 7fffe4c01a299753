//! Connections that are to be up whenever they can be.
//!
//! NetworkManager does not bring VPN profiles up by itself, whatever their `connection.autoconnect` says. It is done here,
//! for every profile of libreswan's that says so: as soon as what it needs is there, again when it was lost or failed, and
//! not against the will of whoever took it down.

mod attempt;
mod candidate;
mod gate;
mod ground;
mod held;
mod keeper;
mod known;
mod listing;
mod sources;

use std::sync::Arc;

pub use keeper::Keeper;
use tokio::sync::{Semaphore, oneshot};

use crate::{connection::Registry, networkmanager::profiles::Profiles};
use gate::Gate;
use sources::{Teller, Told};

/// Most connections that are tried at once.
const AT_ONCE: usize = 16;

/// What others ask of it.
#[derive(Debug, Clone)]
pub struct Autoconnect(Teller);

impl Autoconnect {
    /// A transaction wants the connection up, whatever its profile says, until it is.
    pub(crate) fn want(&self, uuid: &str) {
        let _ = self.0.send(Told::Wanted(uuid.to_owned(), true));
    }

    /// A transaction sees to the connection itself.
    pub(crate) fn withdraw(&self, uuid: &str) {
        let _ = self.0.send(Told::Wanted(uuid.to_owned(), false));
    }

    /// Something has happened to a device of NetworkManager's.
    pub(crate) fn ground_has_changed(&self) {
        let _ = self.0.send(Told::Ground);
    }

    /// Has a profile read, and says whether its guard is in place; nothing if there is no such profile.
    pub(crate) async fn read(&self, uuid: &str) -> Option<bool> {
        let (answer, read) = oneshot::channel();
        let _ = self.0.send(Told::Read(uuid.to_owned(), answer));
        read.await.ok().flatten()
    }

    /// Waits until every connection that is to be up is, or needs a person.
    pub(crate) async fn settled(&self) {
        let (answer, settled) = oneshot::channel();
        let _ = self.0.send(Told::Settled(answer));
        let _ = settled.await;
    }
}

/// What tries need.
#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    profiles: Profiles,
    gate: Gate,
    places: Semaphore,
    teller: Teller,
}
