//! `docs/keys.md` says what the table says.

use std::{fs, path::Path};

use super::*;
use crate::profile::InvalidProfile;

const HEAD: &str = "\
# Keys of a profile

Keys of `vpn.data` in a profile of the service `org.freedesktop.NetworkManager.libreswan`, and of the section
`libreswan` of a document's `type: ipsec` interface. Any other key is refused. `left` is this host, `right` the peer.
With `nm-auto-defaults=no` nothing is filled in. What a libreswan does not know is left out where its own behaviour is
the same, and refused where it is not.

This page is written by a test: `UPDATE_GOLDEN=1 cargo test -p nmstate-ipsec-core documented`.

| key | meaning | values | example |
|---|---|---|---|
| `left` | This host's address: `%defaultroute` if it is not given. | an address, a host name, `%interface` or `%defaultroute` | `192.0.2.251` |
| `right` | The peer; required. | an address, a host name or `%any` | `host.example.org` |
| `nm-auto-defaults` | Whether what existing profiles expect is filled in; `yes` if it is not given. | yes or no | `no` |
| `nm-connect-mode` | Whether activation negotiates at once or when there is traffic; `up` if it is not given. | up or ondemand | `ondemand` |
";

/// What a key accepts, in the words in which anything else is refused.
fn accepted(key: &Key) -> &'static str {
    let (left, right) = (HostAddress::DefaultRoute, HostAddress::Any);
    match Connection::between(left, right).set(key.name, "\n") {
        Err(InvalidProfile::Value { expected, .. }) => expected,
        other => panic!("{} takes a line feed: {other:?}", key.name),
    }
}

#[test]
fn every_key_is_documented() {
    let mut page = HEAD.to_owned();
    for key in KEYS {
        let (_, _, example, _) = EXAMPLES.iter().find(|example| example.0 == key.name).unwrap();
        let alias = key.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
        let use_of = if key.rendering == Rendering::Never {
            " Not libreswan's."
        } else {
            ""
        };
        let columns = [
            format!("`{}`{alias}", key.name),
            format!("{}{use_of}", key.meaning),
            accepted(key).to_owned(),
            format!("`{example}`"),
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
