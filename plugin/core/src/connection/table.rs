//! The one table of keys: name, type, meaning and rendering of each.

use super::value::{
    Note, YesNo,
    address::{Address, Family, HostAddress},
    certificate::{Issuer, Nickname, RsaSigKey, SendCertificate},
    identity::Identity,
    negotiation::{AuthBy, EndAuth, IkeVersion, Proposal, UserName},
    policy::{
        ConnType, ConnectMode, DpdAction, EnableTcp, Encapsulation, Fragmentation, InputMode, IpsecInterface,
        KeyingTries, Mark, Mtu, NicOffload, Priority, ReplayWindow, SecretFlags,
    },
    protocol::ProtoPort,
    subnet::{Selectors, Subnets},
    time::{Interval, Lifetime},
};
use crate::profile::InvalidProfile;

/// How a key gets into libreswan's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// Under its own name, its value as displayed.
    Same,
    /// The same without quotes: libreswan 4 reads a number between quotes as 0.
    Number,
    /// Name, value or presence depend on libreswan's version or on the resolved ends: the renderer decides.
    Special,
    /// Not at all: the key is this project's or NetworkManager's.
    Never,
}

/// A key that a profile may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name in `vpn.data`.
    pub name: &'static str,
    /// An older name.
    pub alias: Option<&'static str>,
    /// How it gets into libreswan's configuration.
    pub rendering: Rendering,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

/// A key that a connection has, with its value as displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key's name.
    pub key: &'static str,
    /// How it gets into libreswan's configuration.
    pub rendering: Rendering,
    /// The value in its one rendered form.
    pub value: String,
}

macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $name:literal $(| $alias:literal)? => $rendering:ident;
    )+) => {
        /// A libreswan connection: one field for each key of `vpn.data`, parsed to its type.
        ///
        /// `left` is this host, `right` the peer. Built by [`Connection::from_data`], which also fills in what
        /// `nm-auto-defaults` asks for and checks the keys against one another.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Connection {
            /// `nm-auto-defaults`: whether missing keys were filled in as existing profiles expect; on by default.
            pub auto_defaults: bool,
            /// `nm-connect-mode`: what activation does; negotiate at once by default.
            pub connect_mode: ConnectMode,
            /// `left`: this host's address; `%defaultroute` by default, since libreswan accepts no connection without it.
            pub left: HostAddress,
            /// `right`: the peer's address or name; required.
            pub right: HostAddress,
            $( $(#[doc = $doc])+ pub $field: Option<$type>, )+
        }

        /// Every key but `left`, `right`, `nm-auto-defaults` and `nm-connect-mode`, in the order of rendering.
        pub const KEYS: &[Key] = &[
            $( Key {
                name: $name,
                alias: keys!(@alias $($alias)?),
                rendering: Rendering::$rendering,
                meaning: concat!($($doc),+).trim_ascii(),
            }, )+
        ];

        impl Connection {
            pub(super) fn between(left: HostAddress, right: HostAddress) -> Self {
                Self { auto_defaults: true, connect_mode: ConnectMode::Up, left, right, $( $field: None, )+ }
            }

            /// Sets one key of the table; `false` if the table has no such key.
            pub(super) fn set(&mut self, key: &str, text: &str) -> Result<bool, InvalidProfile> {
                match key {
                    $( $name $(| $alias)? => {
                        let value: $type =
                            text.parse().map_err(|expected| InvalidProfile::value(key, text, expected))?;
                        if self.$field.as_ref().is_some_and(|present| *present != value) {
                            return Err(InvalidProfile::conflict($name, key, "are names of one key; give one of them"));
                        }
                        self.$field = Some(value);
                    } )+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// The keys of the table that are set, in the order of rendering.
            pub fn settings(&self) -> Vec<Setting> {
                let mut settings = Vec::new();
                $( if let Some(value) = &self.$field {
                    settings.push(Setting {
                        key: $name,
                        rendering: Rendering::$rendering,
                        value: value.to_string(),
                    });
                } )+
                settings
            }
        }
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

keys! {
    /// Version of IKE: `insist` for IKEv2, `never` for IKEv1 (the latter filled in).
    ikev2: IkeVersion = "ikev2" => Special;
    /// Mode: `tunnel` (libreswan's default) or `transport`.
    conn_type: ConnType = "type" => Same;
    /// Address family that host names resolve to.
    hostaddrfamily: Family = "hostaddrfamily" => Same;
    /// Address family of the traffic inside the tunnel.
    clientaddrfamily: Family = "clientaddrfamily" => Same;

    /// This host's identity; a bare name gets an `@`.
    leftid: Identity = "leftid" => Same;
    /// Nickname of this host's certificate in the NSS database.
    leftcert: Nickname = "leftcert" => Same;
    /// This host's public key; `%cert` is filled in when `leftcert` is set.
    leftrsasigkey: RsaSigKey = "leftrsasigkey" => Same;
    /// When this host's certificate is sent.
    leftsendcert: SendCertificate = "leftsendcert" => Same;
    /// How this host authenticates where the ends differ.
    leftauth: EndAuth = "leftauth" => Same;
    /// User name for extended authentication.
    leftusername: UserName = "leftusername" | "leftxauthuser" => Same;
    /// Whether this host asks the peer for an address and name servers; `yes` is filled in for tunnels.
    leftmodecfgclient: YesNo = "leftmodecfgclient" => Same;
    /// This host's side of the protected traffic.
    leftsubnet: Selectors = "leftsubnet" => Special;
    /// Several subnets on this host's side, each a connection of its own in pluto.
    leftsubnets: Subnets = "leftsubnets" => Same;
    /// Protocol and port on this host's side.
    leftprotoport: ProtoPort = "leftprotoport" => Same;
    /// Address of this host that packets into the tunnel come from.
    leftsourceip: Address = "leftsourceip" => Same;

    /// The peer's identity; a bare name gets an `@`.
    rightid: Identity = "rightid" => Same;
    /// Nickname of the peer's certificate in the NSS database.
    rightcert: Nickname = "rightcert" => Same;
    /// The peer's public key; `%cert` is filled in when a certificate is set.
    rightrsasigkey: RsaSigKey = "rightrsasigkey" => Same;
    /// Authority that must have issued the peer's certificate.
    rightca: Issuer = "rightca" => Same;
    /// How the peer authenticates where the ends differ.
    rightauth: EndAuth = "rightauth" => Same;
    /// The peer's side of the protected traffic; everything is filled in for tunnels.
    rightsubnet: Selectors = "rightsubnet" => Special;
    /// Several subnets on the peer's side, each a connection of its own in pluto.
    rightsubnets: Subnets = "rightsubnets" => Same;
    /// Protocol and port on the peer's side.
    rightprotoport: ProtoPort = "rightprotoport" => Same;

    /// How both ends authenticate; `secret` is filled in where the pre-shared key is the only way.
    authby: AuthBy = "authby" => Same;
    /// Whether the peer's identity must be in its certificate.
    require_id_on_certificate: YesNo = "require-id-on-certificate" => Same;
    /// Algorithms of the IKE SA.
    ike: Proposal = "ike" => Same;
    /// Algorithms of the child SAs.
    esp: Proposal = "esp" => Same;
    /// Whether each child SA has a key exchange of its own.
    pfs: YesNo = "pfs" => Same;
    /// Lifetime of the IKE SA.
    ikelifetime: Lifetime = "ikelifetime" => Same;
    /// Lifetime of the child SAs.
    salifetime: Lifetime = "salifetime" => Same;
    /// Whether SAs are renewed before they expire; `yes` is filled in.
    rekey: YesNo = "rekey" => Same;
    /// How often to try; 0 is without end. 1 is filled in: trying again is this project's work.
    keyingtries: KeyingTries = "keyingtries" => Special;
    /// How long one exchange may take.
    retransmit_timeout: Lifetime = "retransmit-timeout" => Same;
    /// Whether the peer may narrow the protected traffic down.
    narrowing: YesNo = "narrowing" => Same;
    /// Whether IKE messages may be fragmented.
    fragmentation: Fragmentation = "fragmentation" => Special;
    /// Whether the tunnel follows a change of address.
    mobike: YesNo = "mobike" => Same;
    /// How often to ask whether the peer is there, of which nothing is heard; 0 is never. 30 s are filled in for IKEv2.
    dpddelay: Interval = "dpddelay" => Same;
    /// When a silent peer is gone (IKEv1).
    dpdtimeout: Interval = "dpdtimeout" => Special;
    /// What to do when the peer is gone (libreswan 4).
    dpdaction: DpdAction = "dpdaction" => Special;
    /// Whether ESP travels in UDP.
    encapsulation: Encapsulation = "encapsulation" => Same;
    /// Whether IKE and ESP travel over TCP.
    enable_tcp: EnableTcp = "enable-tcp" => Same;
    /// What the network card does.
    nic_offload: NicOffload = "nic-offload" => Special;
    /// How many packets may come out of order.
    replay_window: ReplayWindow = "replay-window" => Number;
    /// Largest packet on the routes through the tunnel, in bytes.
    mtu: Mtu = "mtu" => Number;
    /// Virtual interface for the tunnel's traffic.
    ipsec_interface: IpsecInterface = "ipsec-interface" => Number;
    /// Mark on the kernel's policies and states.
    mark: Mark = "mark" => Same;
    /// Priority of the kernel's policies.
    priority: Priority = "priority" => Number;

    /// Make of an IKEv1 gateway; kept for existing profiles.
    vendor: Note = "vendor" => Never;
    /// Domain for extended authentication; kept for existing profiles.
    domain: Note = "Domain" => Never;
    /// Group of the IKE SA; kept for existing profiles, `ike` decides.
    dhgroup: Note = "dhgroup" => Never;
    /// Group of the child SAs; kept for existing profiles, `esp` decides.
    pfsgroup: Note = "pfsgroup" => Never;
    /// How the pre-shared key is come by.
    pskinputmodes: InputMode = "pskinputmodes" => Never;
    /// How the password for extended authentication is come by.
    xauthpasswordinputmodes: InputMode = "xauthpasswordinputmodes" => Never;
    /// NetworkManager's flags of the pre-shared key.
    pskvalue_flags: SecretFlags = "pskvalue-flags" => Never;
    /// NetworkManager's flags of the password for extended authentication.
    xauthpassword_flags: SecretFlags = "xauthpassword-flags" => Never;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_listed_twice() {
        let mut names: Vec<_> = KEYS
            .iter()
            .flat_map(|key| [Some(key.name), key.alias])
            .flatten()
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(KEYS.iter().all(|key| key.meaning.ends_with('.')));
    }
}
