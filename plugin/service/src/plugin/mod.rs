//! The adapter itself: performs what [`crate::lifecycle`] decides.

mod interface;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nmstate_ipsec_core::{
    contract::PluginError,
    daemon_api::ManagerProxy,
    profile::{SecretKey, Settings},
};
use tokio::{sync::watch, time::sleep};
use zbus::object_server::SignalEmitter;

use crate::{
    configuration::Configuration,
    lifecycle::{self, Effect, Event, State},
    linger::{Visit, linger},
    say::say,
};

/// The object at [`nmstate_ipsec_core::contract::PLUGIN_PATH`].
pub struct Plugin {
    daemon: ManagerProxy<'static>,
    state: watch::Sender<State>,
    /// What NetworkManager has wanted so far.
    visit: watch::Sender<Visit>,
    /// Held while a connection is handed to the daemon, so that what takes it down comes after that.
    turn: tokio::sync::Mutex<()>,
    /// The profile that is being served, secrets and all: kept to register it again with a daemon that was
    /// restarted, and dropped as soon as it is not served any more. There is one copy of it.
    settings: Mutex<Option<Arc<Settings>>>,
    /// What NetworkManager was told last of the connection.
    told: Mutex<Option<Configuration>>,
}

impl Plugin {
    /// A plugin without a connection, a client of `daemon`.
    pub fn new(daemon: ManagerProxy<'static>) -> Self {
        Self {
            daemon,
            state: watch::Sender::new(State::Init),
            visit: watch::Sender::new(Visit::Never),
            turn: tokio::sync::Mutex::default(),
            settings: Mutex::new(None),
            told: Mutex::new(None),
        }
    }

    /// Takes the plugin through `event` and does what follows from it.
    ///
    /// # Errors
    /// The event does not fit the state, the daemon will not have the connection, or the bus is gone.
    pub async fn apply(&self, event: Event, emitter: &SignalEmitter<'_>) -> Result<(), PluginError> {
        self.apply_with(event, None, emitter).await
    }

    /// The same where the event brings `settings` that are to be served from now on.
    async fn apply_with(
        &self,
        event: Event,
        settings: Option<Settings>,
        emitter: &SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        let (next, effects) = lifecycle::step(self.current(), event)?;
        if let Some(settings) = settings {
            *lock(&self.settings) = Some(Arc::new(settings));
        }
        if next.is_idle() {
            *lock(&self.settings) = None;
            *lock(&self.told) = None;
        }
        self.state.send_replace(next);
        for effect in effects {
            self.perform(effect, emitter).await?;
        }
        Ok(())
    }

    async fn perform(&self, effect: Effect, emitter: &SignalEmitter<'_>) -> Result<(), PluginError> {
        match effect {
            Effect::Announce(state) => Self::announce_state(emitter, state.number()).await?,
            Effect::Ask(question) => {
                let hints = question.secrets.iter().copied().map(SecretKey::key).collect();
                Self::secrets_required(emitter, &question.message, hints).await?;
            }
            Effect::Activate => return self.activate(emitter).await,
            Effect::Fail(failure) => Self::failure(emitter, failure.number()).await?,
            Effect::Configure(configuration) => self.configure(*configuration, emitter).await?,
            Effect::Update(configuration) if self.was_told(&configuration) => {}
            Effect::Update(configuration) => self.send(*configuration, emitter).await?,
        }
        Ok(())
    }

    /// Hands the connection to the daemon.
    async fn activate(&self, emitter: &SignalEmitter<'_>) -> Result<(), PluginError> {
        let Some(settings) = self.served() else {
            return Ok(());
        };
        let Err(error) = self.daemon.activate(&settings).await else {
            return Ok(());
        };
        let error = match error {
            PluginError::ZBus(error) => PluginError::LaunchFailed(format!(
                "failed to hand the connection to nmstate-ipsecd: {error}; see 'systemctl status nmstate-ipsecd'"
            )),
            refused => refused,
        };
        // NetworkManager keeps the error to itself, and what stands on standard error in its journal.
        say(format_args!(
            "connection {} refused: {error}",
            text(&settings, "uuid")
        ));
        Box::pin(self.apply(Event::Refused, emitter)).await?;
        Err(error)
    }

    /// Emits a configuration so that NetworkManager calls the connection activated.
    ///
    /// It does so when it has something to commit to the device (since 1.36; seen with 1.42 and 1.52). After a loss
    /// the configuration is usually the one that it has: another one goes ahead then and is never committed.
    async fn configure(&self, new: Configuration, emitter: &SignalEmitter<'_>) -> zbus::Result<()> {
        let is_return = lock(&self.told).is_some();
        if is_return {
            Self::config(emitter, new.differing()).await?;
        }
        self.send(new, emitter).await
    }

    async fn send(&self, new: Configuration, emitter: &SignalEmitter<'_>) -> zbus::Result<()> {
        *lock(&self.told) = Some(new.copy());
        if let Some(banner) = new.banner() {
            Self::login_banner(emitter, banner).await?;
        }
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
        lock(&self.told).as_ref() == Some(configuration)
    }

    /// Has the daemon take the connection with the UUID `uuid` down. One that dies meanwhile is started again by the
    /// second call, and takes away what it does not know.
    async fn deactivate(&self, uuid: &str) -> zbus::Result<()> {
        match self.daemon.deactivate(uuid).await {
            Ok(()) => Ok(()),
            Err(_) => self.daemon.deactivate(uuid).await,
        }
    }

    /// Ends when nothing was wanted of the plugin for as long as [`linger`] says.
    pub async fn idle(&self, serves_one: bool) {
        let (mut state, mut visit) = (self.state.subscribe(), self.visit.subscribe());
        loop {
            let now = *state.borrow_and_update();
            let linger = linger(serves_one, now, *visit.borrow_and_update());
            // The senders live in `self`, so that waiting for a change cannot fail.
            tokio::select! {
                () = sleep(linger), if now.is_idle() => return,
                _ = state.changed() => {}
                _ = visit.changed() => {}
            }
        }
    }

    /// Keeps in mind what NetworkManager has come for.
    fn note(&self, visit: Visit) {
        self.visit.send_replace(visit);
    }

    /// Whether NetworkManager has been told that the connection is up.
    pub fn is_started(&self) -> bool {
        self.current() == State::Started
    }

    /// Whether the process has no reason to live on.
    pub fn is_done(&self) -> bool {
        self.current() == State::Shutdown
    }

    /// The settings of the connection that the daemon is to have.
    pub fn served(&self) -> Option<Arc<Settings>> {
        match self.current() {
            State::Starting(_) | State::Started => lock(&self.settings).clone(),
            _ => None,
        }
    }

    fn current(&self) -> State {
        *self.state.borrow()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A text of the setting `connection`, escaped as far as it must be to stand in a message; the daemon judges it.
pub(crate) fn text(settings: &Settings, key: &str) -> String {
    let value = settings.get("connection").and_then(|section| section.get(key));
    let text = value.and_then(|value| value.downcast_ref::<&str>().ok());
    text.unwrap_or_default().escape_debug().to_string()
}
