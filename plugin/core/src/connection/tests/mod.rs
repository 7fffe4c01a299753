mod documented;
mod properties;

use super::*;
use crate::testing::{EXAMPLES, Pairs, company, connection, data};

/// The value that a connection has for `key`, as displayed.
fn shown(connection: &Connection, key: &str) -> Option<String> {
    connection
        .settings()
        .into_iter()
        .find(|setting| setting.key == key)
        .map(|setting| setting.value)
}

#[test]
fn every_key_has_an_example() {
    let mut with_example: Vec<_> = EXAMPLES.iter().map(|example| example.0).collect();
    let mut known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    with_example.sort_unstable();
    known.sort_unstable();
    assert_eq!(with_example, known);
}

#[test]
fn every_key_is_parsed_to_its_type() {
    for (key, accepted, displayed, refused) in EXAMPLES {
        let pairs = |value| [&[(*key, value)], company(key)].concat();
        let parsed = connection(&pairs(accepted)).unwrap();
        assert_eq!(shown(&parsed, key).as_deref(), Some(*displayed), "{key}");
        let fault = connection(&pairs(refused)).unwrap_err();
        assert_eq!(fault.key(), *key, "{fault}");
        assert!(matches!(fault, InvalidProfile::Value { .. }), "{fault:?}");
    }
}

#[test]
fn the_ends_and_our_own_keys_are_parsed() {
    let parsed = connection(&[
        ("left", "hosta.example.org"),
        ("nm-auto-defaults", "no"),
        ("nm-connect-mode", "ondemand"),
    ])
    .unwrap();
    assert_eq!(parsed.left.to_string(), "hosta.example.org");
    assert_eq!(parsed.connect_mode, ConnectMode::OnDemand);
    assert!(!parsed.auto_defaults);
    for (key, refused) in [
        ("left", "%any"),
        ("right", "192.0.2.300"),
        ("nm-auto-defaults", ""),
        ("nm-connect-mode", "x"),
    ] {
        assert_eq!(connection(&[(key, refused)]).unwrap_err().key(), key);
    }
    assert_eq!(
        connection(&[("right", "192.0.2.300")]).unwrap_err().to_string(),
        "invalid value \"192.0.2.300\" for key 'right': expected an IP address, a host name or %any"
    );
}

#[test]
fn a_peer_is_required() {
    let fault = Connection::from_data(&data(&[("left", "192.0.2.1")])).unwrap_err();
    assert!(fault.to_string().starts_with("missing key 'right': "), "{fault}");
}

#[test]
fn unknown_keys_are_refused_with_a_suggestion() {
    let fault = connection(&[("leftupdown", "/bin/sh")]).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "property 'leftupdown' invalid or not supported"
    );
    let fault = connection(&[("rigthid", "%fromcert")]).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "property 'rigthid' invalid or not supported; did you mean 'rightid'?"
    );
    let fault = connection(&[("leftid\nleftupdown", "x")]).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "property 'leftid\\nleftupdown' invalid or not supported"
    );
}

#[test]
fn a_secret_among_the_data_is_refused_unseen() {
    let fault = connection(&[("pskvalue", "hunter2")]).unwrap_err();
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
}

#[test]
fn an_alias_is_the_same_key() {
    let parsed = connection(&[("leftxauthuser", "joe")]).unwrap();
    assert_eq!(shown(&parsed, "leftusername").as_deref(), Some("joe"));
    assert!(connection(&[("leftxauthuser", "joe"), ("leftusername", "joe")]).is_ok());
    assert!(connection(&[("leftxauthuser", "joe"), ("leftusername", "jim")]).is_err());
}

#[test]
fn defaults_are_filled_in_for_ikev2_with_certificates() {
    let parsed = connection(&[
        ("ikev2", "insist"),
        ("leftcert", "hosta"),
        ("leftid", "%fromcert"),
        ("rightid", "b.example.org"),
    ]);
    let parsed = parsed.unwrap();
    let expected = [
        ("ikev2", "insist"),
        ("leftid", "%fromcert"),
        ("leftcert", "hosta"),
        ("leftrsasigkey", "%cert"),
        ("leftmodecfgclient", "yes"),
        ("rightid", "@b.example.org"),
        ("rightrsasigkey", "%cert"),
        ("rekey", "yes"),
        ("keyingtries", "1"),
        ("dpddelay", "30s"),
    ];
    let settings: Vec<_> = parsed
        .settings()
        .into_iter()
        .map(|setting| (setting.key, setting.value))
        .collect();
    assert_eq!(settings, expected.map(|(key, value)| (key, value.to_owned())));
    assert_eq!(parsed.left, HostAddress::DefaultRoute);
    assert_eq!(
        parsed.remote_subnets(Family::Ipv4),
        ["0.0.0.0/0".parse().unwrap()]
    );
    assert!(!parsed.uses_psk());
}

#[test]
fn defaults_are_filled_in_for_ikev1() {
    let parsed = connection(&[("leftid", "group")]).unwrap();
    assert_eq!(parsed.ike_version(), IkeVersion::V1);
    assert!(parsed.is_aggressive() && parsed.uses_xauth() && parsed.uses_psk());
    for (key, value) in [
        ("ikelifetime", "86400s"),
        ("salifetime", "86400s"),
        ("authby", "secret"),
        ("leftid", "@group"),
    ] {
        assert_eq!(shown(&parsed, key).as_deref(), Some(value), "{key}");
    }
    assert!(parsed.ike.is_some() && parsed.esp.is_some());
    assert!(connection(&[]).unwrap().ike.is_none());
}

#[test]
fn nothing_but_the_way_to_authenticate_is_filled_in_without_defaults() {
    let parsed = connection(&[("nm-auto-defaults", "no"), ("rightid", "b.example.org")]).unwrap();
    let settings: Vec<_> = parsed
        .settings()
        .into_iter()
        .map(|setting| (setting.key, setting.value))
        .collect();
    assert_eq!(
        settings,
        [
            ("rightid", "b.example.org".to_owned()),
            ("authby", "secret".to_owned())
        ]
    );
    assert!(parsed.remote_subnets(Family::Ipv4).is_empty());
    assert_eq!(parsed.ike_version(), IkeVersion::V2);
    let with_cert = connection(&[("nm-auto-defaults", "no"), ("leftcert", "hosta")]).unwrap();
    assert_eq!(with_cert.settings().len(), 1);
}

#[test]
fn what_the_user_says_about_authentication_stays() {
    let parsed = connection(&[("authby", "rsasig")]).unwrap();
    assert_eq!(shown(&parsed, "authby").as_deref(), Some("rsasig"));
    assert!(!parsed.uses_psk());
    let parsed = connection(&[
        ("ikev2", "insist"),
        ("leftauth", "secret"),
        ("rightauth", "rsasig"),
    ])
    .unwrap();
    assert_eq!(parsed.authby, None);
    assert!(parsed.uses_psk());
    let raw = connection(&[("leftrsasigkey", "0sAQ=="), ("rightrsasigkey", "0sAQ==")]).unwrap();
    assert!(!raw.uses_psk() && raw.authby.is_none());
}

#[test]
fn everything_of_the_right_family_is_the_default_remote_subnet() {
    let table: &[(Pairs, Family, &str)] = &[
        (&[], Family::Ipv4, "0.0.0.0/0"),
        (&[], Family::Ipv6, "::/0"),
        (&[("clientaddrfamily", "ipv6")], Family::Ipv4, "::/0"),
        (&[("leftsubnet", "2001:db8::/64")], Family::Ipv4, "::/0"),
        (&[("leftsourceip", "10.0.0.1")], Family::Ipv6, "0.0.0.0/0"),
    ];
    for (pairs, ends, subnet) in table {
        let pairs = [*pairs, &[("right", "peer.example.org")]].concat();
        assert_eq!(
            connection(&pairs).unwrap().remote_subnets(*ends),
            [subnet.parse().unwrap()],
            "{pairs:?}"
        );
    }
    let given = connection(&[("rightsubnets", "10.0.0.0/8,10.0.0.0/8")]).unwrap();
    assert_eq!(
        given.remote_subnets(Family::Ipv6),
        ["10.0.0.0/8".parse().unwrap()]
    );
}

#[test]
fn a_transport_gets_no_tunnel_defaults() {
    let parsed = connection(&[("type", "transport"), ("ikev2", "insist")]).unwrap();
    assert_eq!(parsed.leftmodecfgclient, None);
    assert!(parsed.remote_subnets(Family::Ipv4).is_empty());
}

/// Keys that contradict each other, and the two that the fault names.
const CONTRADICTIONS: &str = "
    left=2001:db8::1                                    : left right
    hostaddrfamily=ipv6                                 : right hostaddrfamily
    left=192.0.2.1 hostaddrfamily=ipv6                  : left hostaddrfamily
    clientaddrfamily=ipv6 rightsubnet=10.0.0.0/8        : rightsubnet clientaddrfamily
    clientaddrfamily=ipv4 leftsubnets=::/0              : leftsubnets clientaddrfamily
    clientaddrfamily=ipv4 leftsourceip=::1              : leftsourceip clientaddrfamily
    leftsubnet=10.0.0.0/8 leftsubnets=10.0.0.0/8        : leftsubnet leftsubnets
    rightsubnet=10.0.0.0/8 rightsubnets=10.0.0.0/8      : rightsubnet rightsubnets
    rightsubnet=10.0.0.0/8/tcp rightprotoport=tcp       : rightsubnet rightprotoport
    leftauth=secret                                     : leftauth rightauth
    leftauth=secret rightauth=null                      : leftauth rightauth
    leftauth=secret rightauth=secret authby=secret      : leftauth authby
    type=transport rightsubnet=10.0.0.0/8               : rightsubnet type
    type=transport rightsubnet=10.0.0.1/32              : rightsubnet type
    type=transport leftsubnets=10.0.0.1/32              : leftsubnets type
    type=transport leftmodecfgclient=yes                : leftmodecfgclient type
    rightsubnet=10.0.0.0/8,10.1.0.0/16                  : rightsubnet ikev2
    leftauth=rsasig rightauth=rsasig                    : leftauth ikev2
    leftmodecfgclient=no rightsubnets=2001:db8::/64     : rightsubnets left
    leftsubnet=2001:db8::/64 rightsubnet=10.0.0.0/8     : rightsubnet leftsubnet
    leftsubnets=10.1.0.0/16,::/0 rightsubnet=10.0.0.0/8 : rightsubnet leftsubnets
    nm-auto-defaults=no leftsubnet=2001:db8::/64        : right leftsubnet
    leftsubnet=10.1.0.0/16 leftsourceip=10.2.0.1        : leftsourceip leftsubnet
    left=192.0.2.1 leftsourceip=10.2.0.1                : leftsourceip left
    leftmodecfgclient=no clientaddrfamily=ipv6          : left clientaddrfamily
";

#[test]
fn contradictions_name_both_keys() {
    for line in CONTRADICTIONS.lines().filter(|line| !line.is_empty()) {
        let (pairs, keys) = line.rsplit_once(" : ").unwrap();
        let pairs: Vec<_> = pairs
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .collect();
        match connection(&pairs) {
            Err(InvalidProfile::Conflict { first, second, .. }) => {
                assert_eq!(format!("{first} {second}"), keys, "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn transport_to_a_name_takes_any_host_address() {
    let pairs = [
        ("type", "transport"),
        ("right", "peer.example.org"),
        ("rightsubnet", "192.0.2.9/32"),
        ("ikev2", "insist"),
    ];
    assert!(connection(&pairs).is_ok());
}

#[test]
fn nicknames_are_collected() {
    let parsed = connection(&[("leftcert", "a"), ("rightcert", "b")]).unwrap();
    assert_eq!(
        parsed.nicknames().map(Nickname::as_str).collect::<Vec<_>>(),
        ["a", "b"]
    );
}
