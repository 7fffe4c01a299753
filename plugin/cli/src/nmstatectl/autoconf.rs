//! `autoconf`: VLANs, and bonds under them, as switches announce them over LLDP.

use std::collections::BTreeMap;

use nmstate::{InterfaceType, Interfaces, LldpNeighborTlv, NetworkState};
use serde_yaml::Value;

use super::{
    Refusal,
    apply::{self, Options},
    args::{Autoconf, Show},
    show,
};

/// The number and the name of a VLAN.
type Vlan = (u32, String);

/// Configures what is announced, and prints that.
///
/// # Errors
/// A network card is not there, or the state is not applied.
pub(super) async fn run(arguments: &Autoconf) -> Result<String, Refusal> {
    let mut current = show::retrieve(&Show::default()).await?.state;
    if let Some(only) = &arguments.only {
        current.interfaces = chosen(&current.interfaces, only)?;
    }
    let desired = desired(&announced(&current.interfaces));
    // Upstream prints what nmstate makes of it.
    let desired: NetworkState = serde_yaml::from_value(desired)?;
    let text = serde_yaml::to_string(&desired)?;
    if !arguments.dry_run {
        eprintln!("This is a experimental function!");
        apply::text(&text, "what switches announce", &Options::default()).await?;
    }
    Ok(text)
}

fn chosen(interfaces: &Interfaces, names: &str) -> Result<Interfaces, Refusal> {
    let mut chosen = Interfaces::new();
    for name in names.split(',') {
        let found = interfaces.get_iface(name, InterfaceType::Unknown);
        let found = found.ok_or_else(|| Refusal::of_data(format!("Interface {name} not found")))?;
        chosen.push(found.clone());
    }
    Ok(chosen)
}

/// The VLANs that are announced, and to which network cards.
fn announced(interfaces: &Interfaces) -> BTreeMap<Vlan, Vec<String>> {
    let mut found: BTreeMap<Vlan, Vec<String>> = BTreeMap::new();
    for interface in interfaces.to_vec() {
        let lldp = interface.base_iface().lldp.as_ref();
        let neighbours = lldp.map(|lldp| lldp.neighbors.as_slice()).unwrap_or_default();
        for announcement in neighbours.iter().flatten() {
            let LldpNeighborTlv::Ieee8021Vlans(vlans) = announcement else {
                continue;
            };
            for vlan in &vlans.ieee_802_1_vlans {
                let cards = found.entry((vlan.vid, vlan.name.clone())).or_default();
                cards.push(interface.name().to_owned());
            }
        }
    }
    found
}

fn desired(vlans: &BTreeMap<Vlan, Vec<String>>) -> Value {
    let mut interfaces = Vec::new();
    for ((number, name), cards) in vlans {
        let base = match cards.as_slice() {
            [card] => card.clone(),
            cards => {
                let bond = format!("bond{number}");
                interfaces.push(serde_json::json!({
                    "name": bond,
                    "type": "bond",
                    "state": "up",
                    "link-aggregation": {
                        "mode": "balance-rr",
                        "port": cards,
                        "ports-config": cards.iter().map(|card| serde_json::json!({"name": card})).collect::<Vec<_>>(),
                    },
                }));
                bond
            }
        };
        interfaces.push(serde_json::json!({
            "name": name,
            "type": "vlan",
            "state": "up",
            "vlan": {"base-iface": base, "id": number},
        }));
    }
    // JSON without special numbers is YAML.
    serde_yaml::to_value(serde_json::json!({ "interfaces": interfaces })).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nmstate::{EthernetInterface, Interface, LldpConfig, LldpVlan, LldpVlans};

    use super::*;

    /// Three cards, of which a switch announces VLANs to two.
    fn announcing() -> Interfaces {
        let cards: [(&str, &[(&str, u32)]); 3] = [
            ("eth1", &[("prod-net", 100)]),
            ("eth2", &[("prod-net", 100), ("mgmt-net", 200)]),
            ("eth3", &[]),
        ];
        let mut interfaces = Interfaces::new();
        for (name, vlans) in cards {
            let vlan = |(name, number): &(&str, u32)| {
                let mut vlan = LldpVlan::default();
                (vlan.name, vlan.vid) = ((*name).to_owned(), *number);
                vlan
            };
            let mut lldp = LldpConfig::default();
            let vlans = LldpVlans::new(vlans.iter().map(vlan).collect());
            lldp.neighbors = vec![vec![LldpNeighborTlv::Ieee8021Vlans(vlans)]];
            let mut card = EthernetInterface::new();
            name.clone_into(&mut card.base.name);
            card.base.lldp = Some(lldp);
            interfaces.push(Interface::Ethernet(Box::new(card)));
        }
        interfaces
    }

    #[test]
    fn vlans_get_bonds_where_several_cards_have_them() {
        let desired = desired(&announced(&announcing()));
        let state: NetworkState = serde_yaml::from_value(desired).unwrap();
        let text = serde_yaml::to_string(&state).unwrap();
        for part in [
            "name: bond100",
            "mode: balance-rr",
            "name: prod-net",
            "base-iface: bond100",
            "name: mgmt-net",
            "base-iface: eth2",
            "id: 200",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("eth3"), "{text}");
    }

    #[test]
    fn only_chosen_cards_are_looked_at() {
        let announcing = announcing();
        let one = chosen(&announcing, "eth1").unwrap();
        assert_eq!(announced(&one).len(), 1);
        assert_eq!(chosen(&announcing, "eth1,eth9").unwrap_err().status, 65);
    }
}
