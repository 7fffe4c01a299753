//! The adapter between a caller that does what NetworkManager does and a daemon, over pairs of sockets:
//! no bus, no root.

#![allow(missing_docs, reason = "what zbus's macros generate carries no documentation")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where its set-up fails"
)]

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use nm_libreswan_service::{plugin::Plugin, relay};
use nmstate_ipsec_core::{
    contract::{DAEMON_PATH, PLUGIN_PATH, PluginError, ServiceState},
    daemon_api::{Dictionary, ManagerProxy},
    profile::{Profile, Settings},
};
use nmstate_ipsecd::{
    bus,
    connection::{Host, Registry},
    guard::Guards,
    libreswan::Libreswan,
};
use tokio::net::UnixStream;
use zbus::{
    Connection, Guid, MessageStream, connection::Builder, object_server::SignalEmitter, zvariant::Value,
};

const UUID: &str = "5b2b1ea8-7e9d-4d5e-9b7e-6a3c6f0f8a21";

/// How long anything here may take, far beyond what it does.
const PATIENCE: Duration = Duration::from_secs(20);

#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.VPN.Plugin",
    default_service = "org.freedesktop.NetworkManager.libreswan",
    default_path = "/org/freedesktop/NetworkManager/VPN/Plugin",
    gen_blocking = false
)]
trait VpnPlugin {
    fn connect(&self, connection: &Settings) -> Result<(), PluginError>;
    fn connect_interactive(&self, connection: &Settings, details: &Dictionary) -> Result<(), PluginError>;
    fn need_secrets(&self, settings: &Settings) -> zbus::Result<String>;
    fn disconnect(&self) -> Result<(), PluginError>;
    fn new_secrets(&self, connection: &Settings) -> Result<(), PluginError>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<u32>;
}

/// NetworkManager's side of a running adapter.
struct NetworkManager {
    plugin: VpnPluginProxy<'static>,
    signals: MessageStream,
    _kept: Vec<Connection>,
}

impl NetworkManager {
    /// An adapter whose daemon answers at the other end of `to_daemon`.
    async fn with(to_daemon: Connection, mut kept: Vec<Connection>) -> Self {
        let daemon = ManagerProxy::new(&to_daemon).await.unwrap();
        let mut news = daemon.inner().receive_all_signals().await.unwrap();
        let (adapter, manager) =
            pair(|builder| builder.serve_at(PLUGIN_PATH, Plugin::new(daemon)).unwrap()).await;
        let plugin = adapter
            .object_server()
            .interface::<_, Plugin>(PLUGIN_PATH)
            .await
            .unwrap();
        tokio::spawn(async move {
            while let Some(message) = news.next().await {
                relay::handle(&message, &plugin).await.unwrap();
            }
        });
        kept.extend([to_daemon, adapter, manager.clone()]);
        let signals = MessageStream::from(&manager);
        Self {
            plugin: VpnPluginProxy::new(&manager).await.unwrap(),
            signals,
            _kept: kept,
        }
    }

    /// The next signals, as `Name` or `Name(number)`, until `last` has come.
    async fn signals_until(&mut self, last: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|signal| signal != last) {
            let message = tokio::time::timeout(PATIENCE, self.signals.next())
                .await
                .expect(last)
                .unwrap()
                .unwrap();
            let header = message.header();
            if header.message_type() != zbus::message::Type::Signal {
                continue;
            }
            let name = header.member().unwrap().to_string();
            let body = message.body();
            let number = body.deserialize::<u32>().map(|number| number.to_string());
            let question = || body.deserialize::<(&str, Vec<&str>)>();
            let hints = |(_, secrets): (&str, Vec<&str>)| secrets.join(" ");
            let argument = number.or_else(|_| question().map(hints));
            seen.push(argument.map_or(name.clone(), |argument| format!("{name}({argument})")));
        }
        seen
    }
}

/// Two ends of a connection without a bus; `serve` puts objects onto the first.
async fn pair(serve: impl FnOnce(Builder<'static>) -> Builder<'static>) -> (Connection, Connection) {
    let (one, other) = UnixStream::pair().unwrap();
    let server = serve(Builder::unix_stream(one).server(Guid::generate()).unwrap().p2p());
    let client = Builder::unix_stream(other).p2p();
    tokio::try_join!(server.build(), client.build()).unwrap()
}

/// An adapter in front of the real daemon, on a machine where libreswan may or may not be installed.
async fn before_the_real_daemon() -> NetworkManager {
    let (daemon, client) = pair(|builder| builder).await;
    let nowhere = PathBuf::from("/nonexistent");
    let libreswan = Libreswan::at(&nowhere);
    let guards = Guards::new(&nowhere);
    let host = Host::new(libreswan, daemon.clone(), nowhere.clone(), nowhere, guards);
    bus::serve(&daemon, &Arc::new(Registry::new(host))).await.unwrap();
    NetworkManager::with(client, vec![daemon]).await
}

fn settings(data: &[(&str, &str)], secrets: &[(&str, &str)]) -> Settings {
    let section = |pairs: Vec<(&str, Value<'_>)>| -> Dictionary {
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_to_owned().unwrap()))
            .collect()
    };
    let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let connection = vec![
        ("id", Value::from("hosta_conn")),
        ("uuid", UUID.into()),
        ("type", "vpn".into()),
    ];
    let vpn = vec![
        (
            "service-type",
            Value::from("org.freedesktop.NetworkManager.libreswan"),
        ),
        ("data", map(data).into()),
        ("secrets", map(secrets).into()),
    ];
    let method = |method: &'static str| section(vec![("method", Value::from(method))]);
    HashMap::from([
        ("connection".to_owned(), section(connection)),
        ("vpn".to_owned(), section(vpn)),
        ("ipv4".to_owned(), method("auto")),
        ("ipv6".to_owned(), method("disabled")),
    ])
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_is_refused_by_name_and_nothing_begins() {
    for (data, expected) in [
        (vec![("right", "192.0.2.300")], ["right", "192.0.2.300"]),
        (vec![("left", "192.0.2.1")], ["right", "missing"]),
        (
            vec![("right", "192.0.2.2"), ("leftupdown", "/bin/sh")],
            ["leftupdown", "not supported"],
        ),
        (
            vec![("right", "192.0.2.2"), ("esp", "aes\n leftupdown=/bin/sh")],
            ["esp", "\\n"],
        ),
    ] {
        let mut manager = before_the_real_daemon().await;
        let error = manager
            .plugin
            .connect(&settings(&data, &[("pskvalue", "s")]))
            .await
            .unwrap_err();
        let PluginError::InvalidConnection(text) = error else {
            panic!("{error:?}")
        };
        assert!(expected.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(
            manager.signals_until("StateChanged(6)").await,
            ["StateChanged(3)", "StateChanged(6)"]
        );
        assert_eq!(
            manager.plugin.state().await.unwrap(),
            ServiceState::Stopped.number()
        );
    }
}

#[tokio::test]
async fn a_failure_below_is_told_with_the_failure_first() {
    let mut manager = before_the_real_daemon().await;
    let good = settings(
        &[("right", "192.0.2.2"), ("left", "192.0.2.1")],
        &[("pskvalue", "s")],
    );
    manager.plugin.connect(&good).await.unwrap();
    let seen = manager.signals_until("StateChanged(6)").await;
    assert_eq!(seen, ["StateChanged(3)", "Failure(1)", "StateChanged(6)"]);
}

#[tokio::test]
async fn secrets_are_wanted_where_nothing_else_authenticates() {
    let manager = before_the_real_daemon().await;
    let asked = async |data: &[(&str, &str)], secrets: &[(&str, &str)]| {
        manager
            .plugin
            .need_secrets(&settings(data, secrets))
            .await
            .unwrap()
    };
    let (ends, ikev2) = (("right", "192.0.2.2"), ("ikev2", "insist"));
    assert_eq!(asked(&[ends, ikev2], &[]).await, "vpn");
    assert_eq!(asked(&[ends, ikev2], &[("pskvalue", "s")]).await, "");
    assert_eq!(asked(&[ends, ikev2, ("leftcert", "left_server")], &[]).await, "");
    // Without ikev2 the profile means IKEv1 with XAUTH, which wants a password too.
    assert_eq!(asked(&[ends], &[("pskvalue", "s")]).await, "vpn");
    // Connect names what is wrong; a password prompt would not.
    assert_eq!(asked(&[("rigth", "192.0.2.2")], &[]).await, "");
}

#[tokio::test]
async fn calls_out_of_turn_get_the_specifications_errors() {
    let manager = before_the_real_daemon().await;
    let good = settings(&[("right", "192.0.2.2")], &[("pskvalue", "s")]);
    assert!(matches!(
        manager.plugin.disconnect().await,
        Err(PluginError::AlreadyStopped(_))
    ));
    assert!(matches!(
        manager.plugin.new_secrets(&good).await,
        Err(PluginError::WrongState(_))
    ));
    assert_eq!(manager.plugin.state().await.unwrap(), ServiceState::Init.number());
}

#[tokio::test]
async fn what_an_earlier_daemon_left_behind_is_taken_away_and_the_call_is_answered() {
    let dir = std::env::temp_dir().join(format!("nmstate-ipsec-left-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let left = |uuid: &str| dir.join(format!("nmstate-ipsec-{uuid}.secrets"));
    let (asked, other) = (
        "5b2b1ea8-0000-4000-8000-000000000001",
        "6d9b2d80-0000-4000-8000-000000000002",
    );
    for uuid in [asked, other] {
        std::fs::write(left(uuid), "").unwrap();
    }
    let (daemon, client) = pair(|builder| builder).await;
    let nowhere = PathBuf::from("/nonexistent");
    let guards = Guards::new(&dir);
    let host = Host::new(
        Libreswan::at(&nowhere),
        daemon.clone(),
        dir.clone(),
        nowhere,
        guards,
    );
    bus::serve(&daemon, &Arc::new(Registry::new(host))).await.unwrap();
    let manager = ManagerProxy::builder(&client)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .unwrap();
    let answered = tokio::time::timeout(std::time::Duration::from_secs(30), manager.deactivate(asked)).await;
    answered.expect("Deactivate was not answered").unwrap();
    assert!(!left(asked).exists() && left(other).exists());
    std::fs::remove_dir_all(dir).unwrap();
}

/// A daemon that knows the one right key.
#[derive(Default)]
struct Doorkeeper {
    /// The keys that it was given.
    tried: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Manager")]
impl Doorkeeper {
    async fn activate(&self, connection: Settings, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        let profile = Profile::from_settings(&connection).unwrap();
        let psk = profile.secrets.psk.unwrap().expose().to_owned();
        let is_right = psk == "right";
        self.tried.lock().unwrap().push(psk);
        let none = HashMap::new;
        let told = if is_right {
            Self::network_configuration(&emitter, UUID, none(), none(), none()).await
        } else {
            let text = "192.0.2.2 refused our authentication";
            Self::connection_failed(&emitter, UUID, 0, "authentication-refused", text).await
        };
        told.unwrap();
    }

    fn deactivate(&self, _uuid: &str) {}

    #[zbus(signal)]
    async fn connection_failed(
        emitter: &SignalEmitter<'_>,
        uuid: &str,
        failure: u32,
        code: &str,
        text: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn network_configuration(
        emitter: &SignalEmitter<'_>,
        uuid: &str,
        config: Dictionary,
        ip4: Dictionary,
        ip6: Dictionary,
    ) -> zbus::Result<()>;
}

/// An adapter before a [`Doorkeeper`], and the keys that were tried there.
async fn before_a_doorkeeper() -> (NetworkManager, Arc<Mutex<Vec<String>>>) {
    let doorkeeper = Doorkeeper::default();
    let tried = Arc::clone(&doorkeeper.tried);
    let (daemon, client) = pair(|builder| builder.serve_at(DAEMON_PATH, doorkeeper).unwrap()).await;
    (NetworkManager::with(client, vec![daemon]).await, tried)
}

/// A profile whose key is kept as `flags` say, with this key.
fn of_user(flags: &str, psk: &str) -> Settings {
    let data = [
        ("right", "192.0.2.2"),
        ("ikev2", "insist"),
        ("pskvalue-flags", flags),
    ];
    settings(&data, &[("pskvalue", psk)])
}

#[tokio::test]
async fn a_missing_secret_and_a_refused_one_are_asked_for_until_the_right_one_comes() {
    let (mut manager, tried) = before_a_doorkeeper().await;
    let plugin = manager.plugin.clone();
    let details = HashMap::new();
    plugin
        .connect_interactive(&of_user("2", ""), &details)
        .await
        .unwrap();
    let asked = "SecretsRequired(pskvalue)";
    assert_eq!(manager.signals_until(asked).await, ["StateChanged(3)", asked]);
    assert!(tried.lock().unwrap().is_empty());
    plugin.new_secrets(&of_user("2", "wrong")).await.unwrap();
    assert_eq!(manager.signals_until(asked).await, [asked]);
    plugin.new_secrets(&of_user("2", "right")).await.unwrap();
    let up = "StateChanged(4)";
    assert_eq!(manager.signals_until(up).await, ["Config", up]);
    assert_eq!(*tried.lock().unwrap(), ["wrong", "right"]);
    // Nothing was asked that this could be the answer to.
    let late = plugin.new_secrets(&of_user("2", "right")).await;
    assert!(matches!(late, Err(PluginError::WrongState(_))));
}

#[tokio::test]
async fn a_refused_secret_is_a_failure_where_nobody_is_to_be_asked() {
    let failed = ["StateChanged(3)", "Failure(0)", "StateChanged(6)"];
    // What the system keeps is no user's to mend.
    let (mut manager, _) = before_a_doorkeeper().await;
    let details = HashMap::new();
    let plugin = manager.plugin.clone();
    plugin
        .connect_interactive(&of_user("0", "wrong"), &details)
        .await
        .unwrap();
    assert_eq!(manager.signals_until("StateChanged(6)").await, failed);
    // The same process serves NetworkManager again, and this time without an agent.
    plugin.connect(&of_user("2", "wrong")).await.unwrap();
    assert_eq!(manager.signals_until("StateChanged(6)").await, failed);
}

#[tokio::test]
async fn a_question_is_withdrawn_when_the_connection_is() {
    let (mut manager, tried) = before_a_doorkeeper().await;
    let plugin = manager.plugin.clone();
    let details = HashMap::new();
    plugin
        .connect_interactive(&of_user("1", "wrong"), &details)
        .await
        .unwrap();
    let asked = "SecretsRequired(pskvalue)";
    manager.signals_until(asked).await;
    assert_eq!(plugin.state().await.unwrap(), ServiceState::Starting.number());
    plugin.disconnect().await.unwrap();
    let down = ["StateChanged(5)", "StateChanged(6)"];
    assert_eq!(manager.signals_until("StateChanged(6)").await, down);
    let late = plugin.new_secrets(&of_user("1", "right")).await;
    assert!(matches!(late, Err(PluginError::WrongState(_))));
    assert_eq!(*tried.lock().unwrap(), ["wrong"]);
}

/// A daemon that brings everything up at once, for the order in which NetworkManager is told.
struct Prompt;

#[zbus::interface(name = "org.nmstate.Ipsec1.Manager")]
impl Prompt {
    async fn activate(&self, _connection: Settings, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        let dictionary =
            |key: &str| HashMap::from([(key.to_owned(), Value::from(7u32).try_to_owned().unwrap())]);
        let none = HashMap::new();
        for (uuid, ip6) in [("00000000-0000-0000-0000-000000000000", &none), (UUID, &none)] {
            let _ = Self::network_configuration(
                &emitter,
                uuid,
                dictionary("gateway"),
                dictionary("address"),
                ip6,
            )
            .await;
        }
        let _ = Self::connection_state(&emitter, UUID, ServiceState::Starting.number()).await;
    }

    fn deactivate(&self, _uuid: &str) {}

    #[zbus(signal)]
    async fn connection_state(emitter: &SignalEmitter<'_>, uuid: &str, state: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn network_configuration(
        emitter: &SignalEmitter<'_>,
        uuid: &str,
        config: Dictionary,
        ip4: Dictionary,
        ip6: &Dictionary,
    ) -> zbus::Result<()>;
}

#[tokio::test]
async fn the_configuration_comes_before_started_and_the_stop_is_answered_last() {
    let (daemon, client) = pair(|builder| builder.serve_at(DAEMON_PATH, Prompt).unwrap()).await;
    let mut manager = NetworkManager::with(client, vec![daemon]).await;
    manager
        .plugin
        .connect(&settings(&[("right", "192.0.2.2")], &[]))
        .await
        .unwrap();
    let up = ["StateChanged(3)", "Config", "Ip4Config", "StateChanged(4)"];
    assert_eq!(manager.signals_until("StateChanged(4)").await, up);
    assert_eq!(
        manager.signals_until("StateChanged(3)").await,
        ["StateChanged(3)"]
    );
    manager.plugin.disconnect().await.unwrap();
    assert_eq!(
        manager.plugin.state().await.unwrap(),
        ServiceState::Stopped.number()
    );
    assert_eq!(
        manager.signals_until("StateChanged(6)").await,
        ["StateChanged(5)", "StateChanged(6)"]
    );
}
