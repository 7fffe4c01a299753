//! The daemon's side: its signals, in their order, become events of [`crate::lifecycle`].

use nmstate_ipsec_core::{
    contract::{PluginFailure, ServiceState},
    daemon_api::{ConnectionFailed, ConnectionState, NetworkConfiguration},
    profile::Settings,
    reason::Reason,
};
use zbus::{Message, object_server::InterfaceRef};

use crate::{
    configuration::Configuration,
    lifecycle::Event,
    plugin::{Plugin, text},
    question::Question,
    say::say,
};

/// Handles one signal of the daemon.
///
/// # Errors
/// NetworkManager can no longer be told.
pub async fn handle(message: &Message, plugin: &InterfaceRef<Plugin>) -> zbus::Result<()> {
    let adapter = plugin.get().await;
    let Some(event) = adapter.served().and_then(|served| event(message, &served)) else {
        return Ok(());
    };
    let result = adapter.apply(event, plugin.signal_emitter()).await;
    result.map_err(|error| zbus::Error::Failure(error.to_string()))
}

/// What a signal of the daemon means for the connection with the settings `served`, if anything.
fn event(message: &Message, served: &Settings) -> Option<Event> {
    let uuid = text(served, "uuid");
    if let Some(signal) = NetworkConfiguration::from_message(message.clone()) {
        let arguments = signal.args().ok()?;
        (arguments.uuid == uuid).then_some(())?;
        let (config, ip4, ip6) = (arguments.config, arguments.ip4, arguments.ip6);
        return Some(Event::Configured(Box::new(Configuration { config, ip4, ip6 })));
    }
    if let Some(signal) = ConnectionState::from_message(message.clone()) {
        let arguments = signal.args().ok()?;
        (arguments.uuid == uuid).then_some(())?;
        return (ServiceState::from_number(arguments.state)? == ServiceState::Starting)
            .then_some(Event::Lost);
    }
    let signal = ConnectionFailed::from_message(message.clone())?;
    let arguments = signal.args().ok()?;
    (arguments.uuid == uuid).then_some(())?;
    // NetworkManager's journal keeps what a plugin says on standard error: the reason stands there too.
    say(format_args!(
        "connection {uuid} failed ({}): {}",
        arguments.code, arguments.text
    ));
    let login = arguments.failure == PluginFailure::LoginFailed.number();
    let failure = if login {
        PluginFailure::LoginFailed
    } else {
        PluginFailure::ConnectFailed
    };
    let question = Reason::is_about_a_secret(&arguments.code)
        .then(|| Question::after_refusal(served, &arguments.text))
        .flatten();
    Some(Event::Failed(failure, question))
}
