//! The documents that this project ships.

use std::{fs, path::PathBuf};

use super::{super::InterfaceState, CRATE, Source, one, parsed, read};

fn examples() -> Vec<PathBuf> {
    let directory = PathBuf::from(CRATE).join("../../policy-examples");
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect()
}

/// A document with its placeholders filled in: each with an address, which is a good name too.
fn filled_in(text: &str) -> String {
    let mut parts = text.split('<');
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('>').unwrap();
        let address = if name.contains("node") {
            "192.0.2.1"
        } else {
            "192.0.2.2"
        };
        filled.push_str(address);
        filled.push_str(rest);
    }
    filled
}

#[test]
fn every_example_is_read() {
    let mut count = 0;
    for path in examples() {
        let text = fs::read_to_string(&path).unwrap();
        let document = one(&filled_in(&text));
        let interfaces = &document.state.ipsec;
        assert_eq!(
            interfaces.len(),
            text.matches("type: ipsec").count(),
            "{path:?}: {document:?}"
        );
        assert_eq!(document.state.other, None, "{path:?}");
        let is_removal = path.ends_with("remove.yaml");
        for interface in interfaces {
            assert_eq!(interface.state == InterfaceState::Absent, is_removal, "{path:?}");
            assert_eq!(interface.libreswan.is_none(), is_removal, "{path:?}");
        }
        assert_eq!(
            document.selector.len(),
            usize::from(text.contains("nodeSelector")),
            "{path:?}"
        );
        count += 1;
    }
    assert!(count >= 13, "{count}");
}

#[test]
fn placeholders_are_named() {
    for path in examples() {
        let text = fs::read_to_string(&path).unwrap();
        let placeholders = text.matches('<').count();
        let read = read(&[Source::File(path.clone())]);
        let Err(errors) = read else {
            assert_eq!(placeholders, 0, "{path:?}");
            continue;
        };
        assert_eq!(errors.len(), placeholders, "{path:?}");
        for error in errors {
            let line = text.lines().nth(error.location.unwrap().line - 1).unwrap();
            let name = line.split_once('<').unwrap().1.split_once('>').unwrap().0;
            let message = format!("the placeholder '<{name}>' is not filled in");
            assert!(error.to_string().contains(&message), "{error}");
        }
    }
}

#[test]
fn the_policy_of_the_transport_example() {
    let path = PathBuf::from(CRATE).join("../../policy-examples/transport.yaml");
    let text = filled_in(&fs::read_to_string(path).unwrap());
    let document = one(&text);
    assert_eq!(document.name.as_deref(), Some("ipsec-config"));
    let connection = document.state.ipsec[0].libreswan.clone().unwrap();
    let data: Vec<_> = connection
        .data
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        data,
        [
            "ikev2=insist",
            "left=192.0.2.1",
            "leftcert=left_server",
            "leftid=%fromcert",
            "leftmodecfgclient=no",
            "leftrsasigkey=%cert",
            "right=192.0.2.2",
            "rightid=%fromcert",
            "rightrsasigkey=%cert",
            "rightsubnet=192.0.2.2/32",
            "type=transport",
        ]
    );
    // What holds of YAML holds of its JSON, whatever a cluster's tools make of it.
    let value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let json = parsed(serde_json::to_string_pretty(&value).unwrap().as_bytes()).unwrap();
    assert_eq!(json[0].state.ipsec[0].libreswan.as_ref(), Some(&connection));
}
