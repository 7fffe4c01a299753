use proptest::prelude::*;

use super::{
    invariants::{check_profile, check_updown, judged},
    *,
};
use crate::{
    testing::{EXAMPLES, UUID, company, owned, profile, settings},
    updown::FORWARDED,
};

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

/// Every key and its older name, and keys that there are none of.
fn any_key() -> impl Strategy<Value = String> {
    let known = crate::connection::KEYS.iter();
    let mut keys: Vec<String> = known
        .flat_map(|key| [Some(key.name), key.alias])
        .flatten()
        .map(str::to_owned)
        .collect();
    keys.extend(["left", "right", "nm-connect-mode", "nm-auto-defaults"].map(str::to_owned));
    prop_oneof![20 => proptest::sample::select(keys), 1 => hostile()]
}

/// A value that the key takes, with something hostile at its end, or something hostile alone.
fn any_pair() -> impl Strategy<Value = (String, String)> {
    let of_example = (
        proptest::sample::select(EXAMPLES),
        proptest::option::of(hostile()),
    )
        .prop_map(|((key, good, ..), end)| ((*key).to_owned(), format!("{good}{}", end.unwrap_or_default())));
    prop_oneof![1 => of_example, 1 => (any_key(), hostile())]
}

fn secret_key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["pskvalue".to_owned(), "xauthpassword".to_owned()])
}

/// What pluto may tell, and what it never would.
fn variable() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![9 => proptest::sample::select(FORWARDED).prop_map(str::to_owned), 1 => hostile()];
    let value = prop_oneof![
        hostile(),
        "[0-9a-fx./ :-]{0,40}",
        "(up|route)-(host|client)(-v6)?",
        "(192\\.0\\.2|10\\.0\\.0)\\.[0-9]{1,3}",
        "(255\\.){3}[0-9]{1,3}",
        "2001:db8::[0-9a-f]{1,4}",
        "ffff:ffff::[0-9a-f]{0,4}",
    ];
    (name, value)
}

/// A report that is in order.
fn report() -> Vec<(String, String)> {
    let report = [
        ("PLUTO_VERB", "up-client"),
        ("PLUTO_CONNECTION", "hosta_conn-1f2e3d4c"),
        ("PLUTO_PEER", "192.0.2.252"),
        ("PLUTO_PEER_CLIENT_NET", "10.2.0.0"),
        ("PLUTO_PEER_CLIENT_MASK", "255.255.0.0"),
        ("PLUTO_PEER_DNS_INFO", "10.2.0.1"),
    ];
    report
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

proptest! {
    #[test]
    fn a_configuration_has_the_lines_of_its_model_and_no_others(
        id in hostile(),
        uuid in prop_oneof![9 => Just(UUID.to_owned()), 1 => hostile()],
        private: bool,
        pairs in proptest::collection::vec(any_pair(), 0..5),
        secrets in proptest::collection::hash_map(secret_key(), hostile(), 0..3),
    ) {
        let mut data = std::collections::HashMap::from([("right".to_owned(), "192.0.2.252".to_owned())]);
        for (key, value) in pairs {
            data.extend(company(&key).iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            data.insert(key, value);
        }
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut settings = settings(&id, data, &secrets);
        let connection = settings.entry("connection".to_owned()).or_default();
        connection.insert("uuid".to_owned(), owned(uuid));
        if private {
            connection.insert("permissions".to_owned(), owned(vec!["user:nobody:".to_owned()]));
        }
        prop_assert_eq!(check_profile(&settings), Ok(()));
        if let Ok(profile) = judged(&settings) {
            prop_assert_eq!(check_updown(&profile, &report()), Ok(()));
        }
    }

    #[test]
    fn secrets_come_out_byte_by_byte_whatever_they_and_the_identities_are(
        ids in [hostile(), hostile()],
        secrets in [any::<String>(), any::<String>()],
    ) {
        let [leftid, rightid] = ids;
        let data = [("leftid", leftid), ("rightid", rightid), ("leftusername", "me".to_owned()), ("right", "192.0.2.252".to_owned())];
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let [psk, password] = &secrets;
        let settings = settings("hosta_conn", data, &[("pskvalue", psk), ("xauthpassword", password)]);
        prop_assert_eq!(check_profile(&settings), Ok(()));
    }

    #[test]
    fn no_variable_gets_a_line_of_its_own_past_the_model(
        replaced in proptest::collection::vec(variable(), 0..6),
        device: bool,
        client: bool,
    ) {
        let switch = |on| if on { "yes" } else { "no" };
        let profile = profile(&[("ikev2", "insist"), ("ipsec-interface", switch(device)), ("leftmodecfgclient", switch(client))], &[]);
        let mut variables = report();
        variables.extend(replaced);
        prop_assert_eq!(check_updown(&profile, &variables), Ok(()));
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
