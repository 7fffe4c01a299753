//! NetworkManager's profiles and activations, by UUID.

use std::{
    collections::{HashMap, HashSet},
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use nmstate_ipsec_core::{
    daemon_api::Dictionary,
    networkmanager::{
        self, ActiveConnectionProxy, DeviceProxy, ManagerProxy, NAME, SettingsConnectionProxy, SettingsProxy,
        at, is_libreswan, text, value,
    },
    plan::Stored,
    profile::Settings,
};
use tokio::sync::broadcast;
use zbus::{
    Connection,
    fdo::{DBusProxy, NameOwnerChanged},
    proxy::CacheProperties,
    zvariant::{ObjectPath, OwnedObjectPath},
};

use crate::networkmanager::{
    ACTIVATED, DEACTIVATED,
    deactivation::{Change, Deactivations, GAP},
};

/// `NM_SETTINGS_UPDATE2_FLAG_TO_DISK`, which means the same for `AddConnection2`; and no autoconnect by that.
const TO_DISK: u32 = 0x1;
const BLOCK_AUTOCONNECT: u32 = 0x20;

/// How profiles are stored.
const STORED: u32 = TO_DISK | BLOCK_AUTOCONNECT;

/// `NM_ACTIVE_CONNECTION_STATE_REASON_USER_DISCONNECTED`
const BY_THE_USER: u32 = 2;

/// How long NetworkManager and our daemon may take to take a connection down.
const DOWN_TIME_OUT: Duration = Duration::from_secs(30);

/// Most questions that NetworkManager is asked at once.
const AT_ONCE: usize = 16;

/// How often a NetworkManager that is starting is asked.
const STARTING_STEP: Duration = Duration::from_millis(200);

/// So many times longer may one take that is on the bus.
const STARTING_PATIENCE: u32 = 10;

/// What became of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is activated.
    Up,
    /// It has failed.
    Failed,
    /// A user took it down.
    ByTheUser,
}

/// NetworkManager's profiles.
#[derive(Debug, Clone)]
pub(super) struct Profiles {
    pub(super) bus: Connection,
    known: Arc<Mutex<Known>>,
    activity: Arc<Deactivations>,
}

/// What does not change of active connections, so that very many of them are not asked each time.
#[derive(Debug, Default)]
struct Known {
    /// The NetworkManager that they are of; another one counts anew.
    owner: String,
    /// UUIDs of VPNs by path; of other connections there is none.
    vpns: HashMap<OwnedObjectPath, Option<String>>,
    /// Where profiles are, by UUID.
    profiles: HashMap<String, OwnedObjectPath>,
}

/// Where a profile is. NetworkManager numbers them anew when it is started, so that a path says something to the one alone
/// that gave it.
#[derive(Debug, Clone)]
pub(super) struct Located {
    owner: String,
    path: OwnedObjectPath,
}

/// An activation that is up or on its way there.
struct Running {
    uuid: String,
    path: OwnedObjectPath,
}

impl Profiles {
    /// Those of the NetworkManager on `bus`.
    pub(super) fn new(bus: Connection, activity: Arc<Deactivations>) -> Self {
        Self {
            bus,
            activity,
            known: Arc::default(),
        }
    }

    pub(super) async fn manager(&self) -> zbus::Result<ManagerProxy<'static>> {
        networkmanager::manager(&self.bus).await
    }

    /// libreswan's profiles with these names, secrets included; of one name the one that was active last comes first.
    pub(super) async fn named(&self, names: &HashSet<&str>) -> zbus::Result<Vec<Stored>> {
        let settings = SettingsProxy::builder(&self.bus)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let (vpns, all) = tokio::try_join!(self.vpns(), settings.list_connections())?;
        let mut asked = stream::iter(all)
            .map(async |path| {
                let profile: SettingsConnectionProxy<'_> = at(&self.bus, path.clone()).await?;
                // It may have gone since.
                let Ok(mut settings) = profile.get_settings().await else {
                    return Ok(None);
                };
                if !names.contains(text(&settings, "connection", "id")) || !is_libreswan(&settings) {
                    return Ok(None);
                }
                fill_in_secrets(&profile, &mut settings).await?;
                let uuid = text(&settings, "connection", "uuid");
                self.remember(uuid, path);
                let is_active = !self.running(&vpns, |known| known == uuid).await?.is_empty();
                Ok::<_, zbus::Error>(Some(Stored { settings, is_active }))
            })
            .buffered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(stored) = asked.next().await {
            found.extend(stored?);
        }
        drop(asked);
        found.sort_by_key(|stored| std::cmp::Reverse(timestamp(&stored.settings)));
        Ok(found)
    }

    /// Waits until NetworkManager answers. It takes its name before it has its objects, and tells of neither.
    ///
    /// # Errors
    /// It does not come in time. One that is there may take a multiple of it, as when the host boots.
    pub(super) async fn networkmanager(&self, time_out: Duration) -> zbus::Result<()> {
        let answers = async {
            loop {
                let settings = SettingsProxy::new(&self.bus).await?;
                match settings.list_connections().await {
                    Ok(_) => return Ok(()),
                    Err(error) => tracing::debug!("NetworkManager does not answer yet: {error}"),
                }
                tokio::time::sleep(STARTING_STEP).await;
            }
        };
        let mut answers = Box::pin(answers);
        let bus = DBusProxy::new(&self.bus).await?;
        for _ in 0..STARTING_PATIENCE {
            if let Ok(answers) = tokio::time::timeout(time_out, &mut answers).await {
                return answers;
            }
            if !bus.name_has_owner(NAME.try_into()?).await? {
                return Err(zbus::Error::Failure("NetworkManager does not run".into()));
            }
        }
        Err(zbus::Error::Failure("NetworkManager does not answer".into()))
    }

    /// NetworkManager's arrivals on the bus from now on.
    pub(super) async fn networkmanager_comes(&self) -> zbus::Result<impl Stream<Item = ()> + use<>> {
        let bus = DBusProxy::new(&self.bus).await?;
        let changes = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
        let is_arrival =
            |change: &NameOwnerChanged| change.args().is_ok_and(|change| change.new_owner().is_some());
        Ok(changes.filter_map(move |change| ready(is_arrival(&change).then_some(()))))
    }

    /// The paths of all checkpoints that there are.
    pub(super) async fn checkpoints(&self) -> zbus::Result<Vec<String>> {
        let paths = self.manager().await?.checkpoints().await?;
        Ok(paths.iter().map(ToString::to_string).collect())
    }

    /// libreswan's profiles that are active or on their way there, with their UUIDs.
    pub(super) async fn active_profiles(&self) -> zbus::Result<Vec<(String, Settings)>> {
        let mut found = Vec::new();
        for running in self.running(&self.vpns().await?, |_| true).await? {
            if let Some(settings) = self.find(&running.uuid).await?.filter(is_libreswan) {
                found.push((running.uuid, settings));
            }
        }
        Ok(found)
    }

    /// The profile with the UUID and where it is.
    pub(super) async fn without_secrets(&self, uuid: &str) -> zbus::Result<Option<(Located, Settings)>> {
        let Some(located) = self.path(uuid).await? else {
            return Ok(None);
        };
        let settings = self.profile_at(&located).await?.get_settings().await?;
        Ok(Some((located, settings)))
    }

    /// The profile with the UUID, secrets included.
    pub(super) async fn find(&self, uuid: &str) -> zbus::Result<Option<Settings>> {
        let Some(profile) = self.profile(uuid).await? else {
            return Ok(None);
        };
        let mut settings = profile.get_settings().await?;
        fill_in_secrets(&profile, &mut settings).await?;
        Ok(Some(settings))
    }

    /// Stores a profile, new or in place of the one with its UUID, and says where it is.
    pub(super) async fn store(&self, uuid: &str, settings: &Settings) -> zbus::Result<Located> {
        match self.path(uuid).await? {
            Some(located) => {
                let profile = self.profile_at(&located).await?;
                profile.update2(settings, STORED, Dictionary::new()).await?;
                Ok(located)
            }
            None => self.add(settings).await,
        }
    }

    fn remember(&self, uuid: &str, path: OwnedObjectPath) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.profiles.insert(uuid.to_owned(), path);
    }

    /// Stores a profile that is new.
    pub(super) async fn add(&self, settings: &Settings) -> zbus::Result<Located> {
        let (owner, all) = self.all().await?;
        let (path, _) = all.add_connection2(settings, STORED, Dictionary::new()).await?;
        Ok(Located { owner, path })
    }

    /// All profiles of the NetworkManager that there is now, and its own name on the bus.
    async fn all(&self) -> zbus::Result<(String, SettingsProxy<'static>)> {
        let owner = self.owner().await?;
        let all = SettingsProxy::builder(&self.bus)
            .destination(owner.clone())?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok((owner, all))
    }

    async fn owner(&self) -> zbus::Result<String> {
        let bus = DBusProxy::builder(&self.bus)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok(bus.get_name_owner(NAME.try_into()?).await?.to_string())
    }

    async fn profile_at(&self, located: &Located) -> zbus::Result<SettingsConnectionProxy<'static>> {
        SettingsConnectionProxy::builder(&self.bus)
            .destination(located.owner.clone())?
            .path(located.path.clone())?
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    /// Deletes a profile, after its connection is down; one that is not there is gone already.
    pub(super) async fn delete(&self, uuid: &str) -> zbus::Result<()> {
        self.take_down(uuid).await?;
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let path = known.profiles.remove(uuid);
            path.map(|path| Located {
                owner: known.owner.clone(),
                path,
            })
        };
        if let Some(located) = known
            && self.profile_at(&located).await?.delete().await.is_ok()
        {
            return Ok(());
        }
        match self.profile(uuid).await? {
            Some(profile) => profile.delete().await,
            None => Ok(()),
        }
    }

    /// Has NetworkManager take the connection down, without waiting for that: the next activation may begin, and our
    /// daemon sees to it that the two do not meet.
    pub(super) async fn begin_down(&self, uuid: &str) -> zbus::Result<()> {
        for running in self.activations(uuid).await? {
            // It may have gone by itself.
            let _ = self.manager().await?.deactivate_connection(&running.path).await;
        }
        Ok(())
    }

    /// Takes the connection down and waits until it is.
    pub(super) async fn take_down(&self, uuid: &str) -> zbus::Result<()> {
        let mut changes = self.activity.changes().await;
        for Running { path, .. } in self.activations(uuid).await? {
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
    pub(super) async fn base(&self, base: Option<&str>) -> Option<OwnedObjectPath> {
        let device = self.manager().await.ok()?.get_device_by_ip_iface(base?).await;
        let device: DeviceProxy<'_> = at(&self.bus, device.ok()?).await.ok()?;
        device.active_connection().await.ok()
    }

    /// Begins to bring the profile up on top of the activation `base`.
    pub(super) async fn begin_up(
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
    pub(super) async fn end_of(&self, activation: &OwnedObjectPath) -> zbus::Result<Ended> {
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
    async fn state(&self, path: &OwnedObjectPath) -> u32 {
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
    pub(super) async fn is_still_up(&self, uuid: &str) -> bool {
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
    pub(super) async fn activation(&self, uuid: &str) -> zbus::Result<Option<OwnedObjectPath>> {
        let activations = self.activations(uuid).await?;
        Ok(activations.into_iter().next().map(|running| running.path))
    }

    /// The activations of the profile that are up or on their way there.
    async fn activations(&self, uuid: &str) -> zbus::Result<Vec<Running>> {
        self.running(&self.vpns().await?, |known| known == uuid).await
    }

    /// Those of `vpns` that are up or on their way there, if `is_wanted` says so of their UUIDs.
    async fn running(
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
    async fn vpns(&self) -> zbus::Result<Vec<(OwnedObjectPath, String)>> {
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
        let mut asked = stream::iter(unknown)
            .map(async |path| {
                let active: ActiveConnectionProxy<'_> = at(&self.bus, path.clone()).await?;
                let is_vpn = active.type_().await? == "vpn";
                let uuid = if is_vpn { Some(active.uuid().await?) } else { None };
                Ok::<_, zbus::Error>((path, uuid))
            })
            .buffer_unordered(AT_ONCE);
        while let Some(told) = asked.next().await {
            // One that cannot be asked any more has gone meanwhile.
            if let Ok((path, uuid)) = told {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.vpns.insert(path, uuid);
            }
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let uuid = |path: OwnedObjectPath| Some((path.clone(), known.vpns.get(&path)?.clone()?));
        Ok(paths.into_iter().filter_map(uuid).collect())
    }

    async fn profile(&self, uuid: &str) -> zbus::Result<Option<SettingsConnectionProxy<'static>>> {
        match self.path(uuid).await? {
            Some(located) => self.profile_at(&located).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where the profile is, if there is one.
    pub(super) async fn path(&self, uuid: &str) -> zbus::Result<Option<Located>> {
        let (owner, all) = self.all().await?;
        match all.get_connection_by_uuid(uuid).await {
            Ok(path) => Ok(Some(Located { owner, path })),
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".InvalidConnection") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Puts the secrets that the profile has beside its settings. That NetworkManager does not tell them is an error: what is
/// put back later would lack them.
async fn fill_in_secrets(profile: &SettingsConnectionProxy<'_>, settings: &mut Settings) -> zbus::Result<()> {
    let mut secrets = match profile.get_secrets("vpn").await {
        Ok(secrets) => secrets,
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSecrets") => return Ok(()),
        Err(error) => return Err(error),
    };
    let secrets = secrets
        .get_mut("vpn")
        .and_then(|secrets| secrets.remove("secrets"));
    if let (Some(secrets), Some(vpn)) = (secrets, settings.get_mut("vpn")) {
        vpn.insert("secrets".into(), secrets);
    }
    Ok(())
}

/// When NetworkManager last had it up.
fn timestamp(settings: &Settings) -> u64 {
    value(settings, "connection", "timestamp")
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or_default()
}
