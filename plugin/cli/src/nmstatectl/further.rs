//! What nmstate's types refuse of an ipsec interface: keys that they do not know, and values that they take for something
//! else. It is taken out before the crate sees a state, and put back into what is printed of it.
//!
//! Nothing here lists the keys that nmstate knows: its own types are asked.

use std::collections::{BTreeMap, HashMap};

use nmstate::{LibreswanConfig, NetworkState, NetworkStateTemplate};
use nmstate_ipsec_core::secret::HIDDEN_BY_NMSTATE;
use serde_yaml::{Mapping, Value};

use super::Refusal;

/// The keys of secrets.
const SECRETS: [&str; 2] = ["psk", "xauthpassword"];

/// What was taken out, by the interface's name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Further(BTreeMap<String, Mapping>);

/// Whether a pre-shared key is taken out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// It stays, since what comes of the state needs it.
    Stay,
    /// It goes: the crate logs what it fills into policies.
    Go,
}

impl Further {
    /// Takes out of `state` what nmstate's types refuse.
    pub(crate) fn take(state: &mut Value, secrets: Secrets) -> Self {
        let mut taken = BTreeMap::new();
        for interface in ipsec(state) {
            let name = name(interface);
            let libreswan = interface.get_mut("libreswan").and_then(Value::as_mapping_mut);
            let (Some(name), Some(libreswan)) = (name, libreswan) else {
                continue;
            };
            let mut further = Mapping::new();
            for (key, value) in std::mem::take(libreswan) {
                if secrets == Secrets::Go && key == "psk" {
                    libreswan.insert(key.clone(), HIDDEN_BY_NMSTATE.into());
                    further.insert(key, value);
                } else if is_known(&key, &value) {
                    libreswan.insert(key, value);
                } else {
                    further.insert(key, value);
                }
            }
            if !further.is_empty() {
                // Of two interfaces with one name nmstate takes the last.
                taken.insert(name, further);
            }
        }
        Self(taken)
    }

    /// Puts back what was taken out, at the end of each interface's `libreswan` that is printed.
    pub(crate) fn put_back(&self, printed: &mut Value) {
        for interface in ipsec(printed) {
            let further = name(interface).and_then(|name| self.0.get(&name));
            let libreswan = interface.get_mut("libreswan").and_then(Value::as_mapping_mut);
            if let (Some(libreswan), Some(further)) = (libreswan, further) {
                libreswan.extend(further.clone());
            }
        }
    }

    /// Both; of an interface that something was taken out of in both, the own.
    pub(crate) fn or(mut self, other: Self) -> Self {
        for (name, further) in other.0 {
            self.0.entry(name).or_insert(further);
        }
        self
    }

    /// What was taken out of the interface, if anything was.
    pub(crate) fn of(&self, name: &str) -> Option<&Mapping> {
        self.0.get(name)
    }

    /// The interfaces that something was taken out of, with the keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.0.iter().map(|(name, further)| {
            let keys = further.keys().filter_map(Value::as_str).collect();
            (name.as_str(), keys)
        })
    }

    /// What is said where there is no daemon, if anything was taken out.
    pub(crate) fn refused(&self) -> Option<String> {
        let (name, keys) = self.keys().next()?;
        Some(format!(
            "'{name}' has what nmstate alone does not know ({}), and nmstate-ipsecd is not on this host; leave it out, \
             or install nmstate-ipsecd",
            keys.join(", ")
        ))
    }

    /// Replaces secrets by what is printed in their place.
    pub(crate) fn hide_secrets(&mut self) {
        for further in self.0.values_mut() {
            for key in SECRETS {
                if let Some(secret) = further.get_mut(key) {
                    *secret = HIDDEN_BY_NMSTATE.into();
                }
            }
        }
    }

    /// Fills captured values in where there are expressions, as the crate does in what it has.
    ///
    /// # Errors
    /// An expression is not valid or leads nowhere.
    pub(crate) fn fill(&mut self, captured: &HashMap<String, NetworkState>) -> Result<(), Refusal> {
        for value in self.0.values_mut().flat_map(Mapping::values_mut) {
            if let Some(text) = value.as_str().filter(|text| text.contains("{{")) {
                *value = filled(text, captured)?.into();
            }
        }
        Ok(())
    }
}

impl FromIterator<(String, Mapping)> for Further {
    fn from_iter<I: IntoIterator<Item = (String, Mapping)>>(parts: I) -> Self {
        let parts = parts.into_iter();
        Self(parts.filter(|(_, further)| !further.is_empty()).collect())
    }
}

/// The text with captured values filled in. The crate fills whole states only, so the text travels in one.
fn filled(text: &str, captured: &HashMap<String, NetworkState>) -> Result<String, Refusal> {
    let carrier = serde_json::json!({"ovs-db": {"external_ids": {"text": text}}});
    let template: NetworkStateTemplate = serde_json::from_value(carrier)?;
    let carrier = serde_yaml::to_value(template.fill_with_captured_data(captured)?)?;
    match &carrier["ovs-db"]["external_ids"]["text"] {
        Value::String(text) => Ok(text.clone()),
        _ => Err(Refusal::new(format!(
            "'{text}' leads to something that is no text; a key of 'libreswan' takes nothing else"
        ))),
    }
}

/// The ipsec interfaces of a state.
pub(crate) fn ipsec(state: &mut Value) -> impl Iterator<Item = &mut Value> {
    let interfaces = state.get_mut("interfaces").and_then(Value::as_sequence_mut);
    interfaces
        .into_iter()
        .flatten()
        .filter(|interface| is_ipsec(interface))
}

/// Whether an interface is one of IPsec.
pub(crate) fn is_ipsec(interface: &Value) -> bool {
    interface.get("type").and_then(Value::as_str) == Some("ipsec")
}

/// The interface's name.
pub(crate) fn name(interface: &Value) -> Option<String> {
    interface
        .get("name")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned)
}

/// Whether nmstate's type of a connection takes the pair.
fn is_known(key: &Value, value: &Value) -> bool {
    let mut alone = Mapping::new();
    alone.insert("right".into(), "192.0.2.1".into());
    alone.insert(key.clone(), value.clone());
    serde_yaml::from_value::<LibreswanConfig>(Value::Mapping(alone)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "\
interfaces:
- name: eth1
  type: ethernet
- name: vpn
  type: ipsec
  libreswan:
    right: 192.0.2.252
    psk: a secret
    ipsec-interface: true
    dpddelay: 30s
    leftmodecfgclient: false
    pfs: 'no'
    xauthpassword: another
    ikev2: insist
";

    fn value(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn what_nmstate_refuses_is_taken_out_and_put_back() {
        let mut state = value(STATE);
        let further = Further::take(&mut state, Secrets::Stay);
        let keys: Vec<_> = further.keys().collect();
        assert_eq!(
            keys,
            [("vpn", vec!["ipsec-interface", "dpddelay", "pfs", "xauthpassword"])]
        );
        let read: NetworkState = serde_yaml::from_value(state).unwrap();
        let mut printed = serde_yaml::to_value(&read).unwrap();
        further.put_back(&mut printed);
        let libreswan = &printed["interfaces"][1]["libreswan"];
        for (key, value) in value(STATE)["interfaces"][1]["libreswan"].as_mapping().unwrap() {
            assert_eq!(libreswan.get(key), Some(value), "{key:?}");
        }
    }

    #[test]
    fn what_nmstate_knows_stays_where_it_is() {
        let text = "interfaces:\n- name: vpn\n  type: ipsec\n  libreswan:\n    right: a\n    ipsec-interface: 9\n    dpddelay: 30\n";
        let mut state = value(text);
        assert_eq!(Further::take(&mut state, Secrets::Stay), Further::default());
        assert_eq!(serde_yaml::to_string(&state).unwrap(), text);
    }

    #[test]
    fn secrets_do_not_get_into_what_is_logged() {
        let mut state = value(STATE);
        let mut further = Further::take(&mut state, Secrets::Go);
        let text = serde_yaml::to_string(&state).unwrap();
        assert!(!text.contains("a secret") && !text.contains("another"), "{text}");
        let mut printed = state.clone();
        further.put_back(&mut printed);
        assert_eq!(printed["interfaces"][1]["libreswan"]["psk"], "a secret");
        further.hide_secrets();
        further.put_back(&mut state);
        let text = serde_yaml::to_string(&state).unwrap();
        assert!(!text.contains("a secret") && !text.contains("another"), "{text}");
    }

    #[test]
    fn captured_values_are_filled_in() {
        let captured: NetworkState = serde_yaml::from_value(value(
            "interfaces: [{name: eth1, type: ethernet, description: filled}]",
        ))
        .unwrap();
        let captured = HashMap::from([("base".to_owned(), captured)]);
        let text = "interfaces: [{name: vpn, type: ipsec, libreswan: {right: a, \
                    leftupdown: 'x-{{ capture.base.interfaces.0.description }}'}}]";
        let mut state = value(text);
        let mut further = Further::take(&mut state, Secrets::Go);
        further.fill(&captured).unwrap();
        assert_eq!(further.of("vpn").unwrap()["leftupdown"], "x-filled");
        let mut state = value(&text.replace("capture.base", "capture.other"));
        let mut further = Further::take(&mut state, Secrets::Go);
        assert!(further.fill(&captured).is_err());
    }
}
