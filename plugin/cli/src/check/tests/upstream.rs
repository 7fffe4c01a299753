//! What is said of upstream nmstate is what its own types do: they are asked.

use nmstate::NetworkState;
use nmstate_ipsec_core::connection::key_names;

use super::{super::Severity, findings};

fn document(line: &str) -> String {
    format!(
        "interfaces:\n- name: c\n  type: ipsec\n  libreswan:\n    right: 192.0.2.2\n    psk: sesame\n    {line}\n"
    )
}

/// Whether a finding says that upstream refuses the line; nothing if this project refuses it itself.
fn is_told(text: &str) -> Option<bool> {
    let told = findings(text);
    let is_refused = told.iter().any(|finding| finding.severity == Severity::Error);
    (!is_refused).then(|| told.iter().any(|finding| finding.code.starts_with("upstream-")))
}

#[test]
fn upstream_refuses_what_is_said_and_nothing_else() {
    let values = [
        "true",
        "false",
        "yes",
        "no",
        "'yes'",
        "'no'",
        "0",
        "7",
        "'7'",
        "3600",
        "5s",
        "'%cert'",
        "ipv4",
        "restart",
        "tunnel",
        "insist",
        "aes_gcm256",
        "10.1.0.0/16",
        "tcp/22",
        "'@hosta'",
        "hosta",
        "secret",
        "always",
        "ondemand",
        "rsasig",
        "'0x5'",
        "null",
    ];
    let mut asked = 0;
    for key in key_names().filter(|key| *key != "right").chain(["xauthpassword"]) {
        for value in values {
            let text = document(&format!("{key}: {value}"));
            let Some(told) = is_told(&text) else {
                continue;
            };
            let refused = NetworkState::new_from_yaml(&text).is_err();
            assert_eq!(told, refused, "{key}: {value}");
            asked += 1;
        }
    }
    assert!(asked > 200, "{asked}");
}
