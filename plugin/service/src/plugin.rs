//! NetworkManager's side: the D-Bus interface, an adapter over [`crate::lifecycle`].

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nmstate_ipsec_core::{
    contract::{PluginError, PluginFailure, ServiceState},
    daemon_api::{Dictionary, ManagerProxy},
    profile::{self, Settings},
};
use tokio::{sync::watch, time::timeout};
use zbus::object_server::SignalEmitter;

use crate::{
    configuration::{Configuration, copy_dictionary},
    lifecycle::{self, Effect, Event},
};

/// The object at [`nmstate_ipsec_core::contract::PLUGIN_PATH`].
pub struct Plugin {
    daemon: ManagerProxy<'static>,
    state: watch::Sender<ServiceState>,
    /// The profile that is being served, kept to register it again with a daemon that was restarted.
    settings: Mutex<Option<Settings>>,
    /// What NetworkManager was told last of the connection.
    told: Mutex<Option<Configuration>>,
}

impl Plugin {
    /// A plugin without a connection, a client of `daemon`.
    pub fn new(daemon: ManagerProxy<'static>) -> Self {
        Self {
            daemon,
            state: watch::Sender::new(ServiceState::Init),
            settings: Mutex::new(None),
            told: Mutex::new(None),
        }
    }

    /// Takes the plugin through `event` and emits what follows from it.
    ///
    /// # Errors
    /// The event does not fit the state, or the bus is gone.
    pub async fn apply(&self, event: Event, emitter: &SignalEmitter<'_>) -> Result<(), PluginError> {
        let (next, effects) = lifecycle::step(self.current(), event)?;
        self.state.send_replace(next);
        for effect in effects {
            self.perform(effect, emitter).await?;
        }
        Ok(())
    }

    async fn perform(&self, effect: Effect, emitter: &SignalEmitter<'_>) -> zbus::Result<()> {
        match effect {
            Effect::Announce(state) => Self::announce_state(emitter, state.number()).await,
            Effect::Fail(failure) => Self::failure(emitter, failure.number()).await,
            Effect::Configure(configuration) => self.configure(*configuration, emitter).await,
            Effect::Update(configuration) if self.was_told(&configuration) => Ok(()),
            Effect::Update(configuration) => self.send(*configuration, emitter).await,
        }
    }

    /// Emits a configuration so that NetworkManager calls the connection activated.
    ///
    /// It does so when it has something to commit to the device (since 1.36; seen with 1.42 and 1.52). After a loss
    /// the configuration is usually the one that it has: another one goes ahead then and is never committed.
    async fn configure(&self, new: Configuration, emitter: &SignalEmitter<'_>) -> zbus::Result<()> {
        let is_return = self.told().is_some();
        if is_return {
            Self::config(emitter, new.differing()).await?;
        }
        self.send(new, emitter).await
    }

    async fn send(&self, new: Configuration, emitter: &SignalEmitter<'_>) -> zbus::Result<()> {
        *self.told() = Some(new.copy());
        Self::config(emitter, new.config).await?;
        if !new.ip4.is_empty() {
            Self::ip4_config(emitter, new.ip4).await?;
        }
        if !new.ip6.is_empty() {
            Self::ip6_config(emitter, new.ip6).await?;
        }
        Ok(())
    }

    fn was_told(&self, configuration: &Configuration) -> bool {
        self.told().as_ref() == Some(configuration)
    }

    fn told(&self) -> MutexGuard<'_, Option<Configuration>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nothing was wanted of the plugin for as long as `before` its connection, or `after` it.
    pub async fn idle_for(&self, before: Duration, after: Duration) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        while state.wait_for(|state| is_idle(*state)).await.is_ok() {
            let linger = if self.current() == ServiceState::Stopped {
                after
            } else {
                before
            };
            if timeout(linger, state.wait_for(|state| !is_idle(*state)))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Whether NetworkManager has been told that the connection is up.
    pub fn is_started(&self) -> bool {
        self.current() == ServiceState::Started
    }

    /// Whether the process has no reason to live on.
    pub fn is_done(&self) -> bool {
        self.current() == ServiceState::Shutdown
    }

    /// The settings of the connection that is being served.
    pub fn served(&self) -> Option<Settings> {
        self.of_served(copy)
    }

    /// The UUID of the connection that is being served, without a copy of its secrets.
    pub(crate) fn served_uuid(&self) -> Option<String> {
        self.of_served(uuid)
    }

    fn of_served<T>(&self, take: impl FnOnce(&Settings) -> T) -> Option<T> {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.as_ref().filter(|_| !is_idle(self.current())).map(take)
    }

    fn current(&self) -> ServiceState {
        *self.state.borrow()
    }
}

/// Whether nothing is up, coming up or going down.
fn is_idle(state: ServiceState) -> bool {
    matches!(state, ServiceState::Init | ServiceState::Stopped)
}

/// A copy of `settings`; values that hold file descriptors do not occur in them and are left out.
fn copy(settings: &Settings) -> Settings {
    settings
        .iter()
        .map(|(name, values)| (name.clone(), copy_dictionary(values)))
        .collect()
}

/// The UUID that `settings` carry, as text; the daemon judges it.
fn uuid(settings: &Settings) -> String {
    let value = settings.get("connection").and_then(|section| section.get("uuid"));
    value
        .and_then(|value| value.downcast_ref::<&str>().ok())
        .unwrap_or_default()
        .to_owned()
}

// The signal StateChanged has another name in Rust: for the property `State` zbus itself makes a
// function `state_changed`.
#[zbus::interface(name = "org.freedesktop.NetworkManager.VPN.Plugin")]
impl Plugin {
    /// Begins to bring the connection up; answered as soon as the profile has been judged.
    async fn connect(
        &self,
        connection: Settings,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        self.apply(Event::Connect, &emitter).await?;
        *self.told() = None;
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy(&connection));
        let Err(error) = self.daemon.activate(&connection).await else {
            return Ok(());
        };
        let error = match error {
            PluginError::ZBus(error) => PluginError::LaunchFailed(format!(
                "failed to hand the connection to nmstate-ipsecd: {error}; see 'systemctl status nmstate-ipsecd'"
            )),
            refused => refused,
        };
        // NetworkManager keeps the error to itself, and what stands on standard error in its journal.
        eprintln!("connection {} refused: {error}", uuid(&connection).escape_debug());
        self.apply(Event::Refused, &emitter).await?;
        Err(error)
    }

    /// Interactive secrets are not offered; NetworkManager then calls `Connect`.
    fn connect_interactive(&self, _connection: Settings, _details: Dictionary) -> Result<(), PluginError> {
        Err(PluginError::InteractiveNotSupported(
            "secrets are taken from the profile and its agents".into(),
        ))
    }

    /// The name of the setting that lacks secrets, or nothing.
    fn need_secrets(&self, settings: Settings) -> String {
        if profile::needs_secrets(&settings) {
            "vpn".into()
        } else {
            String::new()
        }
    }

    /// Takes the connection down; answered when pluto has nothing left of it.
    async fn disconnect(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        self.apply(Event::Disconnect, &emitter).await?;
        let settings = self
            .settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let result = match settings {
            Some(settings) => self.daemon.deactivate(&uuid(&settings)).await,
            None => Ok(()),
        };
        // NetworkManager has no use for a tunnel that will not go: it is told of the stop either way.
        self.apply(Event::Disconnected, &emitter).await?;
        Ok(result?)
    }

    /// Passes a configuration on, for helpers that were written for the base class of C plugins.
    async fn set_config(
        &self,
        config: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        Ok(Self::config(&emitter, config).await?)
    }

    /// Passes an IPv4 configuration on, as `SetConfig` does.
    async fn set_ip4_config(
        &self,
        config: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        Ok(Self::ip4_config(&emitter, config).await?)
    }

    /// Passes an IPv6 configuration on, as `SetConfig` does.
    async fn set_ip6_config(
        &self,
        config: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<()> {
        Ok(Self::ip6_config(&emitter, config).await?)
    }

    /// Reports a failure, as `SetConfig` does a configuration.
    async fn set_failure(
        &self,
        reason: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        eprintln!("a helper reported a failure: {}", reason.escape_debug());
        self.apply(Event::Failed(PluginFailure::BadIpConfig), &emitter)
            .await
    }

    /// Takes secrets that were asked for by `SecretsRequired`; none ever are.
    fn new_secrets(&self, _connection: Settings) -> Result<(), PluginError> {
        Err(PluginError::WrongState("no secrets were asked for".into()))
    }

    /// A [`ServiceState`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> u32 {
        self.current().number()
    }

    /// The state has changed.
    #[zbus(signal, name = "StateChanged")]
    async fn announce_state(emitter: &SignalEmitter<'_>, state: u32) -> zbus::Result<()>;

    /// Secrets are wanted while a connection comes up.
    #[zbus(signal)]
    async fn secrets_required(
        emitter: &SignalEmitter<'_>,
        message: &str,
        secrets: Vec<&str>,
    ) -> zbus::Result<()>;

    /// The tunnel is up; says which of the other configurations follow.
    #[zbus(signal)]
    async fn config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// The IPv4 configuration.
    #[zbus(signal)]
    async fn ip4_config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// The IPv6 configuration.
    #[zbus(signal)]
    async fn ip6_config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// A text that the peer wants its users to read.
    #[zbus(signal)]
    async fn login_banner(emitter: &SignalEmitter<'_>, banner: &str) -> zbus::Result<()>;

    /// A [`PluginFailure`].
    #[zbus(signal)]
    async fn failure(emitter: &SignalEmitter<'_>, failure: u32) -> zbus::Result<()>;
}
