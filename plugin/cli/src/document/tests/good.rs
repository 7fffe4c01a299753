//! What is accepted, and what it is read as.

use nmstate_ipsec_core::{connection::Connection, secret::Secret};
use serde_json::json;

use super::{
    super::{
        GivenSecret, InterfaceState,
        libreswan::YES_NO_KEYS,
        select::{Labels, Selection, is_for},
    },
    one, parsed,
};

fn connection(lines: &str) -> super::super::Libreswan {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("interfaces:\n- name: c\n  type: ipsec\n  libreswan:\n    right: 192.0.2.1\n{lines}");
    one(&text).state.ipsec.remove(0).libreswan.unwrap()
}

#[test]
fn values_become_the_texts_that_networkmanager_has() {
    for (line, key, value) in [
        ("leftmodecfgclient: false", "leftmodecfgclient", Some("no")),
        ("leftmodecfgclient: true", "leftmodecfgclient", Some("yes")),
        ("leftmodecfgclient: no", "leftmodecfgclient", Some("no")),
        (
            "require-id-on-certificate: false",
            "require-id-on-certificate",
            Some("no"),
        ),
        ("nm-auto-defaults: true", "nm-auto-defaults", None),
        ("nm-auto-defaults: false", "nm-auto-defaults", Some("no")),
        ("ipsec-interface: yes", "ipsec-interface", Some("yes")),
        ("ipsec-interface: true", "ipsec-interface", Some("yes")),
        ("ipsec-interface: false", "ipsec-interface", Some("no")),
        ("ipsec-interface: 9", "ipsec-interface", Some("9")),
        ("ipsec-interface: '9'", "ipsec-interface", Some("9")),
        ("dpddelay: 30", "dpddelay", Some("30")),
        ("dpddelay: '30'", "dpddelay", Some("30")),
        ("ikelifetime: 3600", "ikelifetime", Some("3600")),
        ("ikelifetime: 8h", "ikelifetime", Some("8h")),
        ("rightid: '@hostb'", "rightid", Some("@hostb")),
        ("pfs: no", "pfs", Some("no")),
        ("nm-connect-mode: ondemand", "nm-connect-mode", Some("ondemand")),
    ] {
        assert_eq!(
            connection(line).data.get(key).map(String::as_str),
            value,
            "{line}"
        );
    }
}

#[test]
fn every_switch_of_the_table_may_be_a_truth_value() {
    let accepts = |key: &str, value: &str| {
        let pairs = [("right", "192.0.2.1"), (key, value)];
        let data = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Connection::from_data(&data.into_iter().collect()).is_ok()
    };
    let is_switch = |key: &&str| {
        let takes_words = accepts(key, "yes") || accepts(key, "no");
        takes_words && !accepts(key, "maybe")
    };
    let mut switches: Vec<_> = nmstate_ipsec_core::connection::key_names()
        .filter(is_switch)
        .collect();
    switches.sort_unstable();
    assert_eq!(switches, YES_NO_KEYS);
}

#[test]
fn secrets_are_apart() {
    let set = |text: &str| Some(GivenSecret::Set(Secret::new(text.into())));
    assert_eq!(connection("psk: open <x> sesame").psk, set("open <x> sesame"));
    assert_eq!(connection("psk: 12345678").psk, set("12345678"));
    assert_eq!(connection("psk: 'yes'").psk, set("yes"));
    let kept = connection("psk: <_password_hid_by_nmstate>\nxauthpassword: abc");
    assert_eq!(kept.psk, Some(GivenSecret::Keep));
    assert_eq!(kept.xauth_password, set("abc"));
    assert_eq!(kept.data.len(), 1);
    assert!(!format!("{kept:?}").contains("abc"));
}

#[test]
fn the_rest_of_a_state_is_passed_on() {
    let document = one("interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, description: 'yes'}
- {name: c, type: ipsec, state: down, wait-ip: any, ipv4: {enabled: true, dhcp: 'no'}}
- {name: c, type: dummy}
dns-resolver: {config: {server: [192.0.2.53]}}
");
    let [interface] = document.state.ipsec.as_slice() else {
        panic!("{document:?}");
    };
    assert_eq!(interface.state, InterfaceState::Down);
    assert_eq!(interface.libreswan, None);
    assert_eq!(interface.rest.get("wait-ip"), Some(&json!("any")));
    let ipv4 = interface.ipv4.as_ref().unwrap();
    assert_eq!(
        (ipv4.enabled, ipv4.dhcp, ipv4.autoconf),
        (Some(true), Some(false), None)
    );
    assert_eq!(interface.location.line, 3);
    assert_eq!(interface.path, "interfaces[1]");
    assert_eq!(document.state.other_interfaces, ["eth1", "c"]);
    let expected = json!({
        "interfaces": [
            {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500, "description": "yes"},
            {"name": "c", "type": "dummy"},
        ],
        "dns-resolver": {"config": {"server": ["192.0.2.53"]}},
    });
    assert_eq!(document.state.other, Some(expected));
}

#[test]
fn a_policy_has_its_connections_guarded_by_an_annotation() {
    let policy = |annotations: &str| {
        one(&format!(
            "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {{name: a{annotations}}}\nspec:\n  desiredState: {{}}\n"
        ))
        .guard
    };
    assert_eq!(policy(""), None);
    assert_eq!(policy(", annotations: {other.io/guard: maybe}"), None);
    assert_eq!(
        policy(", annotations: {ipsec.nmstate.io/guard: 'true'}"),
        Some(true)
    );
    assert_eq!(
        policy(", annotations: {ipsec.nmstate.io/guard: 'false'}"),
        Some(false)
    );
    assert_eq!(one("interfaces: []").guard, None);
}

#[test]
fn lists_and_several_documents() {
    let text = r#"
---
# nothing
---
{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [
	{"apiVersion": "nmstate.io/v1beta1", "kind": "NodeNetworkConfigurationPolicy",
	 "metadata": {"name": "a", "uid": "x"}, "status": {"conditions": []},
	 "spec": {"nodeSelector": {"a": "b"}, "maxUnavailable": "50%", "desiredState": {}}},
	{"apiVersion": "nmstate.io/v1", "kind": "NodeNetworkConfigurationPolicy",
	 "spec": {"desiredState": {"interfaces": []}}}]}
...
---
hostname: {running: host}
"#;
    let documents = parsed(text.as_bytes()).unwrap();
    let origins: Vec<_> = documents
        .iter()
        .map(|document| (document.origin.number, document.origin.item))
        .collect();
    assert_eq!(origins, [(2, Some(0)), (2, Some(1)), (3, None)]);
    assert_eq!(documents[0].name.as_deref(), Some("a"));
    assert_eq!(documents[1].state, super::super::DesiredState::default());
    let labels = Labels::parse_list("a=c").unwrap();
    let Selection::Elsewhere(differs) = is_for(&documents[0], &labels) else {
        panic!("{documents:?}");
    };
    assert_eq!(
        differs.to_string(),
        "the policy is for nodes with a=b, and this host has a=c"
    );
    let labels = Labels::parse_list("a=b,c=d").unwrap();
    assert_eq!(is_for(&documents[0], &labels), Selection::Here);
    assert_eq!(is_for(&documents[2], &Labels::default()), Selection::Here);
}

#[test]
fn captures_are_kept_and_what_uses_them_is_not_checked_yet() {
    let document = one("apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
spec:
  capture:
    gw: interfaces.name==\"eth0\"
  desiredState:
    interfaces:
    - name: c
      type: ipsec
      libreswan:
        left: '{{ capture.gw.interfaces.0.ipv4.address.0.ip }}'
        right: 192.0.2.1
    routes: '{{ capture.gw.routes }}'
");
    assert_eq!(document.capture, Some(json!({"gw": "interfaces.name==\"eth0\""})));
    assert!(document.state.ipsec[0].libreswan.as_ref().unwrap().is_template);
    assert_eq!(
        document.state.other,
        Some(json!({"routes": "{{ capture.gw.routes }}"}))
    );
}

#[test]
fn aliases_stand_for_what_they_name() {
    let document = one("interfaces:
- name: a
  type: ipsec
  libreswan: &l {right: 192.0.2.1, ikev2: insist}
- name: b
  type: ipsec
  libreswan: *l
");
    let [a, b] = document.state.ipsec.as_slice() else {
        panic!("{document:?}");
    };
    assert_eq!(a.libreswan, b.libreswan);
}
