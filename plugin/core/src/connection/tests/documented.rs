//! `docs/keys.md` says what the table says.

use std::{fs, path::Path};

use super::*;

const HEAD: &str = "\
# Keys of a profile

Keys of `vpn.data` in a profile of the service `org.freedesktop.NetworkManager.libreswan`, and of the section
`libreswan` of a document's `type: ipsec` interface. Any other key is refused. `left` is this host, `right` the peer.
With `nm-auto-defaults=no` nothing is filled in. What a libreswan does not know is left out where its own behaviour is
the same, and refused where it is not.

This page is written by a test: `UPDATE_GOLDEN=1 cargo test -p nmstate-ipsec-core documented`.

| key | meaning | values | example |
|---|---|---|---|
";

/// Examples of the keys that are not in the table.
const HEAD_EXAMPLES: [(&str, &str); 4] = [
    ("left", "192.0.2.251"),
    ("right", "host.example.org"),
    ("nm-auto-defaults", "no"),
    ("nm-connect-mode", "ondemand"),
];

fn example(key: &str) -> &'static str {
    let of_table = EXAMPLES.iter().map(|(key, _, example, _)| (*key, *example));
    let mut all = of_table.chain(HEAD_EXAMPLES);
    all.find(|(name, _)| *name == key).unwrap().1
}

#[test]
fn every_key_is_documented() {
    let mut page = HEAD.to_owned();
    for key in documented() {
        let alias = key.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
        let is_ours = !key.is_libreswans && !key.name.starts_with("nm-");
        let use_of = if is_ours { " Not libreswan's." } else { "" };
        let columns = [
            format!("`{}`{alias}", key.name),
            format!("{}{use_of}", key.meaning),
            key.accepted.to_owned(),
            format!("`{}`", example(key.name)),
        ];
        page.push_str(&format!("| {} |\n", columns.join(" | ").replace('\n', " ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keys.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/keys.md differs; UPDATE_GOLDEN=1 writes it anew"
    );
}

#[test]
fn what_is_documented_is_all_there_is() {
    let mut names: Vec<_> = documented()
        .into_iter()
        .flat_map(|key| [Some(key.name), key.alias])
        .flatten()
        .collect();
    let mut known: Vec<_> = key_names().collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
    for key in documented() {
        assert!(!key.accepted.is_empty(), "{} takes a line feed", key.name);
    }
}

#[test]
fn what_is_filled_in_is_told_with_the_words_for_when() {
    let all = documented();
    let told = |name: &str| {
        let key = all.iter().find(|key| key.name == name).unwrap();
        let Missing::FilledIn(values) = &key.default else {
            return "refused".to_owned();
        };
        let texts = values.iter().map(|one| format!("{} {}", one.value, one.to));
        texts.collect::<Vec<_>>().join("; ").trim_end().to_owned()
    };
    for (key, expected) in [
        ("left", "%defaultroute"),
        ("right", "refused"),
        ("ikev2", "never"),
        ("leftid", ""),
        ("leftrsasigkey", "%cert with `leftcert`"),
        ("rightrsasigkey", "%cert with `leftcert` or `rightcert`"),
        ("leftmodecfgclient", "yes for tunnels"),
        ("rightsubnet", "0.0.0.0/0 or ::/0 for tunnels"),
        ("authby", "secret with neither `leftcert` nor raw keys"),
        ("dpddelay", "30s with IKEv2"),
        ("esp", "aes256-sha1 with IKEv1 and `leftid`"),
    ] {
        assert_eq!(told(key), expected, "{key}");
    }
    for key in &all {
        assert!(
            !told(key.name).contains("sometimes"),
            "{}: {}",
            key.name,
            told(key.name)
        );
    }
}
