//! `show`: the state of the network. nmstate's crate looks at it and lays it out; what its types leave out of VPN profiles
//! is added.

use nmstate::{NetworkState, RouteEntry, Routes};
use nmstate_ipsec_core::{connection::key_names, secret::HIDDEN_BY_NMSTATE};
use serde_yaml::{Mapping, Value};

use super::{
    Refusal,
    args::Show,
    further::{ipsec, name},
    input::State,
    print,
    sorted::sorted,
};
use crate::networkmanager::{self, VpnProfile};

/// What is printed.
///
/// # Errors
/// The network cannot be looked at.
pub(crate) async fn run(wanted: &Show) -> Result<String, Refusal> {
    let shown = retrieve(wanted).await?;
    let mut value = match &wanted.name {
        Some(name) => serde_yaml::to_value(only(&shown.state, name))?,
        None => sorted(&shown.state)?,
    };
    shown.further.put_back(&mut value);
    print::value(&value, wanted.json)
}

/// Looks at the network. What nmstate leaves out of ipsec interfaces stands beside its state.
///
/// # Errors
/// The network cannot be looked at.
pub(crate) async fn retrieve(wanted: &Show) -> Result<State, Refusal> {
    let mut state = NetworkState::new();
    state
        .set_kernel_only(wanted.kernel)
        .set_running_config_only(wanted.running_config)
        .set_include_secrets(wanted.secrets);
    state.retrieve_async().await?;
    let mut value = serde_yaml::to_value(&state)?;
    if ipsec(&mut value).next().is_none() {
        return Ok(State {
            state,
            ..State::default()
        });
    }
    let profiles = networkmanager::active_vpns().await.map_err(|error| {
        Refusal::new(format!(
            "failed to ask NetworkManager for its VPN profiles: {error}"
        ))
    })?;
    let further = ipsec(&mut value).filter_map(|interface| {
        let name = name(interface)?;
        let profile = profiles.iter().rfind(|profile| profile.name == name)?;
        Some((name, left_out(interface, profile, wanted.secrets)))
    });
    let further = further.collect();
    Ok(State { state, further })
}

/// The keys of a profile that a document may have and nmstate does not show.
fn left_out(interface: &Value, profile: &VpnProfile, shows_secrets: bool) -> Mapping {
    let shown = &interface["libreswan"];
    let mut further = Mapping::new();
    for (key, value) in &profile.data {
        // What it has by default is left out in a profile that nmstate writes.
        let is_default = key == "nm-auto-defaults";
        if shown.get(key).is_none() && !is_default && key_names().any(|known| known == key) {
            further.insert(key.as_str().into(), value.as_str().into());
        }
    }
    if let Some(password) = profile.secrets.get("xauthpassword") {
        let password = if shows_secrets {
            password
        } else {
            HIDDEN_BY_NMSTATE
        };
        further.insert("xauthpassword".into(), password.into());
    }
    further
}

/// What the state says of one interface: itself, the routes through it, and the rules that lead to their tables.
fn only(state: &NetworkState, name: &str) -> NetworkState {
    let mut only = NetworkState::new();
    for interface in state.interfaces.to_vec() {
        if interface.name() == name {
            only.append_interface_data(interface.clone());
        }
    }
    let through = |routes: &Option<Vec<RouteEntry>>| {
        let mut routes = routes.clone().unwrap_or_default();
        routes.retain(|route| route.next_hop_iface.as_deref() == Some(name));
        Some(routes).filter(|routes| !routes.is_empty())
    };
    let mut routes = Routes::new();
    routes.running = through(&state.routes.running);
    routes.config = through(&state.routes.config);
    let tables: Vec<u32> = routes
        .config
        .iter()
        .flatten()
        .filter_map(|route| route.table_id)
        .collect();
    only.routes = routes;
    let mut rules = state.rules.config.clone().unwrap_or_default();
    rules.retain(|rule| rule.table_id.is_some_and(|table| tables.contains(&table)));
    only.rules.config = Some(rules).filter(|rules| !rules.is_empty());
    only
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_nmstate_leaves_out_are_found() {
        let interface: Value = serde_yaml::from_str(
            "{name: vpn, type: ipsec, libreswan: {nm-auto-defaults: true, right: a, leftmodecfgclient: false}}",
        )
        .unwrap();
        let data = [
            ("right", "a"),
            ("leftmodecfgclient", "no"),
            ("pfs", "no"),
            ("dpddelay", "30s"),
            ("nm-auto-defaults", "yes"),
            ("no-such-key", "x"),
        ];
        let profile = VpnProfile {
            name: "vpn".into(),
            data: data.map(|(key, value)| (key.into(), value.into())).into(),
            secrets: [
                ("pskvalue".to_owned(), "a secret".to_owned()),
                ("xauthpassword".to_owned(), "another".to_owned()),
            ]
            .into(),
        };
        let further = left_out(&interface, &profile, false);
        let text = serde_yaml::to_string(&further).unwrap();
        assert_eq!(
            text,
            format!("dpddelay: 30s\npfs: no\nxauthpassword: {HIDDEN_BY_NMSTATE}\n")
        );
        assert_eq!(left_out(&interface, &profile, true)["xauthpassword"], "another");
    }

    #[test]
    fn one_interface_comes_with_its_routes_and_rules() {
        let state: NetworkState = serde_yaml::from_str(
            "\
interfaces:
- {name: eth1, type: ethernet}
- {name: eth2, type: ethernet}
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.1, table-id: 7}
  - {destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.1, table-id: 8}
route-rules:
  config:
  - {ip-from: 192.0.2.0/24, route-table: 7}
  - {ip-from: 192.0.2.0/24, route-table: 8}
",
        )
        .unwrap();
        let shown = serde_yaml::to_string(&only(&state, "eth1")).unwrap();
        assert!(
            shown.contains("eth1") && shown.contains("route-table: 7"),
            "{shown}"
        );
        assert!(
            !shown.contains("eth2") && !shown.contains("route-table: 8"),
            "{shown}"
        );
    }
}
