//! What an applied state has changed, as upstream prints it.

use serde_yaml::{Mapping, Value};

use super::{
    Refusal,
    further::{Further, ipsec, name},
    input::State,
    sorted::sorted,
};

/// The part of `desired` that is not in `current`.
///
/// # Errors
/// It cannot be written.
pub(super) fn of(desired: State, current: State, shows_secrets: bool) -> Result<String, Refusal> {
    let State { state, mut further } = desired;
    let mut changed = state.gen_diff(&current.state).unwrap_or_else(|error| {
        // nmstate does not manage this for connections whose keys change; then it prints all of the state.
        log::debug!("nmstate does not tell what has changed: {error}");
        state
    });
    let mut only = changes(&further, &current.further);
    if !shows_secrets {
        changed.hide_secrets();
        further.hide_secrets();
        only.hide_secrets();
    }
    let mut value = sorted(&changed)?;
    further.put_back(&mut value);
    add(&mut value, only);
    Ok(serde_yaml::to_string(&value)?)
}

/// What of `desired` is not in `current`, where values are as profiles have them.
fn changes(desired: &Further, current: &Further) -> Further {
    let changes = desired.keys().map(|(name, _)| {
        let of = |further: &Further| further.of(name).cloned().unwrap_or_default();
        let (mut desired, current) = (of(desired), of(current));
        desired.retain(|key, value| word(current.get(key)) != word(Some(value)));
        (name.to_owned(), desired)
    });
    changes.collect()
}

/// A value as a profile has it.
fn word(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Bool(true) => Some("yes".into()),
        Value::Bool(false) => Some("no".into()),
        Value::Number(number) => Some(number.to_string()),
        value => value.as_str().map(ToOwned::to_owned),
    }
}

/// Adds interfaces of which nothing else has changed.
fn add(value: &mut Value, changes: Further) {
    let printed: Vec<String> = ipsec(value).filter_map(|interface| name(interface)).collect();
    let Some(interfaces) = value.get_mut("interfaces").and_then(Value::as_sequence_mut) else {
        return;
    };
    let left = changes
        .keys()
        .filter(|(name, _)| !printed.iter().any(|known| known == name));
    let left: Vec<Value> = left
        .map(|(name, _)| {
            let mut interface = Mapping::new();
            interface.insert("name".into(), name.into());
            interface.insert("type".into(), "ipsec".into());
            interface.insert("state".into(), "up".into());
            let libreswan = changes.of(name).cloned().unwrap_or_default();
            interface.insert("libreswan".into(), Value::Mapping(libreswan));
            Value::Mapping(interface)
        })
        .collect();
    if !left.is_empty() {
        interfaces.extend(left);
        interfaces.sort_by_key(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmstatectl::input;

    const CURRENT: &str = "\
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500}
- {name: vpn, type: ipsec, state: up, libreswan: {right: 192.0.2.9, psk: <_password_hid_by_nmstate>, mobike: 'no', pfs: 'yes'}}
";

    fn difference(desired: &str, shows_secrets: bool) -> String {
        let read = |text: &str| input::state_of(text).unwrap();
        of(read(desired), read(CURRENT), shows_secrets).unwrap()
    }

    #[test]
    fn a_further_key_is_a_change() {
        let desired =
            "interfaces: [{name: vpn, type: ipsec, libreswan: {right: 192.0.2.9, mobike: true, pfs: true}}]";
        let expected = "\
route-rules: {}
routes: {}
interfaces:
- name: vpn
  type: ipsec
  state: up
  libreswan:
    mobike: true
ovn: {}
";
        assert_eq!(difference(desired, false), expected);
        let same = desired.replace("mobike: true", "mobike: false");
        assert!(!difference(&same, false).contains("vpn"));
    }

    #[test]
    fn secrets_are_hidden_unless_asked_for() {
        let desired = "interfaces: [{name: vpn, type: ipsec, libreswan: {right: 192.0.2.9, psk: a secret, xauthpassword: \
                       another}}, {name: eth1, type: ethernet, mtu: 1400}]";
        let hidden = difference(desired, false);
        assert!(
            !hidden.contains("a secret") && !hidden.contains("another"),
            "{hidden}"
        );
        assert!(
            hidden.contains("mtu: 1400") && hidden.contains("xauthpassword: <"),
            "{hidden}"
        );
        let shown = difference(desired, true);
        assert!(shown.contains("a secret") && shown.contains("another"), "{shown}");
    }
}
