//! One try to bring a connection up.

use std::{pin::pin, sync::Arc, time::Duration};

use nmstate_ipsec_core::profile::Profile;
use tokio::{
    sync::{SemaphorePermit, oneshot},
    time::Instant,
};
use zbus::zvariant::OwnedObjectPath;

use super::{
    Shared,
    candidate::{Came, Ground},
    gate::Open,
    ground,
    sources::{Told, Wanted},
};
use crate::{
    connection::Listener,
    history::now,
    networkmanager::{Ended, NO_REASON, REASON, profiles::Located},
};

/// A peer that has not answered by then is silent, and others need not wait for it.
const SILENT: Duration = Duration::from_secs(5);

/// How long transactions are kept waiting while names are resolved.
const LOOK: Duration = Duration::from_secs(10);

/// How long a place is kept while the gate is shut.
const SHUT: Duration = Duration::from_secs(1);

impl Shared {
    /// Tries it once, when its time has come, and tells what became of that.
    pub(super) async fn attempt(self: Arc<Self>, uuid: String) {
        let came = self.come(&uuid).await;
        let _ = self.teller.send(Told::Ended(uuid, came));
    }

    /// Has pluto answer the peer until the next try: two hosts that wait in turn would never meet.
    pub(super) async fn listen(self: Arc<Self>, uuid: String) {
        // A transaction sees itself to what it is about.
        let _turn = self.gate.turn().await;
        let (answer, waits) = oneshot::channel();
        let _ = self.teller.send(Told::StillWaits(uuid.clone(), answer));
        if !waits.await.unwrap_or(false) {
            return;
        }
        // Otherwise it has gone, or NetworkManager has.
        if let Ok(Some(settings)) = self.profiles.find(&uuid).await {
            self.registry.listen(&settings, Listener::Keeper);
        }
    }

    async fn come(&self, uuid: &str) -> Came {
        let since = now();
        let (begun, place) = match self.begin(uuid).await {
            Ok(begun) => begun,
            Err(error) => return Came::Unable(format!("NetworkManager does not try it: {error}")),
        };
        let activation = match begun {
            Begun::Activation(activation) => activation,
            Begun::Not(came) => return came,
        };
        let mut end = pin!(self.profiles.end_of(&activation));
        let ended = tokio::select! {
            ended = &mut end => ended,
            () = tokio::time::sleep(SILENT) => {
                drop(place);
                end.await
            }
        };
        match ended {
            Ok(Ended::Up) => Came::Up,
            Ok(Ended::ByTheUser)
                if !self.profiles.was_own(&activation) && !self.gate.is_changing(Instant::now()) =>
            {
                Came::ByHand
            }
            Ok(_) => self.failure(uuid, since),
            Err(error) => Came::Unable(error.to_string()),
        }
    }

    /// What the keeper of connections knows of a profile that is to be tried; nothing if that is not wanted any more.
    async fn wanted(&self, uuid: &str) -> Option<Wanted> {
        let (answer, wanted) = oneshot::channel();
        let _ = self.teller.send(Told::MayTry(uuid.to_owned(), answer));
        wanted.await.ok().flatten()
    }

    /// Has NetworkManager begin, unless it has already or what is needed is missing. The place among those who are tried
    /// comes along.
    async fn begin(&self, uuid: &str) -> zbus::Result<(Begun, Option<SemaphorePermit<'_>>)> {
        let not = |came| Ok((Begun::Not(came), None));
        let Some((_open, place, profile)) = self.turn(uuid).await else {
            return not(Came::Withdrawn);
        };
        let Some(profile) = profile else {
            return not(Came::Failed {
                code: "invalid-profile".into(),
                text: "the profile is not valid; 'nmcli connection up' says what is wrong with it".into(),
            });
        };
        if let Some(activation) = self.profiles.activation(uuid).await? {
            return Ok((Begun::Activation(activation), place));
        }
        if profile.is_guarded {
            self.registry.guards().follow(&profile.uuid, Some(&profile)).await;
        }
        let ground = match tokio::time::timeout(LOOK, ground::look(&self.profiles, &profile)).await {
            Ok(Ok(ground)) => ground,
            Ok(Err(missing)) => return not(Came::NotReady(missing)),
            Err(_) => {
                let text = "its names are not resolved in time, or NetworkManager does not answer";
                return not(Came::Unable(text.into()));
            }
        };
        let Some(located) = self.profiles.path(uuid).await? else {
            return not(Came::Gone);
        };
        let activation = self.activate(uuid, &located, ground).await?;
        Ok((Begun::Activation(activation), place))
    }

    /// Waits until it may be tried: the gate is open, and there is a place among those who are tried. Nothing if it is not
    /// wanted any more.
    async fn turn(&self, uuid: &str) -> Option<(Open, Option<SemaphorePermit<'_>>, Option<Arc<Profile>>)> {
        loop {
            let (profile, changed) = self.wanted(uuid).await?;
            // Who waits at the gate has no place: others, which it is open for, need one.
            drop(self.gate.pass(&self.profiles, changed).await);
            // The semaphore is never closed.
            let place = self.places.acquire().await.ok();
            let pass = self.gate.pass(&self.profiles, changed);
            let Ok(open) = tokio::time::timeout(SHUT, pass).await else {
                continue;
            };
            // What was wanted when the gate was shut may not be any more.
            let (_, now) = self.wanted(uuid).await?;
            if now == changed {
                return Some((open, place, profile));
            }
        }
    }

    async fn activate(&self, uuid: &str, located: &Located, ground: Ground) -> zbus::Result<OwnedObjectPath> {
        let base = ground.base.clone();
        let _ = self.teller.send(Told::Tries(uuid.to_owned(), ground));
        self.profiles.begin_up(located, base).await
    }

    fn failure(&self, uuid: &str, since: u64) -> Came {
        match self.registry.history().last(uuid, since) {
            Some(failure) => failure.into(),
            None => Came::Failed {
                code: REASON.into(),
                text: NO_REASON.into(),
            },
        }
    }
}

/// How a try begins.
enum Begun {
    /// NetworkManager is at it.
    Activation(OwnedObjectPath),
    /// Not at all.
    Not(Came),
}
