use proptest::prelude::*;

use super::*;
use crate::render::tests::invariants::data_of;

fn any_key() -> impl Strategy<Value = String> {
    let known: Vec<String> = KEYS
        .iter()
        .map(|key| key.name)
        .chain(HEAD_KEYS.iter().copied())
        .map(str::to_owned)
        .collect();
    prop_oneof![9 => proptest::sample::select(known), 1 => ".{0,12}"]
}

/// Values of which many are accepted by some key, and many by none.
fn any_value() -> impl Strategy<Value = String> {
    let examples: Vec<String> = EXAMPLES
        .iter()
        .flat_map(|example| [example.1, example.2, example.3])
        .map(str::to_owned)
        .collect();
    prop_oneof![
        4 => proptest::sample::select(examples),
        1 => any::<String>(),
        1 => "[a-zA-Z0-9 .,:;/%@=+_\\\\\"'#{}\\[\\]\n\t-]{0,24}",
        1 => "[0-9]{1,12}[a-z./]{0,2}[0-9]{0,3}",
    ]
}

fn example_pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let examples: Vec<(String, String)> = EXAMPLES
        .iter()
        .map(|example| (example.0.to_owned(), example.1.to_owned()))
        .collect();
    proptest::sample::subsequence(examples, 0..12)
}

proptest! {
    #[test]
    fn no_data_makes_the_parser_panic(data in proptest::collection::hash_map(any_key(), any_value(), 0..8)) {
        let mut data = data;
        data.entry("right".into()).or_insert_with(|| "192.0.2.252".into());
        if let Ok(parsed) = Connection::from_data(&data) {
            prop_assert_eq!(Connection::from_data(&data_of(&parsed)), Ok(parsed));
        }
    }

    #[test]
    fn every_value_of_every_key_is_parsed_or_refused(value in any_value()) {
        for key in KEYS.iter().map(|key| key.name).chain(HEAD_KEYS.iter().copied()) {
            match connection(&[(key, &value)]) {
                Ok(parsed) => {
                    prop_assert_eq!(Connection::from_data(&data_of(&parsed)), Ok(parsed));
                }
                Err(fault) => {
                    prop_assert!(!fault.to_string().chars().any(char::is_control));
                }
            }
        }
    }

    #[test]
    fn what_is_displayed_is_parsed_to_the_same(pairs in example_pairs(), defaults: bool) {
        let mut data: HashMap<String, String> = pairs.into_iter().collect();
        data.insert("right".into(), "192.0.2.252".into());
        data.insert("nm-auto-defaults".into(), YesNo::from(defaults).to_string());
        if let Ok(parsed) = Connection::from_data(&data) {
            prop_assert_eq!(Connection::from_data(&data_of(&parsed)), Ok(parsed));
        }
    }
}
