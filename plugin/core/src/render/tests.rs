use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::*;
use crate::{
    connection::{Rendering, YesNo},
    profile::Profile,
    testing::{EXAMPLES, ends, profile, settings},
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
        let company: &[(&str, &str)] = match *key {
            "leftauth" => &[("rightauth", "secret"), ("ikev2", "insist")],
            "rightauth" => &[("leftauth", "rsasig"), ("ikev2", "insist")],
            _ => &[],
        };
        let text = conf(&[&[(*key, *accepted)], company].concat(), V4).unwrap();
        let known = crate::connection::KEYS
            .iter()
            .find(|known| known.name == *key)
            .unwrap();
        match known.rendering {
            Rendering::Same => assert!(has(&text, &format!("{key}=\"{displayed}\"")), "{text}"),
            Rendering::Special => assert!(text.contains(&format!("\t{key}=")), "{text}"),
            Rendering::Never => assert!(!text.contains(key), "{text}"),
        }
    }
}

#[test]
fn versions_differ_where_libreswan_does() {
    let table: &[(&[(&str, &str)], Option<&str>, Option<&str>)] = &[
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
        (&[], Some("keyingtries=\"1\""), None),
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
    let table: &[(&[(&str, &str)], &str, &str, &str)] = &[
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

/// Keys and values of a configuration whose lines are all of the form that is meant; nothing if one is not.
fn lines_of(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.split('\n');
    if lines.next()? != format!("conn {name}") {
        return None;
    }
    let mut pairs = Vec::new();
    let rest: Vec<_> = lines.collect();
    let (last, rest) = rest.split_last()?;
    for line in rest {
        let (key, value) = line.strip_prefix('\t')?.split_once("=\"")?;
        let value = value.strip_suffix('"')?;
        if value.contains(['"', '\'', '\r', '\n']) || value.chars().any(char::is_control) {
            return None;
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    last.is_empty().then_some(pairs)
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z0-9 =\"'\n\t#{}\\\\-]{0,20}",
        Just("a\"\n\tleftupdown=\"/bin/sh".to_owned()),
        Just("x\nconn y".to_owned()),
        proptest::sample::select(
            EXAMPLES
                .iter()
                .map(|example| example.1.to_owned())
                .collect::<Vec<_>>()
        ),
    ]
}

fn any_key() -> impl Strategy<Value = String> {
    let mut keys: Vec<String> = crate::connection::KEYS
        .iter()
        .map(|key| key.name.to_owned())
        .collect();
    keys.extend(["left", "right"].map(str::to_owned));
    proptest::sample::select(keys)
}

proptest! {
    #[test]
    fn a_configuration_has_the_lines_of_its_model_and_no_others(
        id in hostile(),
        data in proptest::collection::hash_map(any_key(), hostile(), 0..5),
        secrets in proptest::collection::hash_map(proptest::sample::select(vec!["pskvalue".to_owned(), "xauthpassword".to_owned()]), hostile(), 0..2),
        new: bool,
    ) {
        let mut data = data;
        data.entry("right".into()).or_insert_with(|| "192.0.2.252".into());
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let id: String = id.chars().filter(|character| *character != '\0').collect();
        let settings = settings(&id, data, &secrets);
        if let Ok(profile) = Profile::from_settings(&settings) {
            check_lines(&profile, if new { V5 } else { V4 })?;
        }
    }

    #[test]
    fn names_are_of_pluto_s_grammar(id in any::<String>()) {
        if let Ok(id) = id.parse() {
            let name = PlutoName::new(&id, &crate::testing::UUID.parse().unwrap());
            prop_assert!(name.as_str().starts_with(|first: char| first.is_ascii_alphabetic()));
            prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
            prop_assert!(name.owns(name.as_str()));
        }
    }

    #[test]
    fn no_text_makes_the_version_s_parser_panic(text in any::<String>(), number in "[vU(]{0,2}[0-9]{1,6}\\.[0-9a-z./]{0,8}") {
        let _ = text.parse::<LibreswanVersion>();
        let _ = format!("Libreswan {number}").parse::<LibreswanVersion>();
    }
}

fn check_lines(profile: &Profile, version: LibreswanVersion) -> Result<(), TestCaseError> {
    let ends = ends("192.0.2.1", "192.0.2.2");
    if let Ok(text) = ipsec_conf(profile, &ends, version, &options()) {
        let lines = lines_of(&text, profile.pluto_name().as_str());
        let lines = lines.ok_or_else(|| TestCaseError::fail(format!("not of the form: {text:?}")))?;
        let mut keys: Vec<_> = lines.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), lines.len(), "a key is there twice");
        for setting in profile.connection.settings() {
            let line = (setting.key.to_owned(), setting.value.clone());
            match setting.rendering {
                Rendering::Same => prop_assert!(lines.contains(&line), "{:?}", line),
                Rendering::Never => prop_assert!(!keys.contains(&setting.key)),
                Rendering::Special => {}
            }
        }
        let updown: Vec<_> = lines.iter().filter(|(key, _)| key == "leftupdown").collect();
        prop_assert_eq!(
            updown,
            [&("leftupdown".to_owned(), options().updown.display().to_string())]
        );
    }
    if let Some(secrets) = ipsec_secrets(profile, &ends) {
        for line in secrets.expose().lines() {
            let (indices, secret) = line
                .split_once(" : ")
                .ok_or_else(|| TestCaseError::fail("no index"))?;
            prop_assert!(!indices.starts_with([' ', '\t']));
            let digits = secret
                .split_once(" 0x")
                .map(|(_, digits)| digits)
                .unwrap_or_default();
            prop_assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
    Ok(())
}

/// The `libreswan` section of a document in policy-examples/, as nmstate writes it into `vpn.data` and `vpn.secrets`.
fn read_policy(text: &str) -> Option<(Vec<(String, String)>, Vec<(String, String)>)> {
    let placeholders = [
        ("<cluster_node>", "node1.example.org"),
        ("<external_host>", "hostb.example.org"),
        ("<external_address>", "192.0.2.252"),
        ("<node_address>", "192.0.2.251"),
        ("<peer_address>", "192.0.2.252"),
    ];
    let mut lines = text.lines().skip_while(|line| line.trim() != "libreswan:");
    let indentation = indentation(lines.next()?);
    let (mut data, mut secrets) = (Vec::new(), Vec::new());
    for line in lines.take_while(|line| self::indentation(line) > indentation) {
        let (key, value) = line.trim().split_once(": ")?;
        let mut value = value.trim_matches(['\'', '"']).to_owned();
        for (placeholder, filled_in) in placeholders {
            value = value.replace(placeholder, filled_in);
        }
        match (key, value.as_str()) {
            ("psk", _) => secrets.push(("pskvalue".to_owned(), value)),
            (_, "true" | "false") => data.push((key.to_owned(), YesNo::from(value == "true").to_string())),
            _ => data.push((key.to_owned(), value)),
        }
    }
    Some((data, secrets))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A case of tests/golden: lines `key=value`, secrets marked with `secret `.
fn read_case(text: &str) -> Option<(Vec<(String, String)>, Vec<(String, String)>)> {
    let (mut data, mut secrets) = (Vec::new(), Vec::new());
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (list, line) = match line.strip_prefix("secret ") {
            Some(line) => (&mut secrets, line),
            None => (&mut data, line),
        };
        let (key, value) = line.split_once('=')?;
        list.push((key.to_owned(), value.to_owned()));
    }
    Some((data, secrets))
}

/// Compares with tests/golden, or writes it where `UPDATE_GOLDEN` is set.
fn check_golden(name: &str, data: &[(String, String)], secrets: &[(String, String)]) {
    let borrowed =
        |pairs: &[(String, String)]| pairs.iter().cloned().collect::<std::collections::HashMap<_, _>>();
    let secret_pairs: Vec<(&str, &str)> = secrets
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let profile = Profile::from_settings(&settings("hosta_conn", borrowed(data), &secret_pairs)).unwrap();
    let family = profile.connection.host_family();
    let is_default_route = profile.connection.left == crate::connection::HostAddress::DefaultRoute;
    let ends = match family {
        Some(crate::connection::Family::Ipv6) => ends("2001:db8::251", "2001:db8::252"),
        _ if is_default_route => ends("", "192.0.2.252"),
        _ => ends("192.0.2.251", "192.0.2.252"),
    };
    for version in [V4, V5] {
        let mut text = match ipsec_conf(&profile, &ends, version, &options()) {
            Ok(text) => text,
            Err(fault) => format!("# {fault}\n"),
        };
        if let Some(secrets) = ipsec_secrets(&profile, &ends) {
            text.push_str(&format!("\n# ipsec.secrets\n{}", secrets.expose()));
        }
        let path = golden_dir().join(format!("{name}.{version}.conf"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            text,
            golden,
            "{} differs; UPDATE_GOLDEN=1 writes it anew",
            path.display()
        );
    }
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn files(dir: &Path, extension: &str) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_shipped_policy_is_rendered_as_recorded() {
    let policies = files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy-examples"),
        "yaml",
    );
    assert!(!policies.is_empty());
    for (name, text) in policies {
        match read_policy(&text) {
            Some((data, secrets)) => check_golden(&format!("policy-{name}"), &data, &secrets),
            None => assert!(text.contains("state: absent"), "{name} has no libreswan section"),
        }
    }
}

#[test]
fn every_case_is_rendered_as_recorded() {
    let cases = files(&golden_dir(), "case");
    assert!(!cases.is_empty());
    for (name, text) in cases {
        let (data, secrets) = read_case(&text).unwrap();
        check_golden(&name, &data, &secrets);
    }
}
