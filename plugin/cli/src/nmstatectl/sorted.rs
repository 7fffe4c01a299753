//! The order in which upstream's command prints a whole state.

use nmstate::NetworkState;
use serde::Serialize;
use serde_yaml::{Mapping, Value};

use super::Refusal;

/// What an interface begins with.
const FIRST_KEYS: [&str; 2] = ["name", "type"];

/// The state, its parts in upstream's order, interfaces by name, and the name before everything else.
///
/// # Errors
/// It cannot be written.
pub(crate) fn sorted(state: &NetworkState) -> Result<Value, Refusal> {
    let mut sorted = Mapping::new();
    put_if(&mut sorted, "hostname", state.hostname.as_ref())?;
    put_if(&mut sorted, "dns-resolver", state.dns.as_ref())?;
    put_if(&mut sorted, "route-rules", Some(&state.rules))?;
    put_if(&mut sorted, "routes", Some(&state.routes))?;
    put_if(&mut sorted, "interfaces", Some(interfaces(state)?))?;
    put_if(&mut sorted, "ovs-db", state.ovsdb.as_ref())?;
    put_if(&mut sorted, "ovn", Some(&state.ovn))?;
    let description = Some(&state.description).filter(|text| !text.is_empty());
    put_if(&mut sorted, "description", description)?;
    Ok(Value::Mapping(sorted))
}

fn put_if(sorted: &mut Mapping, key: &str, part: Option<impl Serialize>) -> Result<(), Refusal> {
    if let Some(part) = part {
        sorted.insert(key.into(), serde_yaml::to_value(part)?);
    }
    Ok(())
}

fn interfaces(state: &NetworkState) -> Result<Vec<Value>, Refusal> {
    let mut interfaces = state.interfaces.to_vec();
    interfaces.sort_by_key(|interface| interface.name());
    let mut sorted = Vec::new();
    for interface in interfaces {
        let mut value = serde_yaml::to_value(interface)?;
        if let Some(rest) = value.as_mapping_mut() {
            let mut ordered = Mapping::new();
            for key in FIRST_KEYS {
                ordered.extend(rest.shift_remove(key).map(|first| (key.into(), first)));
            }
            ordered.extend(std::mem::take(rest));
            value = Value::Mapping(ordered);
        }
        sorted.push(value);
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_upstreams() {
        let state: NetworkState = serde_yaml::from_str(
            "{interfaces: [{name: b, type: ethernet, profile-name: x, state: up}, {name: a, type: dummy}], \
             hostname: {running: left}}",
        )
        .unwrap();
        let text = serde_yaml::to_string(&sorted(&state).unwrap()).unwrap();
        let expected = "\
hostname:
  running: left
route-rules: {}
routes: {}
interfaces:
- name: a
  type: dummy
  state: up
- name: b
  type: ethernet
  profile-name: x
  state: up
ovn: {}
";
        assert_eq!(text, expected);
    }
}
