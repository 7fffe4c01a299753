use super::*;
use crate::testing::{Pairs, UUID, owned, profile, settings_of};

fn fault(settings: &Settings) -> String {
    Profile::from_settings(settings).unwrap_err().to_string()
}

/// `settings` with one value replaced, or removed.
fn with(setting: &str, key: &str, value: Option<OwnedValue>) -> Settings {
    let mut settings = settings_of(&[("ikev2", "insist")], &[("pskvalue", "secret")]);
    let keys = settings.entry(setting.to_owned()).or_default();
    match value {
        Some(value) => keys.insert(key.to_owned(), value),
        None => keys.remove(key),
    };
    settings
}

#[test]
fn a_profile_is_read() {
    let profile = profile(
        &[("ikev2", "insist")],
        &[("pskvalue", "secret"), ("xauthpassword", "")],
    );
    assert_eq!(profile.id.as_str(), "hosta_conn");
    assert_eq!(profile.uuid.as_str(), UUID);
    assert!(!profile.is_private());
    assert_eq!((profile.ip4, profile.ip6), (IpMethod::Auto, IpMethod::Auto));
    assert_eq!(profile.timeout, DEFAULT_TIMEOUT);
    assert_eq!(
        profile.secrets.psk.as_ref().map(crate::secret::Secret::expose),
        Some("secret")
    );
    assert_eq!(profile.secrets.xauth_password, None);
    assert_eq!(profile.pluto_name().as_str(), "hosta_conn-1f2e3d4c");
    assert!(!format!("{profile:?}").contains("secret\""));
}

#[test]
fn a_guard_is_for_profiles_of_the_system() {
    let user_data = |value: &'static str| HashMap::from([("nmstate-ipsec.guard", value)]);
    let mut settings = with(
        "user",
        "data",
        Some(owned(zbus::zvariant::Value::new(user_data("true")))),
    );
    let guarded = Profile::from_settings(&settings).unwrap();
    let open = Profile {
        is_guarded: false,
        ..guarded.clone()
    };
    assert!(guarded.is_guarded && guarded.has_tunnel_of(&open));
    let other = Profile {
        ip4: IpMethod::Disabled,
        ..open.clone()
    };
    assert!(other != open && !other.has_tunnel_of(&open));
    let users = owned(zbus::zvariant::Value::new(vec!["user:alice:"]));
    let connection = settings.get_mut("connection").unwrap();
    connection.insert("permissions".into(), users);
    assert_eq!(
        fault(&settings),
        "keys 'permissions' and 'nmstate-ipsec.guard' exclude each other: a profile of certain users may not hold back what others send"
    );
    let settings = with(
        "user",
        "data",
        Some(owned(zbus::zvariant::Value::new(user_data("1")))),
    );
    assert_eq!(
        fault(&settings),
        "invalid value \"1\" for key 'nmstate-ipsec.guard': expected true or false"
    );
}

#[test]
fn the_rest_of_a_profile_is_read() {
    let read = |settings: &Settings| Profile::from_settings(settings).unwrap();
    assert_eq!(
        read(&with("vpn", "timeout", Some(owned(0_u32)))).timeout,
        DEFAULT_TIMEOUT
    );
    assert_eq!(
        read(&with("vpn", "timeout", Some(owned(90_u32)))).timeout,
        Duration::from_secs(90)
    );
    assert_eq!(
        read(&with("ipv4", "method", Some(owned("disabled")))).ip4,
        IpMethod::Disabled
    );
    assert_eq!(read(&with("ipv6", "method", None)).ip6, IpMethod::Disabled);
    assert_eq!(
        read(&with("ipv6", "method", Some(owned("manual")))).ip6,
        IpMethod::Other
    );
    let permissions = |names: Vec<&str>| Some(owned(zbus::zvariant::Value::new(names)));
    assert!(!read(&with("connection", "permissions", permissions(vec![]))).is_private());
    let of = |entries: Vec<&'static str>| read(&with("connection", "permissions", permissions(entries)));
    assert_eq!(of(vec!["user:joe:", "user:ann:"]).users, ["joe", "ann"]);
    assert_eq!(of(vec!["group:wheel:"]).users, [""]);
    let alias = "org.freedesktop.NetworkManager.openswan";
    assert!(Profile::from_settings(&with("vpn", "service-type", Some(owned(alias)))).is_ok());
}

#[test]
fn values_inside_variants_are_read() {
    let nested = zbus::zvariant::Value::new(zbus::zvariant::Value::new("disabled"));
    let settings = with("ipv4", "method", Some(OwnedValue::try_from(nested).unwrap()));
    assert_eq!(Profile::from_settings(&settings).unwrap().ip4, IpMethod::Disabled);
}

#[test]
fn faults_name_the_key() {
    for (setting, key, value, words) in [
        ("connection", "uuid", None, "missing key 'uuid'"),
        (
            "connection",
            "uuid",
            Some(owned("../x")),
            "invalid value \"../x\" for key 'uuid'",
        ),
        (
            "connection",
            "id",
            Some(owned("a\nb")),
            "invalid value \"a\\nb\" for key 'id'",
        ),
        (
            "connection",
            "id",
            Some(owned(1_u32)),
            "invalid value for key 'id': expected a text",
        ),
        (
            "connection",
            "permissions",
            Some(owned("x")),
            "invalid value for key 'permissions'",
        ),
        ("vpn", "service-type", None, "missing key 'service-type'"),
        (
            "vpn",
            "service-type",
            Some(owned("org.example")),
            "expected org.freedesktop.NetworkManager.libreswan",
        ),
        (
            "vpn",
            "timeout",
            Some(owned("x")),
            "invalid value for key 'timeout'",
        ),
        ("vpn", "data", Some(owned("x")), "invalid value for key 'data'"),
        ("vpn", "data", None, "missing key 'right'"),
        (
            "ipv4",
            "method",
            Some(owned(1_u32)),
            "invalid value for key 'method'",
        ),
    ] {
        let text = fault(&with(setting, key, value));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn faults_hide_secrets() {
    for (key, value) in [
        ("pskvalue", "<_password_hid_by_nmstate>"),
        ("pskvalue", &*"x".repeat(5000)),
        ("psk", "hunter2"),
    ] {
        let text = fault(&settings_of(&[], &[(key, value)]));
        assert!(text.contains(key) && !text.contains(value), "{text}");
    }
    assert!(
        fault(&with("vpn", "secrets", Some(owned("hunter2")))).ends_with("expected a dictionary of texts")
    );
}

#[test]
fn secrets_are_asked_for_by_rule() {
    let table: &[(Pairs, Pairs, bool)] = &[
        (&[("ikev2", "insist")], &[], true),
        (&[("ikev2", "insist")], &[("pskvalue", "x")], false),
        (&[("ikev2", "insist")], &[("pskvalue", "")], true),
        (&[("ikev2", "insist"), ("leftcert", "a")], &[], false),
        (&[("ikev2", "insist"), ("leftrsasigkey", "0sAQ==")], &[], true),
        (
            &[
                ("ikev2", "insist"),
                ("leftrsasigkey", "0sAQ=="),
                ("rightrsasigkey", "0sAQ=="),
            ],
            &[],
            false,
        ),
        (
            &[
                ("ikev2", "insist"),
                ("leftrsasigkey", "0sAQ=="),
                ("rightcert", "b"),
            ],
            &[],
            false,
        ),
        (&[("ikev2", "insist"), ("rightcert", "b")], &[], true),
        (&[("ikev2", "insist"), ("pskinputmodes", "unused")], &[], false),
        (&[("ikev2", "insist"), ("pskvalue-flags", "2")], &[], true),
        (
            &[("ikev2", "insist"), ("pskvalue-flags", "2")],
            &[("pskvalue", "x")],
            false,
        ),
        (&[("ikev2", "insist"), ("pskvalue-flags", "4")], &[], false),
        (&[], &[("pskvalue", "x")], true),
        (&[], &[("pskvalue", "x"), ("xauthpassword", "y")], false),
        (&[("xauthpassword-flags", "4")], &[("pskvalue", "x")], false),
        (
            &[("xauthpasswordinputmodes", "unused")],
            &[("pskvalue", "x")],
            false,
        ),
        (
            &[("nm-auto-defaults", "no"), ("ikev2", "never")],
            &[("pskvalue", "x")],
            false,
        ),
        (&[("leftcert", "a")], &[], false),
        (&[("ikev2", "insist"), ("authby", "rsasig")], &[], false),
        (
            &[("ikev2", "insist"), ("authby", "secret"), ("leftcert", "a")],
            &[],
            true,
        ),
        (&[("right", "not valid")], &[], false),
        (&[("foo", "bar")], &[], false),
    ];
    for (data, secrets, needed) in table {
        assert_eq!(
            needs_secrets(&settings_of(data, secrets)),
            *needed,
            "{data:?} {secrets:?}"
        );
    }
}

#[test]
fn the_user_is_asked_again_only_for_what_the_system_does_not_keep() {
    let both = [SecretKey::Psk, SecretKey::XauthPassword];
    let table: &[(Pairs, &[SecretKey])] = &[
        (&[("ikev2", "insist")], &[]),
        (&[("ikev2", "insist"), ("pskvalue-flags", "0")], &[]),
        (&[("ikev2", "insist"), ("pskvalue-flags", "1")], &both[..1]),
        (&[("ikev2", "insist"), ("pskvalue-flags", "2")], &both[..1]),
        (&[("ikev2", "insist"), ("pskvalue-flags", "6")], &[]),
        (
            &[("ikev2", "insist"), ("pskvalue-flags", "2"), ("leftcert", "a")],
            &[],
        ),
        (&[("xauthpassword-flags", "2")], &both[1..]),
        (&[("pskvalue-flags", "1"), ("xauthpassword-flags", "2")], &both),
        (&[("foo", "bar"), ("pskvalue-flags", "1")], &[]),
    ];
    for (data, keys) in table {
        // It makes no difference whether a secret is there: it may be the wrong one.
        for secrets in [&[][..], &[("pskvalue", "x"), ("xauthpassword", "y")]] {
            assert_eq!(askable_secrets(&settings_of(data, secrets)), *keys, "{data:?}");
        }
    }
}
