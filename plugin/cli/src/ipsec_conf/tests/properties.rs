//! What holds of all connections, and of all bytes.

use std::{collections::HashMap, path::Path};

use nmstate_ipsec_core::connection::Connection;
use proptest::prelude::*;

use super::super::{Import, Options, Reader, Said, import_read, policies, section, state};
use crate::document::{self, Document, text_of};

/// Keys and examples of them, from the page that a test keeps true to the table.
fn examples() -> Vec<(String, String)> {
    let page = include_str!("../../../../../docs/keys.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split(" | ").collect();
        let code = |column: &str| column.split('`').nth(1).unwrap().to_owned();
        (code(columns[0]), code(columns[3]))
    })
    .collect()
}

fn import_text(text: &str) -> Result<Import, Vec<Said>> {
    let path = Path::new("test.conf");
    let mut reader = Reader::default();
    reader.text(text, path);
    import_read(reader, path, Options::default())
}

fn document(name: &str, state: &str, data: &HashMap<String, String>) -> Option<Document> {
    let libreswan: serde_json::Value = data
        .iter()
        .map(|(key, value)| (key.clone(), serde_json::Value::from(value.clone())))
        .collect();
    let interface =
        serde_json::json!({"name": name, "type": "ipsec", "state": state, "libreswan": libreswan});
    let text = serde_json::json!({"interfaces": [interface]}).to_string();
    document::read_text_of(&text, "test.yaml").ok()?.pop()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_exported_is_imported_as_the_same(
        pairs in prop::sample::subsequence(examples(), 0..16),
        auto_defaults in prop::option::of(any::<bool>()),
        right in "(192\\.0\\.2\\.252|2001:db8::2|host\\.example\\.org|%any)",
        name in "([a-z][a-z0-9._-]{0,10}|[ -~äß]{1,12})",
        is_up in any::<bool>(),
    ) {
        let mut data: HashMap<String, String> = pairs.into_iter().collect();
        data.insert("right".into(), right);
        data.remove("nm-auto-defaults");
        if let Some(is_on) = auto_defaults {
            data.insert("nm-auto-defaults".into(), if is_on { "yes" } else { "no" }.into());
        }
        // A name of blanks at its ends is one that a comment cannot hold.
        prop_assume!(name.trim() == name);
        let Some(document) = document(&name, if is_up { "up" } else { "down" }, &data) else {
            return Ok(());
        };
        let conf = section(&document.state.ipsec[0]).unwrap();
        let import = import_text(&conf).map_err(|faults| TestCaseError::fail(format!("{conf}{faults:?}")))?;
        let [imported] = import.connections.as_slice() else {
            return Err(TestCaseError::fail(conf));
        };
        prop_assert_eq!((&imported.name, imported.is_up), (&name, is_up), "{}", conf);
        let read = Connection::from_data(&imported.data.clone().into_iter().collect());
        prop_assert_eq!(read, Connection::from_data(&data), "{}", conf);
        let again = document::read_text_of(&state(&import), "again").unwrap();
        prop_assert_eq!(section(&again[0].state.ipsec[0]).unwrap(), conf);
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(text) = text_of(&bytes) {
            check(&text)?;
        }
    }

    #[test]
    fn the_signs_of_the_grammar_never_panic(
        text in "(conn (a|b|%default)\n|config setup\n|[ \t](also|alsoflip)=(a|b|c)\n|[ \t](left|right|leftid|auto|ikev2|psk)=\
                 [%a-z0-9.\"{}# ]{0,9}\n|[ \t]?[#={}\" a-z%]{0,9}\n|\tright=192.0.2.1\n|\tauto=start\n){0,12}",
    ) {
        check(&text)?;
    }
}

/// Whatever comes of a text is printable, and a document if it is anything.
fn check(text: &str) -> Result<(), TestCaseError> {
    let said = match import_text(text) {
        Ok(import) => {
            prop_assert!(document::read_text_of(&state(&import), "it").is_ok(), "{}", text);
            if let Ok(policies) = policies(&import, None) {
                prop_assert!(document::read_text_of(&policies, "it").is_ok(), "{}", text);
            }
            import.remarks
        }
        Err(faults) => {
            prop_assert!(!faults.is_empty());
            faults
        }
    };
    for said in said {
        prop_assert!(!said.to_string().chars().any(char::is_control), "{said:?}");
    }
    Ok(())
}

#[test]
fn many_sections_are_refused_in_time() {
    let text: String = (0..100_000).map(|number| format!("conn c{number}\n")).collect();
    let faults = import_text(&text).unwrap_err();
    assert!(
        faults[0].to_string().contains("more than 10000 sections"),
        "{faults:?}"
    );
    assert!(faults.len() < 100);
}
