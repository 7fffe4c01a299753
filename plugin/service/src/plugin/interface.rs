//! NetworkManager's side: the D-Bus interface, an adapter over [`crate::lifecycle`].

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use nmstate_ipsec_core::{
    contract::{PluginError, PluginFailure},
    daemon_api::Dictionary,
    profile::{self, Settings},
};
use zbus::object_server::SignalEmitter;

use super::{Plugin, text};
use crate::{
    lifecycle::{Event, State},
    linger::Visit,
    question::Question,
    say::say,
};

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
        let _turn = self.turn.lock().await;
        self.apply_with(Event::Connect, Some(connection), &emitter).await
    }

    /// The same where the user may be asked for secrets, with `SecretsRequired`.
    async fn connect_interactive(
        &self,
        connection: Settings,
        _details: Dictionary,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        let _turn = self.turn.lock().await;
        let event = Event::ConnectInteractive(Question::for_missing(&connection));
        self.apply_with(event, Some(connection), &emitter).await
    }

    /// The name of the setting that lacks secrets, or nothing.
    fn need_secrets(&self, settings: Settings) -> String {
        self.note(Visit::Called);
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
        if self.current() == State::Init {
            self.note(Visit::Dismissed);
        }
        let served = {
            let _turn = self.turn.lock().await;
            let served = self.served();
            self.apply(Event::Disconnect, &emitter).await?;
            served
        };
        // If the user was still being asked, the daemon has nothing of the connection.
        let Some(settings) = served.filter(|_| self.current() == State::Stopping) else {
            return Ok(());
        };
        let result = self.deactivate(&text(&settings, "uuid")).await;
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
        say(format_args!(
            "a helper reported a failure: {}",
            reason.escape_debug()
        ));
        self.apply(Event::Failed(PluginFailure::BadIpConfig, None), &emitter)
            .await
    }

    /// Takes the profile with the secrets that `SecretsRequired` asked for.
    async fn new_secrets(
        &self,
        connection: Settings,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), PluginError> {
        let _turn = self.turn.lock().await;
        let event = Event::NewSecrets(Question::for_missing(&connection));
        self.apply_with(event, Some(connection), &emitter).await
    }

    /// A [`nmstate_ipsec_core::contract::ServiceState`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> u32 {
        self.current().announced().number()
    }

    /// The state has changed.
    #[zbus(signal, name = "StateChanged")]
    pub(super) async fn announce_state(emitter: &SignalEmitter<'_>, state: u32) -> zbus::Result<()>;

    /// Secrets are wanted while a connection comes up.
    #[zbus(signal)]
    pub(super) async fn secrets_required(
        emitter: &SignalEmitter<'_>,
        message: &str,
        secrets: Vec<&str>,
    ) -> zbus::Result<()>;

    /// The tunnel is up; says which of the other configurations follow.
    #[zbus(signal)]
    pub(super) async fn config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// The IPv4 configuration.
    #[zbus(signal)]
    pub(super) async fn ip4_config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// The IPv6 configuration.
    #[zbus(signal)]
    pub(super) async fn ip6_config(emitter: &SignalEmitter<'_>, config: Dictionary) -> zbus::Result<()>;

    /// A text that the peer wants its users to read.
    #[zbus(signal)]
    pub(super) async fn login_banner(emitter: &SignalEmitter<'_>, banner: &str) -> zbus::Result<()>;

    /// A [`PluginFailure`].
    #[zbus(signal)]
    pub(super) async fn failure(emitter: &SignalEmitter<'_>, failure: u32) -> zbus::Result<()>;
}
