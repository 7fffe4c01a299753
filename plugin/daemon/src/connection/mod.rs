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
use tokio::sync::{Notify, mpsc, oneshot};
use zbus::names::OwnedUniqueName;

use crate::{client::Client, history::History, kernel, libreswan::Libreswan, systemd};
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
    /// Asks the kernel's watch for a fresh listing.
    pub recheck: Notify,
    /// Why connections failed lately.
    pub history: History,
}

impl Host {
    /// A host on whose system bus `bus` is, with nothing going on.
    pub fn new(libreswan: Libreswan, bus: zbus::Connection, secrets_dir: PathBuf, updown: PathBuf) -> Self {
        Self {
            libreswan,
            bus,
            secrets_dir,
            updown,
            starting: tokio::sync::Mutex::default(),
            recheck: Notify::new(),
            history: History::default(),
        }
    }
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

    /// Why connections failed lately.
    pub fn history(&self) -> &History {
        &self.host.history
    }

    /// Begins to bring `profile` up for `client`, after whatever is still going on with it.
    ///
    /// # Errors
    /// Another profile has its name in pluto.
    pub fn activate(&self, profile: Profile, client: Client) -> Result<(), String> {
        self.wish(profile, |profile| Request::Activate(profile, client))
    }

    /// Takes `profile`, which was up before this daemon was started, under this daemon's care for `client`.
    ///
    /// # Errors
    /// As those of [`Registry::activate`].
    pub fn register(&self, profile: Profile, client: Client) -> Result<(), String> {
        self.wish(profile, |profile| Request::Register(profile, client))
    }

    fn wish(&self, profile: Profile, request: impl FnOnce(Box<Profile>) -> Request) -> Result<(), String> {
        let name = profile.pluto_name();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Half of the name is chosen by whoever wrote the profile, and so is the UUID that the rest is from.
        if let Some((other, _)) = entries
            .iter()
            .find(|(uuid, entry)| entry.name == name && **uuid != profile.uuid)
        {
            return Err(format!(
                "the connection {other} is called '{name}' in pluto already; rename one of the two"
            ));
        }
        let entry = entries.entry(profile.uuid.clone()).or_insert_with(|| Entry {
            name: name.clone(),
            requests: Worker::start(self.host.clone(), profile.uuid.clone()),
        });
        entry.name = name;
        // A worker ends only with its registry.
        let _ = entry.requests.send(request(Box::new(profile)));
        Ok(())
    }

    /// Watches what can take connections down without being asked: the kernel and pluto. Never ends.
    pub async fn watch(&self) {
        let bus = &self.host.bus;
        let kernel = kernel::watch(&self.host.recheck, |facts| {
            self.tell_all(|| Request::Kernel(facts.clone()));
        });
        let pluto = systemd::watch_ipsec(bus, |runs| self.tell_all(|| Request::Pluto(runs)));
        let (kernel, pluto) = tokio::join!(kernel, pluto);
        tracing::error!("nothing is watched any more; the kernel: {kernel:?}, systemd: {pluto:?}");
    }

    fn tell_all(&self, request: impl Fn() -> Request) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.values() {
            let _ = entry.requests.send(request());
        }
    }

    /// Takes the connection down as far as `client` wanted it; ends when pluto has nothing left of that.
    pub async fn deactivate(&self, uuid: &Uuid, client: Option<OwnedUniqueName>) {
        let (done, wait) = oneshot::channel();
        {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(entry) = entries.get(uuid) else { return };
            let _ = entry.requests.send(Request::Deactivate(client, done));
        }
        let _ = wait.await;
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
