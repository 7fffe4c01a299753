//! Whoever keeps connections up: hears what happens, and begins tries.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use nmstate_ipsec_core::profile::Profile;
use tokio::{
    sync::{RwLock, Semaphore, mpsc, oneshot},
    time::Instant,
};
use zbus::zvariant::OwnedObjectPath;

use super::{
    AT_ONCE, Autoconnect, Shared,
    candidate::{Came, Event, Rest, State},
    gate::Gate,
    ground,
    held::Held,
    known::Known,
    sources::{self, Told},
};
use crate::{
    connection::{Listener, Registry},
    history::now,
    networkmanager::{ACTIVATED, BY_THE_USER, DEACTIVATED, profiles::Profiles},
};

/// Whoever brings them up; see [`Keeper::run`].
#[derive(Debug)]
pub struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) told: mpsc::UnboundedReceiver<Told>,
    pub(super) known: HashMap<String, Known>,
    pub(super) held: Held,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// What transactions want up whose profiles have not been read yet.
    pub(super) wanted: HashSet<String>,
    /// Whether the first listing is complete.
    pub(super) has_listed: bool,
    /// Whether the ground is being looked at, and whether it has changed since.
    pub(super) looks: bool,
    pub(super) looks_again: bool,
}

impl Keeper {
    /// Nothing is known yet. Nothing is brought up while `turn` is held by a transaction.
    pub(crate) fn new(
        registry: Arc<Registry>,
        profiles: Profiles,
        turn: Arc<RwLock<()>>,
    ) -> (Self, Autoconnect) {
        let (teller, told) = mpsc::unbounded_channel();
        let shared = Shared {
            registry,
            profiles,
            gate: Gate::new(turn),
            places: Semaphore::new(AT_ONCE),
            teller: teller.clone(),
        };
        let keeper = Self {
            shared: Arc::new(shared),
            told,
            known: HashMap::new(),
            held: Held::read(),
            waiting: Vec::new(),
            wanted: HashSet::new(),
            has_listed: false,
            looks: false,
            looks_again: false,
        };
        (keeper, Autoconnect(teller))
    }

    /// Keeps connections up; never ends.
    pub async fn run(mut self) {
        let shared = self.shared.clone();
        let telling = sources::tell(&shared.registry, &shared.profiles, &shared.teller);
        let keeping = async {
            loop {
                let due = self.due();
                let told = tokio::select! {
                    told = self.told.recv() => told,
                    () = until(due) => None,
                };
                match told {
                    Some(told) => self.take(told).await,
                    None => self.try_what_is_due(),
                }
                self.answer();
            }
        };
        tokio::join!(telling, keeping);
    }

    async fn take(&mut self, told: Told) {
        match told {
            Told::Everything => self.list().await,
            Told::Profile(path) => self.read(path).await,
            Told::Removed(path) => {
                let gone: Vec<String> = self.uuids(|known| known.path == path);
                for uuid in gone {
                    self.forget(&uuid).await;
                }
            }
            Told::Active(path, state, reason) => self.activation(path, state, reason).await,
            Told::Gate => self.shared.gate.look(&self.shared.profiles).await,
            Told::Ground => self.look(),
            Told::Host => {
                for uuid in self.uuids(|_| true) {
                    self.step(&uuid, Event::HostChanged);
                }
            }
            Told::Called(uuid) => self.step(&uuid, Event::Called),
            Told::Wanted(uuid, true) if !self.known.contains_key(&uuid) => {
                self.wanted.insert(uuid);
            }
            Told::Wanted(uuid, wanted) => {
                self.wanted.remove(&uuid);
                self.step(&uuid, if wanted { Event::Wanted } else { Event::Withdrawn });
            }
            Told::LooksEnded => {
                self.looks = false;
                if std::mem::take(&mut self.looks_again) {
                    self.look();
                }
            }
            Told::Looked(uuid, ground) => self.step(&uuid, Event::Ground(ground)),
            Told::Tries(uuid, ground) => {
                if let Some(known) = self.known.get_mut(&uuid) {
                    known.candidate.ground = Some(ground);
                }
            }
            Told::Ended(uuid, came) => self.ended(&uuid, came),
            Told::Read(uuid, answer) => {
                // Whoever asked may have left meanwhile.
                let _ = answer.send(self.read_by_uuid(&uuid).await);
            }
            Told::MayTry(uuid, answer) => {
                let known = self
                    .known
                    .get(&uuid)
                    .filter(|known| known.candidate.is_still_tried());
                // A try that was given up asks nobody.
                let _ = answer.send(known.map(|known| (known.profile.clone(), known.changed)));
            }
            Told::StillWaits(uuid, answer) => {
                let waits = |known: &Known| matches!(known.candidate.state, State::Waiting(_));
                let _ = answer.send(self.known.get(&uuid).is_some_and(waits));
            }
            Told::Settled(answer) => self.waiting.push(answer),
        }
    }

    pub(super) fn uuids(&self, is_wanted: impl Fn(&Known) -> bool) -> Vec<String> {
        let wanted = self.known.iter().filter(|(_, known)| is_wanted(known));
        wanted.map(|(uuid, _)| uuid.clone()).collect()
    }

    /// An active connection has changed.
    async fn activation(&mut self, path: OwnedObjectPath, state: u32, reason: u32) {
        let is_over = state == DEACTIVATED;
        let uuid = match self.shared.profiles.vpn_at(&path).await {
            Ok(Some(uuid)) => uuid,
            // A device perhaps.
            Ok(None) if state == ACTIVATED => return self.look(),
            Ok(None) => return,
            // It has gone.
            Err(_) => {
                let its = |known: &Known| known.activation.as_ref().is_some_and(|(known, _)| *known == path);
                match self.uuids(its).pop() {
                    Some(uuid) => uuid,
                    None => return,
                }
            }
        };
        let Some(known) = self.known.get_mut(&uuid) else {
            return;
        };
        if !is_over {
            // What had failed before it came up says nothing of what comes.
            if state == ACTIVATED || known.activation.as_ref().is_none_or(|(known, _)| *known != path) {
                known.activation = Some((path, now()));
            }
            return self.step(&uuid, Event::Active(state == ACTIVATED));
        }
        let was_own = self.shared.profiles.was_own(&path);
        // An earlier one that ends late says nothing of the one that is there now.
        let Some((_, since)) = known.activation.take_if(|(known, _)| *known == path) else {
            return;
        };
        let is_changing = self.shared.gate.is_changing(known.changed);
        let came = match self.shared.registry.history().last(&uuid, since) {
            _ if reason == BY_THE_USER && !was_own && !is_changing => Came::ByHand,
            Some(failure) => failure.into(),
            None => Came::Unable("it was taken down".into()),
        };
        self.step(&uuid, Event::Inactive(came));
    }

    /// A try has ended.
    fn ended(&mut self, uuid: &str, came: Came) {
        if let Some(known) = self.known.get(uuid) {
            let name = &known.name;
            match &came {
                Came::Failed { text, .. } | Came::Unable(text) => {
                    tracing::warn!(ipsec_connection = %name, ipsec_uuid = %uuid, nm_connection = %uuid, "connection '{name}' is not up yet: {text}");
                }
                Came::NotReady(missing) => {
                    tracing::info!(ipsec_connection = %name, ipsec_uuid = %uuid, nm_connection = %uuid, "connection '{name}' waits: {}", missing.text);
                }
                _ => {}
            }
        }
        self.step(uuid, Event::Ended(came));
    }

    /// Takes one connection through `event`.
    pub(super) fn step(&mut self, uuid: &str, event: Event) {
        let Some(known) = self.known.get_mut(uuid) else {
            return;
        };
        let before = known.candidate.state.clone();
        let tries = known.candidate.step(event, Instant::now());
        if known.candidate.state != before {
            known.told_since = now();
        } else if !tries {
            return;
        }
        if tries {
            tokio::spawn(self.shared.clone().attempt(uuid.to_owned()));
        }
        match known.candidate.state {
            State::Resting(Rest::ByHand) => self.held.set(uuid, true),
            State::Active(_) | State::Trying => self.held.set(uuid, false),
            // The peer may call meanwhile.
            State::Waiting(_) => {
                tokio::spawn(self.shared.clone().listen(uuid.to_owned()));
            }
            State::Resting(_) => {}
        }
        if matches!(known.candidate.state, State::Resting(_)) {
            self.shared.registry.leave(uuid, Listener::Keeper);
        }
        self.tell(uuid);
    }

    /// Lets others know what a connection waits for.
    pub(super) fn tell(&self, uuid: &str) {
        let Some(known) = self.known.get(uuid) else {
            return;
        };
        if self.shared.registry.tries().set(uuid, known.status()) {
            self.shared.registry.tell_try(known.name.clone(), uuid);
        }
    }

    fn due(&self) -> Option<Instant> {
        let waits = self
            .known
            .values()
            .filter_map(|known| match known.candidate.state {
                State::Waiting(until) => Some(until),
                _ => None,
            });
        waits.min()
    }

    fn try_what_is_due(&mut self) {
        let now = Instant::now();
        for uuid in self.uuids(|known| matches!(known.candidate.state, State::Waiting(until) if until <= now))
        {
            self.step(&uuid, Event::Due);
        }
    }

    /// Looks whether what connections wait for is there, one look after the other.
    pub(super) fn look(&mut self) {
        if std::mem::replace(&mut self.looks, true) {
            self.looks_again = true;
            return;
        }
        let waits = |known: &Known| {
            matches!(
                known.candidate.state,
                State::Waiting(_) | State::Resting(Rest::NotReady(_) | Rest::Refused(_))
            )
        };
        let waiting: Vec<(String, Arc<Profile>)> = self
            .known
            .iter()
            .filter(|(_, known)| waits(known))
            .filter_map(|(uuid, known)| Some((uuid.clone(), known.profile.clone()?)))
            .collect();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let looks = stream::iter(waiting).map(async |(uuid, profile)| {
                let ground = ground::look(&shared.profiles, &profile).await;
                let _ = shared.teller.send(Told::Looked(uuid, ground));
            });
            looks.buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
            let _ = shared.teller.send(Told::LooksEnded);
        });
    }

    /// Tells whoever waits for it that nothing is left to wait for.
    fn answer(&mut self) {
        let is_settled = |known: &Known| !known.candidate.is_to_be_up() || known.candidate.is_settled();
        if self.has_listed && self.known.values().all(is_settled) {
            for answer in self.waiting.drain(..) {
                let _ = answer.send(());
            }
        }
    }
}

/// Ends at that moment, if there is one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
