//! NetworkManager's profiles and activations, by UUID.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use nmstate_ipsec_core::{
    daemon_api::Dictionary,
    networkmanager::{
        self, ManagerProxy, NAME, SettingsConnectionProxy, SettingsProxy, at, fill_in_secrets, is_libreswan,
        is_private, text, value,
    },
    plan::Stored,
    profile::Settings,
};
use zbus::{
    Connection,
    fdo::{DBusProxy, NameOwnerChanged},
    proxy::CacheProperties,
    zvariant::OwnedObjectPath,
};

use super::{ACTIVATED, deactivation::Deactivations};

/// `NM_SETTINGS_UPDATE2_FLAG_TO_DISK`, which means the same for `AddConnection2`; and no autoconnect by that.
const TO_DISK: u32 = 0x1;
const BLOCK_AUTOCONNECT: u32 = 0x20;

/// How profiles are stored.
const STORED: u32 = TO_DISK | BLOCK_AUTOCONNECT;

/// Most questions that NetworkManager is asked at once.
pub(super) const AT_ONCE: usize = 16;

/// How often a NetworkManager that is starting is asked.
const STARTING_STEP: Duration = Duration::from_millis(200);

/// So many times longer may one take that is on the bus.
const STARTING_PATIENCE: u32 = 10;

/// NetworkManager's profiles.
#[derive(Debug, Clone)]
pub(crate) struct Profiles {
    pub(crate) bus: Connection,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) activity: Arc<Deactivations>,
}

/// What does not change of active connections, so that very many of them are not asked each time.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The NetworkManager that they are of; another one counts anew.
    pub(super) owner: String,
    /// UUIDs of VPNs by path; of other connections there is none.
    pub(super) vpns: HashMap<OwnedObjectPath, Option<String>>,
    /// Those that this daemon takes down.
    pub(super) taken_down: VecDeque<OwnedObjectPath>,
    /// Where profiles are, by UUID.
    pub(super) profiles: HashMap<String, OwnedObjectPath>,
}

/// Where a profile is. NetworkManager numbers them anew when it is started, so that a path says something to the one alone
/// that gave it.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(super) owner: String,
    pub(crate) path: OwnedObjectPath,
}

impl Profiles {
    /// Those of the NetworkManager on `bus`.
    pub(crate) fn new(bus: Connection, activity: Arc<Deactivations>) -> Self {
        Self {
            bus,
            activity,
            known: Arc::default(),
        }
    }

    pub(crate) async fn manager(&self) -> zbus::Result<ManagerProxy<'static>> {
        networkmanager::manager(&self.bus).await
    }

    /// libreswan's profiles with these names, secrets included; of one name the one that was active last comes first.
    pub(crate) async fn named(&self, names: &HashSet<&str>) -> zbus::Result<Vec<Stored>> {
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
    pub(crate) async fn networkmanager(&self, time_out: Duration) -> zbus::Result<()> {
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
    pub(crate) async fn networkmanager_comes(&self) -> zbus::Result<impl Stream<Item = ()> + use<>> {
        let bus = DBusProxy::new(&self.bus).await?;
        let changes = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
        let is_arrival =
            |change: &NameOwnerChanged| change.args().is_ok_and(|change| change.new_owner().is_some());
        Ok(changes.filter_map(move |change| ready(is_arrival(&change).then_some(()))))
    }

    /// The paths of all checkpoints that there are.
    pub(crate) async fn checkpoints(&self) -> zbus::Result<Vec<String>> {
        let paths = self.manager().await?.checkpoints().await?;
        Ok(paths.iter().map(ToString::to_string).collect())
    }

    /// libreswan's profiles that are up, with their UUIDs. What is on its way comes up or fails by itself, and what is a
    /// user's can be brought back by that user alone.
    pub(crate) async fn active_profiles(&self) -> zbus::Result<Vec<(String, Settings)>> {
        let mut found = Vec::new();
        for running in self.running(&self.vpns().await?, |_| true).await? {
            if self.state(&running.path).await != ACTIVATED {
                continue;
            }
            let is_ours = |settings: &Settings| is_libreswan(settings) && !is_private(settings);
            if let Some(settings) = self.find(&running.uuid).await?.filter(is_ours) {
                found.push((running.uuid, settings));
            }
        }
        Ok(found)
    }

    /// libreswan's profiles, without secrets, and where they are.
    pub(crate) async fn all_of_libreswan(&self) -> zbus::Result<Vec<(OwnedObjectPath, Settings)>> {
        let (owner, all) = self.all().await?;
        let mut asked = stream::iter(all.list_connections().await?)
            .map(async |path| match self.settings_at(&path).await {
                Ok(settings) => Ok(Some((path, settings))),
                // It has gone since.
                Err(zbus::Error::MethodError(name, ..))
                    if name.ends_with(".UnknownObject") || name.ends_with(".UnknownMethod") =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            })
            .buffered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(profile) = asked.next().await {
            found.extend(profile?.filter(|(_, settings)| is_libreswan(settings)));
        }
        // What was asked of two of them is a list of neither.
        if self.owner().await? != owner {
            return Err(zbus::Error::Failure("NetworkManager is another one now".into()));
        }
        Ok(found)
    }

    /// What the profile at `path` says, without secrets.
    pub(crate) async fn settings_at(&self, path: &OwnedObjectPath) -> zbus::Result<Settings> {
        let profile: SettingsConnectionProxy<'_> = at(&self.bus, path.clone()).await?;
        profile.get_settings().await
    }

    /// The profile with the UUID, secrets included.
    pub(crate) async fn find(&self, uuid: &str) -> zbus::Result<Option<Settings>> {
        let Some(profile) = self.profile(uuid).await? else {
            return Ok(None);
        };
        networkmanager::whole(&profile).await.map(Some)
    }

    /// Stores a profile, new or in place of the one with its UUID, and says where it is.
    pub(crate) async fn store(&self, uuid: &str, settings: &Settings) -> zbus::Result<Located> {
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
    pub(crate) async fn add(&self, settings: &Settings) -> zbus::Result<Located> {
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

    /// The own name of the NetworkManager that there is now.
    pub(super) async fn owner(&self) -> zbus::Result<String> {
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
    pub(crate) async fn delete(&self, uuid: &str) -> zbus::Result<()> {
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

    async fn profile(&self, uuid: &str) -> zbus::Result<Option<SettingsConnectionProxy<'static>>> {
        match self.path(uuid).await? {
            Some(located) => self.profile_at(&located).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where the profile is, if there is one.
    pub(crate) async fn path(&self, uuid: &str) -> zbus::Result<Option<Located>> {
        let (owner, all) = self.all().await?;
        match all.get_connection_by_uuid(uuid).await {
            Ok(path) => Ok(Some(Located { owner, path })),
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".InvalidConnection") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// When NetworkManager last had it up.
fn timestamp(settings: &Settings) -> u64 {
    value(settings, "connection", "timestamp")
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or_default()
}
