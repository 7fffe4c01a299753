//! Configurations as recorded in tests/golden.

use std::{collections::HashMap, fs, path::PathBuf};

use super::*;
use crate::{
    connection::{Family, HostAddress, YesNo},
    profile::Profile,
    testing::{ends, settings},
};

/// Keys and values.
type Texts = HashMap<String, String>;

/// The `libreswan` sections of a document in policy-examples/, each as nmstate writes it into `vpn.data` and `vpn.secrets`.
fn read_policy(text: &str) -> Vec<(Texts, Texts)> {
    let mut sections = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "libreswan:" {
            let within = indentation(line);
            let section = std::iter::from_fn(|| lines.next_if(|line| indentation(line) > within));
            sections.push(read_section(section));
        }
    }
    sections
}

fn read_section<'a>(lines: impl Iterator<Item = &'a str>) -> (Texts, Texts) {
    let placeholders = [
        ("<cluster_node>", "node1.example.org"),
        ("<external_host>", "hostb.example.org"),
        ("<external_address>", "192.0.2.252"),
        ("<node_address>", "192.0.2.251"),
        ("<peer_address>", "192.0.2.252"),
    ];
    let (mut data, mut secrets) = (Texts::new(), Texts::new());
    for line in lines {
        let (key, value) = line.trim().split_once(": ").unwrap();
        let mut value = value.trim_matches(['\'', '"']).to_owned();
        for (placeholder, filled_in) in placeholders {
            value = value.replace(placeholder, filled_in);
        }
        match (key, value.as_str()) {
            ("psk", _) => secrets.insert("pskvalue".to_owned(), value),
            (_, "true" | "false") => data.insert(key.to_owned(), YesNo::from(value == "true").to_string()),
            _ => data.insert(key.to_owned(), value),
        };
    }
    (data, secrets)
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A case of tests/golden: lines `key=value`, secrets marked with `secret `.
fn read_case(text: &str) -> Option<(Texts, Texts)> {
    let (mut data, mut secrets) = (Texts::new(), Texts::new());
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (list, line) = match line.strip_prefix("secret ") {
            Some(line) => (&mut secrets, line),
            None => (&mut data, line),
        };
        let (key, value) = line.split_once('=')?;
        list.insert(key.to_owned(), value.to_owned());
    }
    Some((data, secrets))
}

/// Compares with tests/golden, or writes it where `UPDATE_GOLDEN` is set.
fn check_golden(name: &str, data: &Texts, secrets: &Texts) {
    let secrets: Vec<(&str, &str)> = secrets
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let profile = Profile::from_settings(&settings("hosta_conn", data.clone(), &secrets)).unwrap();
    let ends = match (profile.connection.host_family(), &profile.connection.left) {
        (Some(Family::Ipv6), _) => ends("2001:db8::251", "2001:db8::252"),
        (_, HostAddress::DefaultRoute) => ends("", "192.0.2.252"),
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
        let sections = read_policy(&text);
        assert!(
            !sections.is_empty() || text.contains("state: absent"),
            "{name} has no libreswan section"
        );
        for ((data, secrets), number) in sections.iter().zip(1..) {
            let golden = match sections.len() {
                1 => format!("policy-{name}"),
                _ => format!("policy-{name}-{number}"),
            };
            check_golden(&golden, data, secrets);
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
