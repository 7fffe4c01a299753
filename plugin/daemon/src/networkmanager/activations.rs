//! What NetworkManager has active, by the UUIDs of profiles.

use std::{sync::PoisonError, time::Duration};

use futures_util::{StreamExt, stream};
use nmstate_ipsec_core::networkmanager::{ActiveConnectionProxy, DeviceProxy, ManagerProxy, at};
use tokio::sync::broadcast;
use zbus::{
    proxy::CacheProperties,
    zvariant::{ObjectPath, OwnedObjectPath},
};

use super::{
    ACTIVATED, DEACTIVATED,
    deactivation::{Change, GAP},
    profiles::{AT_ONCE, Known, Located, Profiles},
};

/// `NM_ACTIVE_CONNECTION_STATE_REASON_USER_DISCONNECTED`
pub(crate) const BY_THE_USER: u32 = 2;

/// Of so many activations it is known that we took them down.
const TAKEN_DOWN: usize = 1024;

/// How long NetworkManager and our daemon may take to take a connection down.
const DOWN_TIME_OUT: Duration = Duration::from_secs(30);

/// What became of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is activated.
    Up,
    /// It has failed.
    Failed,
    /// A user took it down.
    ByTheUser,
}

/// An activation that is up or on its way there.
pub(super) struct Running {
    pub(super) uuid: String,
    pub(super) path: OwnedObjectPath,
}

impl Profiles {
    /// Has NetworkManager take the connection down, without waiting for that: the next activation may begin, and our
    /// daemon sees to it that the two do not meet.
    pub(crate) async fn begin_down(&self, uuid: &str) -> zbus::Result<()> {
        for running in self.activations(uuid).await? {
            self.note_own(&running.path);
            // It may have gone by itself.
            let _ = self.manager().await?.deactivate_connection(&running.path).await;
        }
        Ok(())
    }

    /// Keeps in mind that it is us who take an activation down, and nobody by hand.
    fn note_own(&self, path: &OwnedObjectPath) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.taken_down.len() == TAKEN_DOWN {
            known.taken_down.pop_front();
        }
        known.taken_down.push_back(path.clone());
    }

    /// Whether it was us who took an activation down.
    pub(crate) fn was_own(&self, path: &OwnedObjectPath) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.taken_down.contains(path)
    }

    /// The UUID of the VPN that an activation is of, and nothing if it is of something else.
    ///
    /// # Errors
    /// It is not known and has gone.
    pub(crate) async fn vpn_at(&self, path: &OwnedObjectPath) -> zbus::Result<Option<String>> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.vpns.get(path).cloned()
        };
        match known {
            Some(uuid) => Ok(uuid),
            None => self.ask_which(path.clone()).await,
        }
    }

    /// Asks NetworkManager which VPN an activation is of, and keeps that in mind.
    async fn ask_which(&self, path: OwnedObjectPath) -> zbus::Result<Option<String>> {
        let active: ActiveConnectionProxy<'_> = at(&self.bus, path.clone()).await?;
        let is_vpn = active.type_().await? == "vpn";
        let uuid = if is_vpn { Some(active.uuid().await?) } else { None };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.vpns.insert(path, uuid.clone());
        Ok(uuid)
    }

    /// Takes the connection down and waits until it is.
    pub(crate) async fn take_down(&self, uuid: &str) -> zbus::Result<()> {
        let mut changes = self.activity.changes().await;
        for Running { path, .. } in self.activations(uuid).await? {
            self.note_own(&path);
            if self.manager().await?.deactivate_connection(&path).await.is_err() {
                continue;
            }
            let down = async {
                while self
                    .change(&path, &mut changes, |state| state == DEACTIVATED)
                    .await
                    .is_none()
                {
                    if self.state(&path).await == DEACTIVATED {
                        return;
                    }
                }
            };
            if tokio::time::timeout(DOWN_TIME_OUT, down).await.is_err() {
                return Err(zbus::Error::Failure(format!(
                    "NetworkManager did not take it down within {} s",
                    DOWN_TIME_OUT.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// Which activation of NetworkManager's the VPN on top of a device is to be brought up on: that of `base`, the name of
    /// the device that leads to the peer, if it is known and NetworkManager's.
    pub(crate) async fn base(&self, base: Option<&str>) -> Option<OwnedObjectPath> {
        let device = self.manager().await.ok()?.get_device_by_ip_iface(base?).await;
        let device: DeviceProxy<'_> = at(&self.bus, device.ok()?).await.ok()?;
        device.active_connection().await.ok()
    }

    /// The UUIDs of VPNs that are up or on their way there, with their activations and states.
    pub(crate) async fn all_active(&self) -> zbus::Result<Vec<(String, OwnedObjectPath, u32)>> {
        let mut found = Vec::new();
        for running in self.running(&self.vpns().await?, |_| true).await? {
            let state = self.state(&running.path).await;
            found.push((running.uuid, running.path, state));
        }
        Ok(found)
    }

    /// Tells of the changes of active connections from now on.
    pub(crate) async fn changes(&self) -> broadcast::Receiver<Change> {
        self.activity.changes().await
    }

    /// Whether NetworkManager has a connection with a default route, on top of which it brings up what it is told nothing
    /// about.
    pub(crate) async fn has_primary(&self) -> bool {
        let Ok(manager) = self.manager().await else {
            return false;
        };
        let primary = manager.primary_connection().await;
        primary.is_ok_and(|primary| primary.as_str() != "/")
    }

    /// Begins to bring the profile up on top of the activation `base`.
    pub(crate) async fn begin_up(
        &self,
        located: &Located,
        base: Option<OwnedObjectPath>,
    ) -> zbus::Result<OwnedObjectPath> {
        let none = ObjectPath::from_static_str_unchecked("/");
        let base = base.unwrap_or_else(|| none.clone().into());
        let manager = ManagerProxy::builder(&self.bus)
            .destination(located.owner.clone())?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        manager.activate_connection(&located.path, &none, &base).await
    }

    /// Waits until the activation is over, which it also is when NetworkManager is another one.
    pub(crate) async fn end_of(&self, activation: &OwnedObjectPath) -> zbus::Result<Ended> {
        let mut changes = self.activity.changes().await;
        let mut came = Box::pin(self.networkmanager_comes().await?);
        let is_over = |state| matches!(state, ACTIVATED | DEACTIVATED);
        let over = async {
            loop {
                match self.state(activation).await {
                    state if is_over(state) => return (state, 0),
                    _ => {}
                }
                if let Some(change) = self.change(activation, &mut changes, is_over).await {
                    return change;
                }
            }
        };
        tokio::select! {
            ended = over => Ok(match ended {
                (ACTIVATED, _) => Ended::Up,
                (_, BY_THE_USER) => Ended::ByTheUser,
                _ => Ended::Failed,
            }),
            Some(()) = came.next() => Ok(Ended::Failed),
        }
    }

    /// The state of an active connection. One that cannot be asked any more is deactivated.
    pub(crate) async fn state(&self, path: &OwnedObjectPath) -> u32 {
        match at::<ActiveConnectionProxy<'_>>(&self.bus, path.clone()).await {
            Ok(active) => active.state().await.unwrap_or(DEACTIVATED),
            Err(_) => DEACTIVATED,
        }
    }

    /// The next state of an active connection that `is_wanted`, and the reason; nothing if changes were missed, of which
    /// there have been too many to keep all.
    async fn change(
        &self,
        path: &OwnedObjectPath,
        changes: &mut broadcast::Receiver<Change>,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Option<(u32, u32)> {
        loop {
            let (changed, state, reason) = changes.recv().await.ok()?;
            if *changed == GAP {
                return None;
            }
            if changed == *path && is_wanted(state) {
                return Some((state, reason));
            }
        }
    }

    /// Whether the profile is activated by what it was when profiles were listed last, and nothing else need be asked.
    pub(crate) async fn is_still_up(&self, uuid: &str) -> bool {
        let path = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let mut vpns = known.vpns.iter();
            vpns.find(|(_, known)| known.as_deref() == Some(uuid))
                .map(|(path, _)| path.clone())
        };
        match path {
            Some(path) => self.state(&path).await == ACTIVATED,
            None => false,
        }
    }

    /// The activation of the profile, if there is one.
    pub(crate) async fn activation(&self, uuid: &str) -> zbus::Result<Option<OwnedObjectPath>> {
        let activations = self.activations(uuid).await?;
        Ok(activations.into_iter().next().map(|running| running.path))
    }

    /// The activations of the profile that are up or on their way there.
    async fn activations(&self, uuid: &str) -> zbus::Result<Vec<Running>> {
        self.running(&self.vpns().await?, |known| known == uuid).await
    }

    /// Those of `vpns` that are up or on their way there, if `is_wanted` says so of their UUIDs.
    pub(super) async fn running(
        &self,
        vpns: &[(OwnedObjectPath, String)],
        is_wanted: impl Fn(&str) -> bool,
    ) -> zbus::Result<Vec<Running>> {
        let mut found = Vec::new();
        for (path, uuid) in vpns.iter().filter(|(_, uuid)| is_wanted(uuid)) {
            let active: ActiveConnectionProxy<'_> = at(&self.bus, path.clone()).await?;
            // One that cannot be asked any more has gone meanwhile.
            if active.state().await.is_ok_and(|state| state <= ACTIVATED) {
                let (uuid, path) = (uuid.clone(), path.clone());
                found.push(Running { uuid, path });
            }
        }
        Ok(found)
    }

    /// All active VPN connections with their UUIDs, also those on their way down.
    pub(super) async fn vpns(&self) -> zbus::Result<Vec<(OwnedObjectPath, String)>> {
        let owner = self.owner().await?;
        let paths = self.manager().await?.active_connections().await?;
        let unknown: Vec<OwnedObjectPath> = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.owner != owner {
                *known = Known {
                    owner,
                    ..Known::default()
                };
            }
            known.vpns.retain(|path, _| paths.contains(path));
            let unknown = paths.iter().filter(|path| !known.vpns.contains_key(*path));
            unknown.cloned().collect()
        };
        // One that cannot be asked any more has gone meanwhile.
        let asked = stream::iter(unknown).map(|path| self.ask_which(path));
        asked.buffer_unordered(AT_ONCE).for_each(async |_| {}).await;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let uuid = |path: OwnedObjectPath| Some((path.clone(), known.vpns.get(&path)?.clone()?));
        Ok(paths.into_iter().filter_map(uuid).collect())
    }
}
