//! What holds of every document.

use nmstate_ipsec_core::connection::{Connection, key_names};
use proptest::prelude::*;

use super::{
    super::{
        Document,
        error::{Faults, Path},
        json, parse,
    },
    parsed,
};

const GOOD: &str = include_str!("../../../../../policy-examples/psk.yaml");
const POLICY: &str = include_str!("../../../../../policy-examples/transport.yaml");

/// The value that `text` is read as.
fn value(text: &str) -> Option<serde_json::Value> {
    let documents = parse::documents(text).ok()?;
    let Some((_, root)) = documents.first() else {
        return Some(serde_json::Value::Null);
    };
    let mut faults = Faults::new(String::new());
    let value = json::of(root, &Path::TOP, &mut faults);
    (faults.count() == 0).then_some(value)
}

/// Scalars that are nearly something else, and any others.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+]?(0[xob])?[-+]?[0-9a-fA-F_]{1,12}",
        "[-+]?[0-9]{0,4}[.]?[0-9]{0,4}([eE][-+]?[0-9]{1,3})?",
        "[-+]?[0-9]{15,25}",
        "(~|null|Null|NULL|true|True|TRUE|false|FALSE|yes|no|on|off|nULL|tRue)",
        "[a-z%@/.:=<>0-9-]{1,12}",
    ]
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        scalar().prop_map(Into::into),
        "[ -~äß\n\t]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::btree_map("[ -;=-~]{1,8}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let errors = match parsed(bytes) {
        Ok(documents) => return connections(&documents),
        Err(errors) => errors,
    };
    prop_assert!(!errors.is_empty());
    for error in errors {
        let text = error.to_string();
        prop_assert!(!text.chars().any(char::is_control), "{text:?}");
        prop_assert!(!text.contains("psk_password"), "{text:?}");
    }
    Ok(())
}

/// What is accepted here is accepted by the daemon, and by NetworkManager's plugin, too.
fn connections(documents: &[Document]) -> Result<(), TestCaseError> {
    let interfaces = documents.iter().flat_map(|document| &document.state.ipsec);
    for libreswan in interfaces.filter_map(|interface| interface.libreswan.as_ref()) {
        let data = libreswan.data.clone().into_iter().collect();
        let read = Connection::from_data(&data);
        prop_assert!(libreswan.is_template || read.is_ok(), "{read:?}: {data:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn scalars_are_read_as_nmstate_reads_them(scalar in scalar()) {
        let text = format!("a: {scalar}\n");
        if let Ok(theirs) = serde_yaml::from_str::<serde_json::Value>(&text) {
            prop_assert_eq!(value(&text), Some(theirs), "{}", text);
        }
    }

    #[test]
    fn documents_are_read_as_nmstate_reads_them(tree in tree()) {
        let yaml = serde_yaml::to_string(&tree).unwrap();
        prop_assert_eq!(value(&yaml), Some(tree.clone()), "{}", yaml);
        let compact = serde_json::to_string(&tree).unwrap();
        prop_assert_eq!(value(&compact), Some(tree), "{}", compact);
    }

    #[test]
    fn what_is_accepted_is_a_connection(
        key in prop::sample::select(key_names().collect::<Vec<_>>()),
        other in prop::sample::select(key_names().collect::<Vec<_>>()),
        values in [scalar(), scalar()],
    ) {
        let [value, another] = values;
        check(format!(
            "interfaces:\n- name: c\n  type: ipsec\n  libreswan:\n    right: 192.0.2.2\n    {key}: {value}\n    {other}: '{another}'\n"
        ).as_bytes())?;
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        check(&bytes)?;
    }

    #[test]
    fn the_signs_of_yaml_never_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \n\ta1<~\\\\.]{0,64}") {
        check(text.as_bytes())?;
    }

    #[test]
    fn damaged_documents_never_panic_and_never_tell_a_secret(
        of_policy in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, "[-?:,{}&*!|>'\" \n\ta<]{0,4}"), 1..4),
    ) {
        let mut text = if of_policy { POLICY } else { GOOD }.to_owned();
        for (start, length, new) in cuts {
            let start = start.index(text.len());
            let secret = text.find("psk_password").map(|at| at..at + "psk_password".len());
            let end = (start + length).min(text.len());
            // A secret that is cut in two is another secret.
            if secret.is_none_or(|secret| end <= secret.start || start >= secret.end) {
                text.replace_range(start..end, &new);
            }
        }
        check(text.as_bytes())?;
    }
}
