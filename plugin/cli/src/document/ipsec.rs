//! Interfaces of type `ipsec`.

use std::collections::BTreeMap;

use nmstate_ipsec_core::profile::{ConnectionId, InvalidProfile};
use serde_json::{Map, Value as Json};

use super::{
    error::{Faults, Location, Path, Problem},
    fields,
    given::{self, Given},
    json,
    libreswan::{self, Libreswan},
    node::Node,
    state::is_template,
};

/// The keys of nmstate's BaseInterface, 2.2.62, and `libreswan`.
const INTERFACE_KEYS: &[&str] = &[
    "802.1x",
    "accept-all-mac-addresses",
    "alt-names",
    "controller",
    "copy-mac-from",
    "description",
    "dispatch",
    "driver",
    "ethtool",
    "identifier",
    "ipv4",
    "ipv6",
    "libreswan",
    "lldp",
    "mac-address",
    "max-mtu",
    "min-mtu",
    "mptcp",
    "mtu",
    "name",
    "ovs-db",
    "pci-address",
    "permanent-mac-address",
    "profile-name",
    "state",
    "type",
    "wait-ip",
];

/// Those of them that are fields of [`IpsecInterface`].
const FIELDS: &[&str] = &[
    "name",
    "type",
    "state",
    "profile-name",
    "description",
    "ipv4",
    "ipv6",
    "libreswan",
];

/// The keys of nmstate's InterfaceIp, 2.2.62.
const IP_KEYS: &[&str] = &[
    "addr-gen-mode",
    "address",
    "allow-extra-address",
    "auto-dns",
    "auto-gateway",
    "auto-route-metric",
    "auto-route-table-id",
    "auto-routes",
    "autoconf",
    "dhcp",
    "dhcp-client-id",
    "dhcp-custom-hostname",
    "dhcp-duid",
    "dhcp-send-hostname",
    "enabled",
    "forwarding",
    "prefix-route-metric",
    "token",
];

/// What is to become of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InterfaceState {
    /// It is to be there and up.
    #[default]
    Up,
    /// It is to be there and down.
    Down,
    /// It is not to be there.
    Absent,
    /// It is to be left alone.
    Ignore,
}

/// An IPsec interface as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct IpsecInterface {
    /// Its name, which is the name of the profile too.
    pub name: String,
    /// What is to become of it.
    pub state: InterfaceState,
    /// `profile-name`, if the profile is called something else.
    pub profile_name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `ipv4`; nothing leaves it as it is.
    pub ipv4: Option<IpStack>,
    /// `ipv6`; nothing leaves it as it is.
    pub ipv6: Option<IpStack>,
    /// The connection; nothing leaves the profile's as it is.
    pub libreswan: Option<Libreswan>,
    /// nmstate's other keys of an interface, as they were written.
    pub rest: Map<String, Json>,
    /// Where it begins in its file.
    pub location: Location,
    /// The way to it in its document.
    pub path: String,
    /// Where its keys stand, and those of the connection under `libreswan.<key>`.
    pub given: BTreeMap<String, Given>,
}

/// `ipv4` or `ipv6` of an interface.
#[derive(Debug, Clone, PartialEq)]
pub struct IpStack {
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `dhcp`.
    pub dhcp: Option<bool>,
    /// `autoconf`, of IPv6 alone.
    pub autoconf: Option<bool>,
    /// All keys, as they were written.
    pub value: Json,
}

impl IpStack {
    /// Whether the addresses are to come from the tunnel. Written without `enabled`, the rest says that it is.
    pub fn is_automatic(&self) -> bool {
        self.enabled.unwrap_or(true) && (self.dhcp == Some(true) || self.autoconf == Some(true))
    }
}

/// Reads an interface of which the type is known to be `ipsec`. Nothing comes back if it has no usable name.
pub(super) fn read(
    node: &Node,
    path: &Path<'_>,
    has_capture: bool,
    faults: &mut Faults,
) -> Option<IpsecInterface> {
    let entries = fields::mapping(node, path, INTERFACE_KEYS, faults)?;
    let name = name(node, path, has_capture, faults);
    let mut rest = Map::new();
    for entry in entries
        .iter()
        .filter(|entry| !FIELDS.contains(&entry.key.as_str()))
    {
        let value = json::of(&entry.value, &path.key(&entry.key), faults);
        rest.insert(entry.key.clone(), value);
    }
    let interface = IpsecInterface {
        name: String::new(),
        state: state(node, path, faults),
        profile_name: fields::optional_text(node, "profile-name", path, faults),
        description: fields::optional_text(node, "description", path, faults),
        ipv4: ip_stack(node, "ipv4", path, faults),
        ipv6: ip_stack(node, "ipv6", path, faults),
        libreswan: node
            .field("libreswan")
            .and_then(|node| libreswan::read(node, &path.key("libreswan"), has_capture, faults)),
        rest,
        location: node.at,
        path: path.to_string(),
        given: given::of(node),
    };
    name.map(|name| IpsecInterface { name, ..interface })
}

fn name(node: &Node, path: &Path<'_>, has_capture: bool, faults: &mut Faults) -> Option<String> {
    let Some(value) = node.field("name") else {
        fields::missing(node, path, "name", "a name for the interface", faults);
        return None;
    };
    let path = path.key("name");
    let name = fields::text(value, &path, faults)?;
    if has_capture && is_template(name) {
        return Some(name.to_owned());
    }
    match name.parse::<ConnectionId>() {
        Ok(_) => Some(name.to_owned()),
        Err(expected) => {
            let fault = InvalidProfile::HiddenValue {
                key: "name".into(),
                expected: expected.0,
            };
            faults.add(value.at, &path, Problem::Connection(fault));
            None
        }
    }
}

fn state(node: &Node, path: &Path<'_>, faults: &mut Faults) -> InterfaceState {
    const STATES: [InterfaceState; 4] = [
        InterfaceState::Up,
        InterfaceState::Down,
        InterfaceState::Absent,
        InterfaceState::Ignore,
    ];
    let words = ["up", "down", "absent", "ignore"];
    let expected = "up, down, absent or ignore";
    let Some(value) = node.field("state") else {
        return InterfaceState::Up;
    };
    fields::one_of(value, &path.key("state"), &words, expected, faults)
        .and_then(|position| STATES.get(position).copied())
        .unwrap_or_default()
}

fn ip_stack(node: &Node, key: &str, path: &Path<'_>, faults: &mut Faults) -> Option<IpStack> {
    let value = node.field(key)?;
    let path = path.key(key);
    fields::mapping(value, &path, IP_KEYS, faults)?;
    let mut truth = |key| {
        let value = value.field(key)?;
        fields::truth(value, &path.key(key), faults)
    };
    let (enabled, dhcp, autoconf) = (truth("enabled"), truth("dhcp"), truth("autoconf"));
    Some(IpStack {
        enabled,
        dhcp,
        autoconf,
        value: json::of(value, &path, faults),
    })
}
