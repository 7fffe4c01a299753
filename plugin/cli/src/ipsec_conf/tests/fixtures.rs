//! Sections of the kinds that documentation shows, each with what becomes of it beside it.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::profile::Uuid;

use super::super::{Options, import, policies, profile, section, state};
use crate::document;

const UUID: &str = "1f2e3d4c-0000-4000-8000-00000000000a";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf")
}

/// What is said on standard error, then what stands on standard output.
fn outcome(path: &Path, is_right: bool) -> String {
    let options = Options { name: None, is_right };
    let (said, output) = match import(path, options) {
        Ok(import) => {
            let text = state(&import);
            let documents = document::read_text_of(&text, "it").unwrap();
            let policies = policies(&import, Some("all")).unwrap();
            assert!(document::read_text_of(&policies, "it").is_ok(), "{policies}");
            let interfaces = &documents[0].state.ipsec;
            assert_eq!(interfaces.len(), import.connections.len());
            for interface in interfaces {
                section(interface).unwrap();
            }
            (import.remarks, text)
        }
        Err(faults) => (faults, "(exit status 2)\n".to_owned()),
    };
    let root = format!("{}/", directory().display());
    let mut text = String::new();
    for said in said {
        let _ = writeln!(text, "{}", said.to_string().replace(&root, ""));
    }
    format!("{text}---\n{output}")
}

#[test]
fn every_section_becomes_what_is_expected() {
    let mut count = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "conf") {
            continue;
        }
        let is_right = path.ends_with("local-right.conf");
        let outcome = outcome(&path, is_right);
        let beside = path.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&beside, &outcome).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(
            outcome,
            expected,
            "{}: UPDATE_GOLDEN=1 writes it anew",
            beside.display()
        );
        count += 1;
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn a_profile_holds_one_connection() {
    let uuid: Uuid = UUID.parse().unwrap();
    let one = import(&directory().join("ondemand.conf"), Options::default()).unwrap();
    let expected = "[connection]
id=trap
uuid=1f2e3d4c-0000-4000-8000-00000000000a
type=vpn
autoconnect=true

[vpn]
authby=secret
left=192.0.2.1
nm-auto-defaults=no
nm-connect-mode=ondemand
right=192.0.2.2
service-type=org.freedesktop.NetworkManager.libreswan

[ipv4]
method=auto

[ipv6]
method=auto
";
    assert_eq!(profile(&one, &uuid).as_deref(), Ok(expected));
    let path = directory().join("mesh.conf");
    let several = import(&path, Options::default()).unwrap();
    assert!(
        profile(&several, &uuid)
            .unwrap_err()
            .ends_with("node2, node3, node4")
    );
    let options = Options {
        name: Some("node3"),
        is_right: false,
    };
    assert!(profile(&import(&path, options).unwrap(), &uuid).is_ok());
    let policies = policies(&several, None).unwrap();
    let documents = document::read_text_of(&policies, "it").unwrap();
    let names: Vec<_> = documents
        .iter()
        .filter_map(|document| document.name.as_deref())
        .collect();
    assert_eq!(names, ["node2", "node3", "node4"]);
}
