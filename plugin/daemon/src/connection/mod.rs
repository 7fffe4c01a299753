//! Every connection that was ever asked for: one worker each, which does one thing after the other.

mod activation;
mod describe;
mod holds;
pub mod machine;
mod places;
mod surplus;
mod tries;
mod unload;
mod verify;
mod work;
mod worker;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nmstate_ipsec_core::{
    connection::ConnectMode,
    contract::PLUGIN_NAME,
    daemon_api::ConnectionStatus,
    networkmanager::text,
    profile::{Profile, Settings, Uuid},
    render::PlutoName,
    updown::Updown,
};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use zbus::names::OwnedUniqueName;

use crate::{
    addresses::{self, Deprecated},
    admission, bus,
    certificates::Certificates,
    client::Client,
    guard::Guards,
    history::History,
    kernel,
    libreswan::{Libreswan, process},
    networkmanager::{self, NetworkManager, deactivation::Deactivations},
    routing::{Devices, Routings},
    systemd,
};
use holds::Holds;
pub use places::Places;
use tries::WAITING;
pub use tries::{Tries, Try};
use worker::{Request, Worker};

/// How long adapters have to register with a daemon that was restarted; they do so when they hear of it.
const REGISTRATION_TIME: Duration = Duration::from_secs(30);

/// Most orphans that wait for the registry, which has nothing else to do.
const ORPHANS: usize = 1024;

/// How long pluto may take until nothing is left of a connection, among very many that end with it.
const END_TIME_OUT: Duration = Duration::from_secs(60);

/// How long a watch that has failed rests.
const WATCH_REST: Duration = Duration::from_secs(5);

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
    /// Had by those who are loaded into pluto or negotiate.
    pub places: Places,
    /// Held while pluto is being started, so that one connection does it for all.
    pub starting: tokio::sync::Mutex<()>,
    /// Tells the watch of pluto that it was started, where systemd does not.
    pub started: Notify,
    /// Whether pluto runs, as far as its watch has said so: it tells of changes.
    pub runs: watch::Sender<Option<bool>>,
    /// Asks the kernel's watch for a fresh listing.
    pub recheck: Notify,
    /// Why connections failed lately.
    pub history: History,
    /// Tells that an address or a device of the host has come or gone.
    pub addresses: watch::Sender<Deprecated>,
    /// Whoever is told of the connections.
    pub networkmanager: NetworkManager,
    /// What is being taken down there.
    pub deactivations: Arc<Deactivations>,
    /// Rules and routes of connections with a virtual device.
    pub routings: Routings,
    /// Their devices.
    pub devices: Devices,
    /// Certificates in libreswan's NSS database.
    pub certificates: Certificates,
    /// What keeps packets from leaving in clear while connections authenticate anew.
    pub holds: Holds,
    /// What holds packets back that would leave in clear, for those who ask for it.
    pub guards: Guards,
    /// What is known of connections that are to be up and are not.
    pub tries: Tries,
    /// Tells that certificates have changed or pluto has started: what was refused may not be any more.
    pub changed: watch::Sender<()>,
    /// Tells of connections that the peer has brought up and that nobody has asked for, by UUID.
    pub called: broadcast::Sender<String>,
    /// Tells the registry of connections of ours that have lost their IKE SA, by their names in pluto.
    pub orphans: broadcast::Sender<String>,
}

impl Host {
    /// Whether pluto has ended and no other is there yet. One that ends takes down what it has, and answers nobody meanwhile: its
    /// end is waited for, for `time_out` at most.
    pub(crate) async fn is_without_pluto(&self, time_out: Duration) -> bool {
        // Where there is no systemd, who has lost pluto starts it.
        if *self.runs.borrow() != Some(false) || !systemd::is_booted() {
            return false;
        }
        let mut runs = self.runs.subscribe();
        tokio::select! {
            has_ended = self.libreswan.has_ended() => has_ended,
            _ = runs.wait_for(|runs| *runs == Some(true)) => false,
            () = tokio::time::sleep(time_out) => false,
        }
    }

    /// A host on whose system bus `bus` is, with nothing going on.
    pub fn new(
        libreswan: Libreswan,
        bus: zbus::Connection,
        secrets_dir: PathBuf,
        updown: PathBuf,
        guards: Guards,
    ) -> Self {
        Self {
            guards,
            libreswan,
            bus,
            secrets_dir,
            updown,
            places: Places::new(),
            starting: tokio::sync::Mutex::default(),
            started: Notify::new(),
            runs: watch::Sender::default(),
            recheck: Notify::new(),
            history: History::default(),
            addresses: watch::Sender::new(Deprecated::new()),
            networkmanager: NetworkManager::default(),
            deactivations: Arc::default(),
            routings: Routings::default(),
            devices: Devices::default(),
            certificates: Certificates::default(),
            holds: Holds::default(),
            tries: Tries::default(),
            changed: watch::Sender::new(()),
            called: broadcast::Sender::new(ORPHANS),
            orphans: broadcast::Sender::new(ORPHANS),
        }
    }
}

impl Host {
    /// Keeps in mind which device the connection has; the one that it had before goes.
    fn expect_device(&self, profile: &Profile) {
        if let Some(before) = self.devices.expect(profile)
            && let Err(error) = self.devices.remove(&before)
        {
            tracing::error!("failed to remove the device {before}: {error}");
        }
    }
}

/// Who has pluto answer the peer for a connection that nobody has asked for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Whoever keeps connections up, until the next try.
    Keeper,
    /// A transaction that is about to have NetworkManager ask for it.
    Transaction,
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

    /// What NetworkManager's active connections come to.
    pub fn activations(&self) -> Arc<Deactivations> {
        self.host.deactivations.clone()
    }

    /// The certificates of this host.
    pub fn certificates(&self) -> &Certificates {
        &self.host.certificates
    }

    /// What holds packets of connections back that would leave in clear.
    pub fn guards(&self) -> &Guards {
        &self.host.guards
    }

    /// What all connections share.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Tells whoever listens that something else is known of a connection that is not up.
    pub(crate) fn tell_try(&self, name: String, uuid: &str) {
        let (bus, uuid) = (self.host.bus.clone(), uuid.to_owned());
        tokio::spawn(async move {
            if let Err(error) = bus::tell_change(&bus, &name, &uuid, WAITING).await {
                tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to tell of a change: {error}");
            }
        });
    }

    /// What is known of connections that are to be up and are not.
    pub fn tries(&self) -> &Tries {
        &self.host.tries
    }

    /// Has every connection that uses one of these certificates authenticate anew.
    pub fn renew(&self, nicknames: &[String]) {
        let nicknames: Arc<[String]> = nicknames.into();
        self.host.changed.send_replace(());
        self.tell_all(|| Request::Renewed(nicknames.clone()));
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

    /// Has pluto answer calls for the profile in `settings`, which is down and is going to be asked for. Ahead of a
    /// transaction nothing is held back or caught: what has a guard, or comes up on demand, waits until it is asked for.
    pub(crate) fn listen(&self, settings: &Settings, listener: Listener) {
        let admitted = admission::admit(settings, Path::new(admission::LIST_PATH));
        let listened = admitted.and_then(|profile| {
            let waits = profile.is_guarded || profile.connection.connect_mode == ConnectMode::OnDemand;
            if listener == Listener::Transaction && waits {
                return Ok(());
            }
            self.wish(profile, |profile| Request::Listen(profile, listener))
        });
        // Whoever asks for it is told.
        if let Err(error) = listened {
            let name = text(settings, "connection", "id");
            tracing::debug!("pluto does not answer for '{name}': {error}");
        }
    }

    /// Begins to negotiate what was taken for a transaction, which is about to have NetworkManager ask for it and can be undone.
    pub(crate) fn call(&self, uuid: &str) {
        self.tell(uuid, Request::Call);
    }

    /// Lets go of a connection that nobody has asked for: the keeper of any, a transaction of what it has listened for.
    pub(crate) fn leave(&self, uuid: &str, listener: Listener) {
        self.tell(uuid, Request::Leave(listener));
    }

    fn wish(&self, profile: Profile, request: impl FnOnce(Box<Profile>) -> Request) -> Result<(), String> {
        let name = profile.pluto_name();
        let mut entries = self.entries();
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

    /// Watches what can take connections down without being asked: the kernel, pluto and the host's addresses; and
    /// NetworkManager, which may forget that it was asked. Never ends: a watch that fails is set again.
    pub async fn watch(&self) {
        let host = &self.host;
        let kernel = lasting("the kernel's SAs and policies", || async {
            // What went while nobody watched is found by a listing.
            host.recheck.notify_one();
            kernel::watch(&host.recheck, |facts| {
                self.tell_all(|| Request::Kernel(facts.clone()));
            })
            .await
        });
        let pluto = async {
            let tell = |runs| {
                host.runs.send_replace(Some(runs));
                self.tell_all(|| Request::Pluto(runs));
                if runs {
                    host.changed.send_replace(());
                }
            };
            if systemd::is_booted() {
                lasting(systemd::IPSEC_UNIT, || systemd::watch_ipsec(&host.bus, tell)).await;
            } else {
                lasting("pluto", || process::watch(&host.started, tell)).await;
            }
        };
        let addresses = lasting("the host's addresses and devices", || {
            addresses::watch(&host.addresses)
        });
        let is_ours = |uuid: &str| self.entries().contains_key(uuid);
        let networkmanager = lasting("NetworkManager's connections", || {
            host.deactivations.watch(&host.bus, is_ours)
        });
        tokio::join!(kernel, pluto, addresses, networkmanager, self.hear_of_orphans());
    }

    async fn hear_of_orphans(&self) {
        let mut orphans = self.host.orphans.subscribe();
        while let Ok(name) = orphans.recv().await {
            let entries = self.entries();
            if let Some(entry) = entries.values().find(|entry| entry.name.owns(&name)) {
                let _ = entry.requests.send(Request::Orphaned);
            }
        }
    }

    /// Takes away what an earlier daemon left behind and no adapter stands for. Adapters that are there have a while to
    /// register theirs first.
    pub async fn sweep(&self) {
        // Without NetworkManager, as when the bus was restarted and both with it, nobody can ask for what is up. It stays.
        if let Err(error) = networkmanager::comes(&self.host.bus).await {
            tracing::error!("failed to wait for NetworkManager: {error}");
        }
        if has_adapters(&self.host.bus).await.unwrap_or(true) {
            tokio::time::sleep(REGISTRATION_TIME).await;
        }
        unload::sweep(&self.host, |short| {
            let entries = self.entries();
            !entries.keys().any(|uuid| uuid.short() == short)
        })
        .await;
    }

    /// Takes everything of ours out of pluto and of the kernel, whoever stands for it: soon none of our programs is there.
    pub async fn leave_host(&self) {
        unload::sweep(&self.host, |_| true).await;
        self.host.guards.keep_only(&HashSet::new()).await;
    }

    fn tell_all(&self, request: impl Fn() -> Request) {
        let entries = self.entries();
        for entry in entries.values() {
            let _ = entry.requests.send(request());
        }
    }

    /// Takes the connection down as far as `client` wanted it; ends when pluto has nothing left of that.
    pub async fn deactivate(&self, uuid: &Uuid, client: Option<OwnedUniqueName>) {
        match self.ask(uuid.as_str(), |done| Request::Deactivate(client, done)) {
            Some(answer) => {
                // A worker ends only with its registry.
                let _ = answer.await;
            }
            // An earlier daemon may have left it behind.
            None => unload::sweep(&self.host, |short| short == uuid.short()).await,
        }
    }

    /// Waits until nothing is left of a connection that NetworkManager calls down, which it does while pluto is still at it.
    pub(crate) async fn gone(&self, uuid: &str) {
        if let Some(answer) = self.ask(uuid, Request::AwaitEnd)
            && tokio::time::timeout(END_TIME_OUT, answer).await.is_err()
        {
            tracing::warn!(nm_connection = %uuid, "NetworkManager took {uuid} down, but pluto still has it");
        }
    }

    /// Asks the worker of a connection for something that it answers, if there is one.
    fn ask<T>(
        &self,
        uuid: &str,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Option<oneshot::Receiver<T>> {
        let (answer, answered) = oneshot::channel();
        self.tell(uuid, request(answer)).then_some(answered)
    }

    /// Whether the connection has a worker, which is told then.
    fn tell(&self, uuid: &str, request: Request) -> bool {
        let entries = self.entries();
        let entry = entries.get(uuid);
        entry.is_some_and(|entry| entry.requests.send(request).is_ok())
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every connection is doing, by name.
    pub async fn describe(&self) -> Vec<ConnectionStatus> {
        let asked: Vec<_> = {
            let entries = self.entries();
            let ask = |entry: &Entry| {
                let (answer, wait) = oneshot::channel();
                let _ = entry.requests.send(Request::Describe(answer));
                (entry.name.clone(), wait)
            };
            entries.values().map(ask).collect()
        };
        let mut tries = self.host.tries.all();
        if asked.is_empty() && tries.is_empty() {
            return Vec::new();
        }
        // pluto alone knows when it negotiates SAs anew. If it does not answer, the rest is told.
        let pluto = self.host.libreswan.status_soon().await.unwrap_or_default();
        let mut described = Vec::new();
        for (name, wait) in asked {
            // A worker ends only with its registry.
            if let Ok(mut status) = wait.await {
                status.timers = pluto.timers(&name);
                if let Some(known) = tries.remove(&status.uuid) {
                    known.tell(&mut status);
                }
                described.push(status);
            }
        }
        // Those that nobody has asked for yet.
        for (uuid, known) in tries {
            let mut status = ConnectionStatus {
                name: known.name.clone(),
                uuid,
                state: "down".to_owned(),
                since: known.since,
                ..ConnectionStatus::default()
            };
            known.tell(&mut status);
            described.push(status);
        }
        let failures = self.history().kept();
        for status in &mut described {
            if !status.certificate.is_empty()
                && let Some(validity) = self.certificates().validity(&status.certificate).await
            {
                status.certificate_until = u64::try_from(validity.not_after).unwrap_or_default();
            }
            let last = failures.iter().rfind(|failure| failure.uuid == status.uuid);
            status.failures.extend(last.cloned());
        }
        self.guards().describe(&mut described).await;
        described.sort_by(|one, other| one.name.cmp(&other.name));
        described
    }

    /// Sees that the connection is up and that the kernel has it as declared.
    ///
    /// # Errors
    /// What is not.
    pub async fn verify(&self, uuid: &str) -> Result<(), String> {
        let not_up = || Err("it is not up".to_owned());
        match self.ask(uuid, Request::Inspect) {
            Some(answer) => answer.await.unwrap_or_else(|_| not_up()),
            None => not_up(),
        }
    }

    /// Hands a report of the updown helper to the connection that it is about.
    pub fn report(&self, report: Updown) {
        let entries = self.entries();
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

/// Runs a watch that ends only when it fails, again and again.
async fn lasting<F, T, E>(what: &str, watch: impl Fn() -> F)
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    loop {
        match watch().await {
            Ok(_) => tracing::error!("the watch of {what} has ended; setting it again"),
            Err(error) => tracing::error!("the watch of {what} has failed: {error}; setting it again"),
        }
        tokio::time::sleep(WATCH_REST).await;
    }
}

/// Whether NetworkManager has plugins of ours running.
async fn has_adapters(bus: &zbus::Connection) -> zbus::Result<bool> {
    let names = zbus::fdo::DBusProxy::new(bus).await?.list_names().await?;
    Ok(names.iter().any(|name| name.as_str().starts_with(PLUGIN_NAME)))
}
