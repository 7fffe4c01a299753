//! What the tests of several modules build on.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

use crate::{
    connection::Connection,
    profile::{InvalidProfile, Profile, Settings},
    render::{LeftEnd, ResolvedEnds, RightEnd},
};

/// The UUID of the tests' profiles.
pub(crate) const UUID: &str = "1f2e3d4c-0000-4000-8000-00000000000a";

/// For each key: a value that is accepted, as it is rendered, and one that is refused.
pub(crate) const EXAMPLES: &[(&str, &str, &str, &str)] = &[
    ("ikev2", "propose", "insist", "ikev3"),
    ("type", "tunnel", "tunnel", "passthrough"),
    ("hostaddrfamily", "ipv4", "ipv4", "inet"),
    ("clientaddrfamily", "ipv4", "ipv4", "ip4"),
    ("leftid", "hosta.example.org", "@hosta.example.org", "host a"),
    ("leftcert", "left server", "left server", "ovs_cert"),
    (
        "leftrsasigkey",
        "0sAwEAAesFfVZqFzRA9F",
        "0sAwEAAesFfVZqFzRA9F",
        "AwEAAe",
    ),
    ("leftsendcert", "yes", "always", "maybe"),
    ("leftauth", "rsa", "rsasig", "never"),
    ("leftusername", "John Doe", "John Doe", "a\"b"),
    ("leftmodecfgclient", "false", "no", "2"),
    ("leftsubnet", "10.1.2.3/16", "10.1.0.0/16", "10.1.2.3/33"),
    (
        "leftsubnets",
        "{10.1.0.0/16 10.2.0.0/16}",
        "10.1.0.0/16,10.2.0.0/16",
        "10.1.0.0/16;",
    ),
    ("leftprotoport", "tcp/22", "tcp/22", "tcp/99999"),
    ("leftsourceip", "10.1.0.1", "10.1.0.1", "10.1.0.1/16"),
    ("rightid", "CN=hostb, O=Example", "CN=hostb, O=Example", "%any"),
    ("rightcert", "hostb", "hostb", "OVS_x"),
    ("rightrsasigkey", "%cert", "%cert", "%dns"),
    ("rightca", "CN=Example CA", "CN=Example CA", "Example CA"),
    ("rightauth", "ecdsa", "ecdsa", "x"),
    ("rightsubnet", "192.0.2.252/32", "192.0.2.252/32", "%any"),
    (
        "rightsubnets",
        "10.3.0.0/16,10.4.0.0/16",
        "10.3.0.0/16,10.4.0.0/16",
        "",
    ),
    ("rightprotoport", "udp/%any", "udp/%any", "%all"),
    ("authby", "rsa-sha2_256,ecdsa", "rsa-sha2_256,ecdsa", "never"),
    ("require-id-on-certificate", "no", "no", "0"),
    (
        "ike",
        "aes_gcm256-sha2_512;dh19",
        "aes_gcm256-sha2_512;dh19",
        "aes gcm",
    ),
    ("esp", "aes_gcm256", "aes_gcm256", "aes_gcm256\n"),
    ("pfs", "on", "yes", "1"),
    ("ikelifetime", "24h", "86400s", "24x"),
    ("salifetime", "3600", "3600s", "0"),
    ("rekey", "no", "no", "never"),
    ("keyingtries", "%forever", "0", "-1"),
    ("retransmit-timeout", "500ms", "500ms", "1us"),
    ("narrowing", "yes", "yes", "insist"),
    ("fragmentation", "force", "force", "maybe"),
    ("mobike", "yes", "yes", "propose"),
    ("dpddelay", "5", "5s", "-5"),
    ("dpdtimeout", "1m", "60s", "1 m"),
    ("dpdaction", "restart_by_peer", "restart", "none"),
    ("encapsulation", "auto", "auto", "force"),
    ("enable-tcp", "fallback", "fallback", "tcp"),
    ("nic-offload", "yes", "yes", "eth0"),
    ("replay-window", "128", "128", "65536"),
    ("mtu", "1400", "1400", "67"),
    ("ipsec-interface", "yes", "1", "ipsec1"),
    ("mark", "5/0xff", "0x5/0x000000ff", "5/"),
    ("priority", "2000", "2000", "-1"),
    ("vendor", "Cisco", "Cisco", "a\nb"),
    ("Domain", "EXAMPLE", "EXAMPLE", ""),
    ("dhgroup", "modp1024", "modp1024", "\t"),
    ("pfsgroup", "modp1024", "modp1024", "'"),
    ("pskinputmodes", "saved", "save", "yes"),
    ("xauthpasswordinputmodes", "ask", "ask", "no"),
    ("pskvalue-flags", "1", "1", "8"),
    ("xauthpassword-flags", "4", "4", "-1"),
];

/// Keys and values, as tables have them.
pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What a key needs beside it to be accepted.
pub(crate) fn company(key: &str) -> Pairs<'static> {
    match key {
        "leftauth" => &[("rightauth", "secret"), ("ikev2", "insist")],
        "rightsubnets" => &[("leftsubnet", "10.1.0.0/16")],
        "rightauth" => &[("leftauth", "rsasig"), ("ikev2", "insist")],
        _ => &[],
    }
}

/// `vpn.data` of these keys and values.
pub(crate) fn data(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A connection of these keys and a peer.
pub(crate) fn connection(pairs: &[(&str, &str)]) -> Result<Connection, InvalidProfile> {
    let mut data = data(pairs);
    data.entry("right".into()).or_insert_with(|| "192.0.2.252".into());
    Connection::from_data(&data)
}

/// A value as NetworkManager sends it.
pub(crate) fn owned<'a>(value: impl Into<Value<'a>>) -> OwnedValue {
    OwnedValue::try_from(value.into()).unwrap()
}

/// A profile's settings as NetworkManager sends them.
pub(crate) fn settings(id: &str, data: HashMap<String, String>, secrets: &[(&str, &str)]) -> Settings {
    let mut vpn = HashMap::from([
        (
            "service-type".to_owned(),
            owned("org.freedesktop.NetworkManager.libreswan"),
        ),
        ("data".to_owned(), owned(Value::new(data))),
    ]);
    if !secrets.is_empty() {
        vpn.insert("secrets".to_owned(), owned(Value::new(self::data(secrets))));
    }
    HashMap::from([
        (
            "connection".to_owned(),
            HashMap::from([
                ("id".to_owned(), owned(id)),
                ("uuid".to_owned(), owned(UUID)),
                ("type".to_owned(), owned("vpn")),
            ]),
        ),
        ("vpn".to_owned(), vpn),
        (
            "ipv4".to_owned(),
            HashMap::from([("method".to_owned(), owned("auto"))]),
        ),
        (
            "ipv6".to_owned(),
            HashMap::from([("method".to_owned(), owned("auto"))]),
        ),
    ])
}

/// The settings of a profile of these keys and a peer.
pub(crate) fn settings_of(pairs: &[(&str, &str)], secrets: &[(&str, &str)]) -> Settings {
    let mut data = data(pairs);
    data.entry("right".into()).or_insert_with(|| "192.0.2.252".into());
    settings("hosta_conn", data, secrets)
}

/// A profile of these keys and a peer.
pub(crate) fn profile(pairs: &[(&str, &str)], secrets: &[(&str, &str)]) -> Profile {
    Profile::from_settings(&settings_of(pairs, secrets)).unwrap()
}

/// Resolved ends; `%defaultroute` and `%any` are themselves.
pub(crate) fn ends(left: &str, right: &str) -> ResolvedEnds {
    ResolvedEnds {
        left: left.parse().map_or(LeftEnd::DefaultRoute, LeftEnd::Ip),
        right: right.parse().map_or(RightEnd::Any, RightEnd::Ip),
    }
}
