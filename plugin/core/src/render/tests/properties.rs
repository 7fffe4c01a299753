use proptest::prelude::*;

use super::*;
use crate::{
    connection::Rendering,
    profile::Profile,
    testing::{EXAMPLES, ends, settings},
};

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
        let (key, value) = line.strip_prefix('\t')?.split_once('=')?;
        let is_bare = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let value = if is_bare {
            value
        } else {
            value.strip_prefix('"')?.strip_suffix('"')?
        };
        if value.contains(['"', '\'']) || value.chars().any(char::is_control) {
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
                Rendering::Same | Rendering::Number => prop_assert!(lines.contains(&line), "{:?}", line),
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
