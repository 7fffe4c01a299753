//! Which profiles there are, and what they say.

use std::{collections::HashSet, sync::Arc, time::Duration};

use nmstate_ipsec_core::{
    daemon_api::ConnectionStatus,
    networkmanager::{is_libreswan, text},
    profile::{Profile, Settings, Uuid},
};
use tokio::time::Instant;
use zbus::zvariant::OwnedObjectPath;

use super::{
    candidate::{Came, Candidate, Event, State},
    keeper::Keeper,
    known::{Known, wish, without_notes},
    sources::Told,
};
use crate::{
    connection::Listener,
    history::now,
    networkmanager::{self, ACTIVATED},
};

/// How long it rests when it does not answer as it should.
const NETWORKMANAGER_REST: Duration = Duration::from_secs(5);

/// How long NetworkManager may take to say what it has before it is asked again.
const NETWORKMANAGER_TIME_OUT: Duration = Duration::from_secs(30);

impl Keeper {
    /// Reads all profiles, and what is active.
    pub(super) async fn list(&mut self) {
        let profiles = self.shared.profiles.clone();
        if let Err(error) = profiles.networkmanager(NETWORKMANAGER_TIME_OUT).await {
            tracing::warn!("nothing is brought up by itself until NetworkManager is there: {error}");
            // Its arrival is told.
            if networkmanager::is_there(&profiles.bus).await {
                self.list_later();
            }
            return;
        }
        self.shared.gate.look(&profiles).await;
        let (stored, active) = match tokio::try_join!(profiles.all_of_libreswan(), profiles.all_active()) {
            Ok(listed) => listed,
            Err(error) => {
                tracing::error!("NetworkManager does not say which profiles it has: {error}");
                return self.list_later();
            }
        };
        let mut there = HashSet::new();
        for (path, settings) in stored {
            there.insert(text(&settings, "connection", "uuid").to_owned());
            self.learn(path, settings, Some(&active)).await;
        }
        let guarded = there.iter().filter_map(|uuid| uuid.parse().ok()).collect();
        self.shared.registry.guards().keep_only(&guarded).await;
        for uuid in self.uuids(|_| true) {
            if !there.contains(&uuid) {
                self.forget(&uuid).await;
                continue;
            }
            let is_active = active.iter().any(|(known, ..)| *known == uuid);
            if is_active {
                continue;
            }
            let Some(known) = self.known.get_mut(&uuid) else {
                continue;
            };
            // Another NetworkManager numbers its activations anew.
            known.activation = None;
            if matches!(known.candidate.state, State::Active(_)) {
                self.step(
                    &uuid,
                    Event::Inactive(Came::Unable("it went while nobody looked".into())),
                );
            }
        }
        self.has_listed = true;
        // Whoever waits may have waited for NetworkManager.
        for uuid in self.uuids(|_| true) {
            self.step(&uuid, Event::HostChanged);
        }
        self.look();
    }

    /// Has everything listed again a little later.
    fn list_later(&self) {
        let teller = self.shared.teller.clone();
        tokio::spawn(async move {
            tokio::time::sleep(NETWORKMANAGER_REST).await;
            let _ = teller.send(Told::Everything);
        });
    }

    /// Reads one profile.
    pub(super) async fn read(&mut self, path: OwnedObjectPath) {
        // It may have gone since; that is told too.
        let Ok(settings) = self.shared.profiles.settings_at(&path).await else {
            return;
        };
        if is_libreswan(&settings) {
            self.learn(path, settings, None).await;
        }
    }

    /// Reads the profile with the UUID, and says whether its guard is in place.
    pub(super) async fn read_by_uuid(&mut self, uuid: &str) -> Option<bool> {
        let located = self.shared.profiles.path(uuid).await.ok()??;
        self.read(located.path).await;
        let mut status = [ConnectionStatus {
            uuid: self.known.get(uuid).map(|_| uuid.to_owned())?,
            ..ConnectionStatus::default()
        }];
        self.shared.registry.guards().describe(&mut status).await;
        Some(status[0].is_guarded)
    }

    /// Takes note of what a profile says. In a listing also of its activation among those that are `active`, and its guard is
    /// set whatever is known: it may not have been possible before.
    async fn learn(
        &mut self,
        path: OwnedObjectPath,
        settings: Settings,
        active: Option<&[(String, OwnedObjectPath, u32)]>,
    ) {
        let settings = without_notes(settings);
        let uuid = text(&settings, "connection", "uuid").to_owned();
        // It names files.
        if uuid.parse::<Uuid>().is_err() {
            return;
        }
        let wish = wish(&settings);
        let activation = active.and_then(|active| active.iter().find(|(known, ..)| *known == uuid));
        let is_new = !self.known.contains_key(&uuid);
        let known = self.known.entry(uuid.clone()).or_insert_with(|| Known {
            path: path.clone(),
            name: String::new(),
            settings: Settings::new(),
            profile: None,
            changed: Instant::now(),
            activation: None,
            candidate: Candidate::new(wish, self.held.includes(&uuid)),
            told_since: now(),
        });
        known.path = path;
        if let Some((_, active, state)) = activation {
            known.activation = Some((active.clone(), now()));
            self.step(&uuid, Event::Active(*state == ACTIVATED));
        }
        let Some(known) = self.known.get_mut(&uuid) else {
            return;
        };
        if known.settings == settings {
            let profile = known.profile.clone().filter(|profile| profile.is_guarded);
            if let (Some(_), Some(profile)) = (active, profile) {
                self.guard(&profile).await;
            }
            return;
        }
        known.name = text(&settings, "connection", "id").to_owned();
        known.profile = Profile::from_settings(&settings).ok().map(Arc::new);
        known.changed = Instant::now();
        known.settings = settings;
        // One that is not valid keeps the guard that it has: a typing error must not let anything out.
        if let Some(profile) = known.profile.clone() {
            self.guard(&profile).await;
        }
        self.step(&uuid, Event::Profile(wish));
        if is_new {
            // What was taken down under an earlier daemon waits without another step.
            self.tell(&uuid);
        }
        if self.wanted.remove(&uuid) {
            self.step(&uuid, Event::Wanted);
        }
    }

    async fn guard(&self, profile: &Profile) {
        let guards = self.shared.registry.guards();
        guards.follow(&profile.uuid, Some(profile)).await;
    }

    pub(super) async fn forget(&mut self, uuid: &str) {
        if let Ok(uuid) = uuid.parse() {
            self.shared.registry.guards().follow(&uuid, None).await;
        }
        self.shared.registry.leave(uuid, Listener::Keeper);
        self.known.remove(uuid);
        self.held.set(uuid, false);
        self.shared.registry.tries().set(uuid, None);
    }
}
