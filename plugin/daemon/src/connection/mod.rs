//! Every connection that was ever asked for: one worker each, which does one thing after the other.

pub mod machine;
mod work;
mod worker;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use nmstate_ipsec_core::{
    profile::{Profile, Uuid},
    render::PlutoName,
    updown::Updown,
};
use tokio::sync::{mpsc, oneshot};

use crate::{client::Client, libreswan::Libreswan};
use worker::{Request, Worker};

/// What all connections share.
#[derive(Debug)]
pub struct Host {
    /// The libreswan of the host.
    pub libreswan: Libreswan,
    /// The system bus, for systemd.
    pub bus: zbus::Connection,
    /// Where secrets files go.
    pub secrets_dir: PathBuf,
    /// The program that pluto runs as `leftupdown`.
    pub updown: PathBuf,
    /// Held while pluto is being started, so that one connection does it for all.
    pub starting: tokio::sync::Mutex<()>,
}

/// The connections, by UUID.
#[derive(Debug)]
pub struct Registry {
    host: Arc<Host>,
    entries: Mutex<HashMap<Uuid, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// The name in pluto of the latest activation, by which reports find their connection.
    name: PlutoName,
    requests: mpsc::UnboundedSender<Request>,
}

impl Registry {
    /// No connections yet.
    pub fn new(host: Host) -> Self {
        Self {
            host: Arc::new(host),
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// Begins to bring `profile` up for `client`, after whatever is still going on with it.
    pub fn activate(&self, profile: Profile, client: Client) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(profile.uuid.clone()).or_insert_with(|| Entry {
            name: profile.pluto_name(),
            requests: Worker::start(self.host.clone(), profile.uuid.clone()),
        });
        entry.name = profile.pluto_name();
        // A worker ends only with its registry.
        let _ = entry.requests.send(Request::Activate(Box::new(profile), client));
    }

    /// Takes the connection down; ends when pluto has nothing left of it.
    pub async fn deactivate(&self, uuid: &Uuid) {
        let (done, wait) = oneshot::channel();
        {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(entry) = entries.get(uuid) else { return };
            let _ = entry.requests.send(Request::Deactivate(done));
        }
        let _ = wait.await;
    }

    /// Takes every connection down, at once.
    pub async fn deactivate_all(&self) {
        let uuids: Vec<Uuid> = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.keys().cloned().collect()
        };
        futures_util::future::join_all(uuids.iter().map(|uuid| self.deactivate(uuid))).await;
    }

    /// Hands a report of the updown helper to the connection that it is about.
    pub fn report(&self, report: Updown) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.values().find(|entry| entry.name.owns(&report.connection)) {
            Some(entry) => {
                let _ = entry.requests.send(Request::Report(Box::new(report)));
            }
            None => tracing::debug!(
                connection = report.connection,
                "a report about an unknown connection"
            ),
        }
    }
}
