//! Desired state: the IPsec interfaces in it, and the rest for nmstate.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{
    error::{Faults, Path, Problem, shown_key},
    fields,
    ipsec::{self, IpsecInterface},
    json,
    node::Node,
    scalar::Plain,
};

/// The keys of nmstate's NetworkState, 2.2.62.
const STATE_KEYS: &[&str] = &[
    "description",
    "dns-resolver",
    "hostname",
    "interfaces",
    "ovn",
    "ovs-db",
    "route-rules",
    "routes",
];

/// What a host's network is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DesiredState {
    /// The IPsec interfaces, in the order in which they were written.
    pub ipsec: Vec<IpsecInterface>,
    /// The rest, for nmstate; nothing if there is no rest.
    pub other: Option<Json>,
    /// The names of the interfaces in the rest.
    pub other_interfaces: Vec<String>,
}

/// Reads a desired state. With `has_capture` parts of it may be expressions in place of values.
pub(super) fn read(node: &Node, path: &Path<'_>, has_capture: bool, faults: &mut Faults) -> DesiredState {
    let mut state = DesiredState::default();
    let Some(entries) = fields::mapping(node, path, STATE_KEYS, faults) else {
        return state;
    };
    let mut rest = Map::new();
    for entry in entries {
        let path = path.key(&entry.key);
        let is_expression = has_capture
            && entry
                .value
                .scalar()
                .is_some_and(|scalar| is_template(&scalar.text));
        if entry.key != "interfaces" || entry.value.is_null() || is_expression {
            rest.insert(entry.key.clone(), json::of(&entry.value, &path, faults));
        } else if let Some(items) = entry.value.items() {
            let others = interfaces(items, &path, has_capture, &mut state, faults);
            if !others.is_empty() {
                rest.insert(entry.key.clone(), Json::Array(others));
            }
        } else {
            fields::unexpected(
                &entry.value,
                &path,
                "a list of interfaces ('- name: ...')",
                faults,
            );
        }
    }
    state.other = Some(rest).filter(|rest| !rest.is_empty()).map(Json::Object);
    state
}

/// Whether a text has an expression of nmpolicy in it.
pub(super) fn is_template(text: &str) -> bool {
    text.find("{{").is_some_and(|start| text[start..].contains("}}"))
}

/// Sorts interfaces into those of IPsec and others; hands the others back.
fn interfaces(
    items: &[std::rc::Rc<Node>],
    path: &Path<'_>,
    has_capture: bool,
    state: &mut DesiredState,
    faults: &mut Faults,
) -> Vec<Json> {
    let mut first_lines = HashMap::new();
    let mut others = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        if fields::any_mapping(item, &path, faults).is_none() {
            continue;
        }
        let word = |key| {
            item.field(key)
                .and_then(Node::scalar)
                .map(|scalar| scalar.text.as_str())
        };
        let (name, kind) = (word("name"), word("type"));
        if let (Some(name), Some(kind)) = (name, kind)
            && let Some(first_line) = first_lines.insert((name, kind), item.at.line)
        {
            let problem = Problem::DuplicateInterface {
                name: nmstate_ipsec_core::profile::shown(name),
                kind: shown_key(kind).to_owned(),
                first_line,
            };
            faults.add(item.at, &path, problem);
        }
        if kind == Some("ipsec") {
            state.ipsec.extend(ipsec::read(item, &path, has_capture, faults));
        } else {
            check_other(item, &path, kind, faults);
            state.other_interfaces.extend(name.map(ToOwned::to_owned));
            others.push(json::of(item, &path, faults));
        }
    }
    others
}

/// An interface of another type is nmstate's to check, but for what can only be a slip in one of IPsec.
fn check_other(item: &Node, path: &Path<'_>, kind: Option<&str>, faults: &mut Faults) {
    let is_meant = item.has("libreswan") || kind.is_some_and(|kind| kind.eq_ignore_ascii_case("ipsec"));
    if !is_meant {
        return;
    }
    let expected = "ipsec, the type of an interface with the key 'libreswan'";
    match item.field("type") {
        None => fields::missing(item, path, "type", expected, faults),
        Some(kind) => {
            let suggestion = kind
                .scalar()
                .filter(|scalar| scalar.meaning == Plain::Text)
                .map(|_| "ipsec".to_owned());
            faults.add(
                kind.at,
                &path.key("type"),
                Problem::Value { expected, suggestion },
            );
        }
    }
}
