//! The daemon's D-Bus interface, as its clients see it: the adapter, the updown helper, the commands.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use zbus::zvariant::{OwnedValue, Type};

use crate::profile::Settings;

/// `a{sv}`: one of NetworkManager's configuration dictionaries.
pub type Dictionary = HashMap<String, OwnedValue>;

/// Why a connection was refused, failed, or could not be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Failure {
    /// When, in microseconds since 1970.
    pub time: u64,
    /// `connection.id` of the profile, escaped and shortened if the profile was refused.
    pub connection: String,
    /// `connection.uuid` of the profile, likewise.
    pub uuid: String,
    /// A stable code: [`crate::reason::Reason::code`], or `invalid-profile`.
    pub code: String,
    /// What failed, on what, why, and what to do next.
    pub text: String,
}

/// An ipsec interface as a document declares it.
#[derive(Clone, Default, Serialize, Deserialize, Type)]
pub struct Declaration {
    /// The interface's name: `connection.id` of its profile.
    pub name: String,
    /// What it is to be: `up`, `down` or `absent`.
    pub state: String,
    /// `vpn.data`; empty if the connection is to stay as it is.
    pub data: HashMap<String, String>,
    /// `vpn.secrets`, as far as they are declared.
    pub secrets: HashMap<String, String>,
    /// Keys of secrets that stay what they are, as a document says that was made from what nmstate shows.
    pub kept_secrets: Vec<String>,
    /// `ipv4.method`; empty if it is to stay, or to be `disabled` in a new profile.
    pub ip4_method: String,
    /// `ipv6.method`, likewise.
    pub ip6_method: String,
    /// Whether it is guarded ([`crate::guard`]): `true` or `false`; empty if that is to stay as it is.
    pub guard: String,
}

impl std::fmt::Debug for Declaration {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "'{}' is to be {}", self.name, self.state)
    }
}

/// How declarations are to be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ApplyOptions {
    /// NetworkManager's checkpoint under which the rest of the document was applied; empty if there was none: then the
    /// daemon makes one.
    pub checkpoint: String,
    /// Commits in the end. If not, the caller does, or the time-out ends it all.
    pub commit: bool,
    /// Seconds until everything is undone unless it was committed: the checkpoint's time-out.
    pub time_out: u32,
    /// Most seconds to wait for a peer to answer; 0 for as long as its profile says (`vpn.timeout`).
    pub wait: u32,
    /// Whether a peer that does not answer is a failure.
    pub require_established: bool,
    /// Whether the kernel is asked for the SAs and policies of what is said to be up.
    pub verify: bool,
    /// Does nothing, and tells what would be done.
    pub dry_run: bool,
}

/// What was done about one connection, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Outcome {
    /// The interface's name.
    pub name: String,
    /// `connection.uuid`.
    pub uuid: String,
    /// What was done: `created`, `modified`, `activated`, `kept`, `taken-down`, `removed`.
    pub action: String,
    /// What came of it: `up`, `down`, `absent`, `pending` (the peer does not answer, and is tried further), `failed`.
    pub state: String,
    /// The reason's code if it failed or is pending ([`crate::reason::Reason::code`]).
    pub code: String,
    /// The reason: what failed, on what, why, and what to do next.
    pub text: String,
    /// What has changed: the keys of the profile.
    pub changes: Vec<Change>,
}

/// A key of a profile that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Change {
    /// The key, `vpn.data.right` say.
    pub key: String,
    /// How it differs: `added`, `removed` or `changed`.
    pub kind: String,
    /// What it was; empty if it was not there or is hidden.
    pub before: String,
    /// What it is to be; empty if it goes or is hidden.
    pub after: String,
    /// Whether the values are a secret, or may be, and are not told.
    pub is_hidden: bool,
}

/// What came of declarations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Applied {
    /// Whether everything is as declared. If not, everything is as it was.
    pub done: bool,
    /// What was done about each connection, in the order of the declarations.
    pub outcomes: Vec<Outcome>,
    /// What could not be undone, if anything.
    pub remains: Vec<String>,
}

/// `org.nmstate.Ipsec1.Transactions`: declared connections, all of them or none.
///
/// One transaction at a time: others wait. If the caller leaves the bus before it is over, it is undone.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Transactions",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Transactions {
    /// Begins a transaction whose caller first has nmstate apply the rest of the document: devices may take connections
    /// along, which come back with `apply`, or when the caller leaves the bus or calls `rollback`.
    ///
    /// # Errors
    /// A transaction waits for its commit, or the disk refuses: nothing is begun.
    fn prepare(&self) -> Result<(), TransactionError>;

    /// Carries the declarations out. Returns when every connection is up, was refused, or its peer has had its time.
    ///
    /// # Errors
    /// A declaration that is not valid, a transaction that waits for its commit, or NetworkManager refuses: nothing has
    /// changed then.
    fn apply(
        &self,
        options: &ApplyOptions,
        declarations: &[Declaration],
    ) -> Result<Applied, TransactionError>;

    /// Makes what was applied without commit last.
    ///
    /// # Errors
    /// There is nothing to commit; NetworkManager's checkpoint has ended by itself, or the disk refuses: everything is put back
    /// then.
    fn commit(&self) -> Result<(), TransactionError>;

    /// Undoes what was prepared by the caller, or was applied without commit. Returns what could not be undone.
    ///
    /// # Errors
    /// There is nothing to undo.
    fn rollback(&self) -> Result<Vec<String>, TransactionError>;
}

/// Why a transaction was not begun or not ended.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.nmstate.Ipsec1.Error")]
pub enum TransactionError {
    /// The bus failed, or nobody is there.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// A declaration cannot be carried out.
    InvalidDeclaration(String),
    /// Another transaction waits for its commit, or there is none.
    WrongTime(String),
    /// NetworkManager, the disk or the state of a certificate does not allow it.
    Failed(String),
}

/// An SA of ESP, as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SaStatus {
    /// Whether it is for packets to the peer.
    pub is_outgoing: bool,
    /// The number in its packets (RFC 4303).
    pub spi: u32,
    /// `transport` or `tunnel`.
    pub mode: String,
    /// The cipher, as the kernel calls it: `rfc4106(gcm(aes))`.
    pub algorithm: String,
    /// Bytes of the packets that it has carried.
    pub bytes: u64,
    /// The packets that it has carried.
    pub packets: u64,
    /// Since when it is there, in seconds since 1970.
    pub since: u64,
    /// When it has carried its first packet, in seconds since 1970; 0 if it has carried none.
    pub used_since: u64,
    /// What the kernel asks for a new one at.
    pub soft: SaLimits,
    /// What the kernel removes it at.
    pub hard: SaLimits,
}

/// How much an SA may carry, and for how long, as the kernel has it; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SaLimits {
    /// Seconds since it is there.
    pub seconds: u64,
    /// Seconds since its first packet.
    pub used_seconds: u64,
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// What pluto will do about an SA that it has negotiated, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct SaTimer {
    /// `ike` or `child`.
    pub kind: String,
    /// pluto's number of the SA: that of `#4`.
    pub number: u32,
    /// What is due: `rekey`, `replace` (it is negotiated anew from its beginning) or `expire`.
    pub event: String,
    /// In so many seconds.
    pub seconds: u64,
}

/// What a connection is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ConnectionStatus {
    /// `connection.id`.
    pub name: String,
    /// `connection.uuid`.
    pub uuid: String,
    /// `up`, `ondemand` (a trap waits for packets), `resolving`, `loading`, `negotiating`, `adopting`, `going-down`, `lost`
    /// (between two tries), `waiting` (to be brought up) or `down`.
    pub state: String,
    /// Since when, in microseconds since 1970.
    pub since: u64,
    /// Tries that have failed since it was up.
    pub failed_tries: u32,
    /// When the next try begins, in microseconds since 1970; 0 if none is waited for.
    pub next_try: u64,
    /// What is waited for, in words; empty if it is up, or waits for nothing but the next try.
    pub waits_for: String,
    /// This host's address; empty if it is not known.
    pub me: String,
    /// The peer's address; empty if it is not known.
    pub peer: String,
    /// The virtual device, if it has one.
    pub device: String,
    /// The NSS nickname of the own certificate, if it has one.
    pub certificate: String,
    /// Until when that is valid, in seconds since 1970; 0 if it is not known.
    pub certificate_until: u64,
    /// The traffic: from where, to where.
    pub flows: Vec<(String, String)>,
    /// The SAs.
    pub sas: Vec<SaStatus>,
    /// What is due to its IKE SA and child SAs.
    pub timers: Vec<SaTimer>,
    /// Whether its guard is in place ([`crate::guard`]).
    pub is_guarded: bool,
    /// So many packets the guard has held back since it was set or the host was started.
    pub held_back: u64,
    /// The last failure that is kept of it, if there is one.
    pub failures: Vec<Failure>,
}

/// `org.nmstate.Ipsec1.Manager`: brings connections up and down, one caller a connection.
///
/// Signals go to the caller of `Activate` alone. All of them carry the connection's UUID first.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Manager",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Manager {
    /// Judges a profile and begins to bring it up; the signals tell how that went.
    ///
    /// # Errors
    /// `InvalidConnection` of [`crate::contract::PluginError`], naming key and value; nothing was begun.
    fn activate(&self, connection: &Settings) -> Result<(), crate::contract::PluginError>;

    /// Takes over a connection that was up under an earlier daemon; it stays as it is if pluto has it, and is
    /// brought back if not.
    ///
    /// # Errors
    /// As those of `Activate`.
    fn register(&self, connection: &Settings) -> Result<(), crate::contract::PluginError>;

    /// Takes a connection down; answered when pluto has nothing left of it.
    ///
    /// # Errors
    /// pluto could not be told.
    fn deactivate(&self, uuid: &str) -> zbus::Result<()>;

    /// What every connection is doing that was asked for since the daemon was started, by name.
    ///
    /// # Errors
    /// The daemon does not answer.
    fn connections(&self) -> zbus::Result<Vec<ConnectionStatus>>;

    /// The last failures of all connections, the oldest first.
    ///
    /// # Errors
    /// The daemon does not answer.
    fn recent_failures(&self) -> zbus::Result<Vec<Failure>>;

    /// The state of a connection has changed; the number is a [`crate::contract::ServiceState`].
    #[zbus(signal)]
    fn connection_state(&self, uuid: String, state: u32) -> zbus::Result<()>;

    /// The tunnel is up with this configuration; an empty dictionary means that there is none.
    #[zbus(signal)]
    fn network_configuration(
        &self,
        uuid: String,
        config: Dictionary,
        ip4: Dictionary,
        ip6: Dictionary,
    ) -> zbus::Result<()>;

    /// The connection failed: NetworkManager's failure, and code and text of a [`crate::reason::Reason`].
    #[zbus(signal)]
    fn connection_failed(&self, uuid: String, failure: u32, code: String, text: String) -> zbus::Result<()>;
}

/// `org.nmstate.Ipsec1.Changes`: tells everybody who may listen, which is root, what happens to connections.
///
/// An interface of its own: adapters, one for each connection, hear what is theirs from [`Manager`](ManagerProxy) and are
/// not woken by this.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Changes",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Changes {
    /// A connection has come into a state of [`ConnectionStatus::state`].
    #[zbus(signal)]
    fn connection_changed(&self, name: String, uuid: String, state: String) -> zbus::Result<()>;
}

/// `org.nmstate.Ipsec1.Autoconnect`: connections that are to be up whenever they can be.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Autoconnect",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Autoconnect {
    /// Tells of an event of NetworkManager's dispatcher, `up` say, and the interface that it is about.
    ///
    /// # Errors
    /// There is no daemon.
    #[zbus(no_reply)]
    fn happened(&self, action: &str, interface: &str) -> zbus::Result<()>;

    /// Reads a profile that has just been changed, and returns whether its guard is in place.
    ///
    /// # Errors
    /// The daemon has gone, or there is no such profile.
    fn read(&self, uuid: &str) -> zbus::Result<bool>;

    /// Returns when every connection that is to be up is up, or needs a person.
    ///
    /// # Errors
    /// The daemon has gone.
    fn settled(&self) -> zbus::Result<()>;
}

/// `org.nmstate.Ipsec1.Certificates`: libreswan's NSS database of this host.
#[zbus::proxy(
    interface = "org.nmstate.Ipsec1.Certificates",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Certificates {
    /// Has a certificate imported, removed or exported, or all of them listed. Question and answer are the JSON of
    /// `nmstate_ipsec_certificates::request`.
    ///
    /// # Errors
    /// The program that does it cannot be run, or does not understand the question.
    fn ask(&self, request: &str) -> zbus::Result<String>;

    /// Tells that certificates were imported by somebody else: the connections that use them authenticate anew. A daemon
    /// that does not run is not started for that.
    ///
    /// # Errors
    /// There is no daemon.
    #[zbus(no_autostart)]
    fn changed(&self, nicknames: &[&str]) -> zbus::Result<()>;
}

/// What pluto's updown helper calls, with the `PLUTO_` variables of its environment.
#[zbus::proxy(
    interface = "org.freedesktop.NetworkManager.libreswan.helper",
    default_service = "org.nmstate.Ipsec1",
    default_path = "/org/nmstate/Ipsec1",
    gen_blocking = false
)]
pub trait Helper {
    /// Hands over the environment; pluto waits for the helper, so nobody waits for an answer.
    #[zbus(no_reply)]
    fn callback(&self, environment: &HashMap<&str, String>) -> zbus::Result<()>;
}
