//! The corpus of hostile profiles (`tests/hostile`): what must be refused, and what looks odd and must come out whole.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ::hostile::{Case, Reach, Value};
use zbus::zvariant::OwnedValue;

use super::{
    invariants::{self, check_profile, judged, lines_of, settings_of},
    *,
};
use crate::{
    connection::KEYS,
    profile::Settings,
    testing::{EXAMPLES, company, connection, ends, owned},
};

/// A refusal is to come within a second; a debug build on a busy machine included.
const LIMIT: Duration = Duration::from_secs(1);

/// What would be a line, a section or the end of a value, were it passed through.
const SMUGGLED: &[&str] = &[
    "\nleftupdown=/bin/sh",
    "\r\n\tleftupdown=/bin/sh",
    "\"\n\tleftupdown=\"/bin/sh",
    "'\n\tleftupdown='/bin/sh",
    "\n\nconn x\n\tleftupdown=/bin/sh",
    "\ninclude /etc/shadow",
    "\nconfig setup\n\tdumpdir=/",
    "\" leftupdown=\"/bin/sh",
    "\\\n\tleftupdown=/bin/sh",
    "\0leftupdown=/bin/sh",
];

fn settings(case: &Case) -> Settings {
    let settings = case.settings().into_iter().map(|(setting, keys)| {
        let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), sent(value)));
        (setting.to_owned(), keys.collect())
    });
    settings.collect()
}

fn sent(value: Value) -> OwnedValue {
    match value {
        Value::Text(text) => owned(text),
        Value::Number(number) => owned(number),
        Value::Texts(texts) => owned(texts),
        Value::Dictionary(pairs) => owned(zbus::zvariant::Value::new(
            pairs.into_iter().collect::<HashMap<_, _>>(),
        )),
    }
}

/// Whether nothing but the text of the profile decides.
fn is_for_core(case: &Case) -> bool {
    !case.refused.as_ref().is_some_and(|refused| refused.by_daemon)
}

#[test]
fn hostile_profiles_are_refused_at_once_with_key_and_value() {
    let cases = ::hostile::refused();
    for case in cases.iter().filter(|case| is_for_core(case)) {
        let settings = settings(case);
        let start = Instant::now();
        let fault = match judged(&settings) {
            Err(fault) => fault,
            Ok(profile) => panic!("{} was accepted: {profile:?}", case.name),
        };
        assert!(
            start.elapsed() < LIMIT,
            "{} took {:?}",
            case.name,
            start.elapsed()
        );
        let expected = case.refused.as_ref().unwrap();
        let text = fault.to_string();
        assert_eq!(fault.key(), expected.key, "{}: {text}", case.name);
        assert!(text.contains(&expected.says), "{}: {text}", case.name);
        assert_eq!(check_profile(&settings), Ok(()), "{}", case.name);
    }
}

#[test]
fn odd_profiles_are_rendered_and_read_back_whole() {
    for case in ::hostile::accepted() {
        let settings = settings(&case);
        let profile = judged(&settings).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        assert_eq!(check_profile(&settings), Ok(()), "{}", case.name);
        let expected = case.rendered.as_ref().unwrap();
        let ends = ends("192.0.2.251", "192.0.2.252");
        for version in [V4, V5] {
            let conf = ipsec_conf(&profile, &ends, version, &options()).unwrap();
            let lines = lines_of(&conf, profile.pluto_name().as_str()).unwrap();
            let lines: HashMap<_, _> = lines.into_iter().collect();
            for (key, value) in &expected.conf {
                assert_eq!(lines.get(key), Some(value), "{}", case.name);
            }
        }
        let secrets = ipsec_secrets(&profile, &ends);
        assert_eq!(secrets.is_some(), expected.psk, "{}", case.name);
    }
}

#[test]
fn nothing_is_smuggled_behind_the_value_of_any_key() {
    assert_eq!(EXAMPLES.len(), KEYS.len());
    let head = [
        ("left", "192.0.2.251"),
        ("right", "192.0.2.252"),
        ("nm-connect-mode", "up"),
        ("nm-auto-defaults", "no"),
    ];
    let table = EXAMPLES.iter().map(|(key, good, ..)| (*key, *good));
    for (key, good) in table.chain(head) {
        for smuggled in SMUGGLED {
            let value = format!("{good}{smuggled}");
            let fault = connection(&[&[(key, value.as_str())], company(key)].concat()).unwrap_err();
            assert_eq!(fault.key(), key, "{value:?}: {fault}");
        }
    }
}

/// The seeds of the fuzz targets are the corpus; what the targets check holds of it here, too.
#[test]
fn the_seeds_of_the_fuzz_target_keep_the_invariants() {
    for case in &[::hostile::refused(), ::hostile::accepted()].concat() {
        let records = case.records();
        let pairs = records
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let settings = settings_of(&invariants::input_of(pairs));
        assert_eq!(check_profile(&settings), Ok(()), "{}", case.name);
        if is_for_core(case) && case.is_well_shaped() && case.reach != Reach::Core {
            assert_eq!(
                judged(&settings).is_ok(),
                case.rendered.is_some(),
                "{}",
                case.name
            );
        }
    }
}
