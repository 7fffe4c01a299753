mod golden;
mod hostile;
#[path = "../../../../../tests/hostile/invariants.rs"]
pub(crate) mod invariants;
mod properties;

use super::*;
use crate::{
    connection::Rendering,
    testing::{EXAMPLES, Pairs, company, ends, profile},
};

const V4: LibreswanVersion = LibreswanVersion { major: 4, minor: 10 };
const V5: LibreswanVersion = LibreswanVersion { major: 5, minor: 2 };

fn options() -> RenderOptions<'static> {
    RenderOptions {
        updown: Path::new("/usr/libexec/nm-libreswan-service-helper"),
        crypto_policy: None,
    }
}

fn conf(pairs: &[(&str, &str)], version: LibreswanVersion) -> Result<String, RenderError> {
    ipsec_conf(
        &profile(pairs, &[]),
        &ends("", "192.0.2.252"),
        version,
        &options(),
    )
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|other| other.trim_start() == line)
}

#[test]
fn every_key_is_rendered_as_the_table_says() {
    for (key, accepted, displayed, _) in EXAMPLES {
        let text = conf(&[&[(*key, *accepted)], company(key)].concat(), V4).unwrap();
        let known = crate::connection::KEYS
            .iter()
            .find(|known| known.name == *key)
            .unwrap();
        match known.rendering {
            Rendering::Same => assert!(has(&text, &format!("{key}=\"{displayed}\"")), "{text}"),
            Rendering::Number => assert!(has(&text, &format!("{key}={displayed}")), "{text}"),
            Rendering::Special => assert!(text.contains(&format!("\t{key}=")), "{text}"),
            Rendering::Never => assert!(!text.contains(key), "{text}"),
        }
    }
}

#[test]
fn versions_differ_where_libreswan_does() {
    let table: &[(Pairs, Option<&str>, Option<&str>)] = &[
        (
            &[("ikev2", "propose")],
            Some("ikev2=\"insist\""),
            Some("keyexchange=\"ikev2\""),
        ),
        (
            &[("ikev2", "never")],
            Some("ikev2=\"no\""),
            Some("keyexchange=\"ikev1\""),
        ),
        (&[("dpdaction", "restart")], Some("dpdaction=\"restart\""), None),
        (&[], Some("keyingtries=1"), None),
        (
            &[("leftid", "group")],
            Some("aggrmode=\"yes\""),
            Some("aggressive=\"yes\""),
        ),
        (
            &[("nic-offload", "crypto")],
            Some("nic-offload=\"yes\""),
            Some("nic-offload=\"crypto\""),
        ),
        (
            &[("nic-offload", "yes")],
            Some("nic-offload=\"yes\""),
            Some("nic-offload=\"crypto\""),
        ),
        (&[("nic-offload", "auto")], Some("nic-offload=\"auto\""), None),
        (
            &[("fragmentation", "force"), ("ikev2", "insist")],
            Some("fragmentation=\"yes\""),
            Some("fragmentation=\"yes\""),
        ),
        (
            &[("nic-offload", "no")],
            Some("nic-offload=\"no\""),
            Some("nic-offload=\"no\""),
        ),
    ];
    for (pairs, old, new) in table {
        for (version, line) in [(V4, old), (V5, new)] {
            let text = conf(pairs, version).unwrap();
            match line {
                Some(line) => assert!(has(&text, line), "{pairs:?} {version}: {text}"),
                None => assert!(
                    pairs.iter().all(|(key, _)| !text.contains(key)),
                    "{pairs:?} {version}: {text}"
                ),
            }
        }
    }
    assert!(has(
        &conf(&[("ikev2", "insist")], LibreswanVersion { major: 5, minor: 1 }).unwrap(),
        "ikev2=\"insist\""
    ));
}

#[test]
fn what_libreswan_4_cannot_do_is_an_error() {
    for (key, value) in [
        ("rightsubnet", "10.0.0.0/8,10.0.0.0/8/tcp"),
        ("leftsubnet", "10.0.0.0/8/tcp/22"),
        ("nic-offload", "packet"),
    ] {
        let pairs = [("ikev2", "insist"), (key, value)];
        let fault = conf(&pairs, V4).unwrap_err();
        assert!(
            fault.to_string().contains(key) && fault.to_string().contains("libreswan 4.10"),
            "{fault}"
        );
        assert!(has(&conf(&pairs, V5).unwrap(), &format!("{key}=\"{value}\"")));
    }
}

#[test]
fn ends_are_addresses_or_magic() {
    let profile = profile(
        &[
            ("left", "hosta.example.org"),
            ("right", "hostb.example.org"),
            ("ikev2", "insist"),
        ],
        &[],
    );
    let text = ipsec_conf(&profile, &ends("2001:db8::1", "2001:db8::2"), V5, &options()).unwrap();
    assert!(has(&text, "left=\"2001:db8::1\"") && has(&text, "right=\"2001:db8::2\""));
    assert!(has(&text, "rightsubnet=\"::/0\""));
    let text = ipsec_conf(&profile, &ends("%defaultroute", "%any"), V5, &options()).unwrap();
    assert!(has(&text, "left=\"%defaultroute\"") && has(&text, "right=\"%any\""));
}

#[test]
fn paths_are_plain_or_refused() {
    let profile = profile(&[], &[]);
    let ends = ends("", "192.0.2.252");
    let policy = RenderOptions {
        crypto_policy: Some(Path::new("/etc/crypto-policies/back-ends/libreswan.config")),
        ..options()
    };
    let text = ipsec_conf(&profile, &ends, V5, &policy).unwrap();
    assert!(
        text.starts_with("include /etc/crypto-policies/back-ends/libreswan.config\n\nconn "),
        "{text}"
    );
    for path in ["relative", "/a b", "/a\"b", "/a*", "/a\nb", "/a;b", "/ä"] {
        let bad_updown = RenderOptions {
            updown: Path::new(path),
            crypto_policy: None,
        };
        assert!(ipsec_conf(&profile, &ends, V5, &bad_updown).is_err(), "{path}");
        let bad_policy = RenderOptions {
            crypto_policy: Some(Path::new(path)),
            ..options()
        };
        assert!(ipsec_conf(&profile, &ends, V5, &bad_policy).is_err(), "{path}");
    }
}

#[test]
fn secrets_are_indexed_by_both_identities() {
    let table: &[(Pairs, &str, &str, &str)] = &[
        (&[], "192.0.2.1", "192.0.2.2", "192.0.2.1 192.0.2.2"),
        (&[], "", "192.0.2.2", "%any 192.0.2.2"),
        (&[], "", "2001:db8::2", "%any6 2001:db8::2"),
        (&[], "2001:db8::1", "%any", "2001:db8::1 %any6"),
        (
            &[("leftid", "a.example.org"), ("rightid", "@b")],
            "",
            "192.0.2.2",
            "@a.example.org @b",
        ),
        (
            &[("leftid", "%fromcert"), ("rightid", "%none")],
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.1 192.0.2.2",
        ),
        (
            &[("leftid", "%fromcert"), ("rightid", "@b")],
            "192.0.2.1",
            "192.0.2.2",
            "%any @b",
        ),
        (
            &[("leftid", "CN=a, O=b"), ("rightid", "@[a group]")],
            "",
            "192.0.2.2",
            "\"CN=a, O=b\" \"@[a group]\"",
        ),
    ];
    for (pairs, left, right, indices) in table {
        let profile = profile(
            &[*pairs, &[("ikev2", "insist")]].concat(),
            &[("pskvalue", "psk \"\n\u{e4}")],
        );
        let secrets = ipsec_secrets(&profile, &ends(left, right)).unwrap();
        assert_eq!(
            secrets.expose(),
            format!("{indices} : PSK 0x70736b20220ac3a4\n"),
            "{pairs:?}"
        );
    }
}

#[test]
fn secrets_are_written_only_where_they_are_used() {
    let of = |pairs: &[(&str, &str)], secrets: &[(&str, &str)]| {
        ipsec_secrets(&profile(pairs, secrets), &ends("192.0.2.1", "192.0.2.2"))
            .map(|text| text.expose().to_owned())
    };
    assert_eq!(of(&[], &[]), None);
    assert_eq!(of(&[("leftcert", "a")], &[("pskvalue", "x")]), None);
    assert_eq!(of(&[("authby", "rsasig")], &[("pskvalue", "x")]), None);
    assert_eq!(
        of(
            &[("leftusername", "joe")],
            &[("pskvalue", "x"), ("xauthpassword", "y")]
        )
        .unwrap(),
        "192.0.2.1 192.0.2.2 : PSK 0x78\n@joe : XAUTH 0x79\n"
    );
    assert_eq!(
        of(
            &[("leftusername", "joe"), ("ikev2", "insist")],
            &[("xauthpassword", "y")]
        ),
        None
    );
    assert_eq!(of(&[], &[("xauthpassword", "y")]), None);
}

#[test]
fn lists_of_subnets_have_another_side_for_libreswan_4() {
    let manual = [("ikev2", "insist"), ("nm-auto-defaults", "no")];
    let render = |more: Pairs, left: &str, version| {
        let pairs = [&manual, more].concat();
        ipsec_conf(
            &profile(&pairs, &[]),
            &ends(left, "192.0.2.252"),
            version,
            &options(),
        )
    };
    let right = [("rightsubnets", "10.3.0.0/16,10.4.0.0/16")];
    assert!(has(
        &render(&right, "192.0.2.1", V4).unwrap(),
        "leftsubnet=\"192.0.2.1/32\""
    ));
    assert!(!render(&right, "192.0.2.1", V5).unwrap().contains("leftsubnet="));
    assert!(render(&right, "%defaultroute", V4).is_err());
    let left = [("leftsubnets", "10.3.0.0/16,10.4.0.0/16")];
    assert!(has(
        &render(&left, "192.0.2.1", V4).unwrap(),
        "rightsubnet=\"192.0.2.252/32\""
    ));
    let client = [("leftmodecfgclient", "yes"), right[0]];
    assert!(render(&client, "192.0.2.1", V4).is_err() && render(&client, "192.0.2.1", V5).is_ok());
    let other_family = [
        ("leftsubnets", "2001:db8:1::/48"),
        ("rightsubnets", "2001:db8:2::/48"),
    ];
    let fault = render(&other_family, "192.0.2.1", V4).unwrap_err();
    assert!(fault.to_string().contains("another address family"), "{fault}");
    assert!(render(&other_family, "192.0.2.1", V5).is_ok());
}

#[test]
fn an_address_of_another_family_gets_a_subnet() {
    let client = [("ikev2", "insist"), ("clientaddrfamily", "ipv6")];
    let text = conf(&client, V5).unwrap();
    assert!(
        has(&text, "leftsubnet=\"::/0\"") && has(&text, "rightsubnet=\"::/0\""),
        "{text}"
    );
    let text = conf(&[("ikev2", "insist"), ("rightsubnet", "2001:db8::/48")], V5).unwrap();
    assert!(
        has(&text, "leftsubnet=\"::/0\"") && has(&text, "rightsubnet=\"2001:db8::/48\""),
        "{text}"
    );
    let same_family = [("ikev2", "insist"), ("rightsubnet", "10.0.0.0/8")];
    assert!(!conf(&same_family, V5).unwrap().contains("leftsubnet"));
}
