//! Policies, lists of them, and plain desired state: what a document is and what its frame says.

use std::collections::BTreeMap;

use nmstate_ipsec_core::guard;

use super::{
    Document, Origin,
    error::{Faults, Path},
    fields, json,
    node::Node,
    placeholder, state,
};

/// What annotations of ours begin with.
const OUR_ANNOTATIONS: &str = "ipsec.nmstate.io/";

const POLICY: &str = "NodeNetworkConfigurationPolicy";
const LIST: &str = "List";

const POLICY_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
const LIST_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "items"];
const SPEC_KEYS: &[&str] = &["nodeSelector", "maxUnavailable", "capture", "desiredState"];
/// Every key of Kubernetes' ObjectMeta: a policy that is read from a cluster has most of them.
const METADATA_KEYS: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads one document: a policy, each policy of a list, or a desired state.
pub(super) fn documents(root: &Node, number: usize, file: &str, faults: &mut Faults) -> Vec<Document> {
    let path = Path::TOP;
    let before = faults.count();
    placeholder::find(root, &path, faults);
    if faults.count() > before {
        // What else is wrong may be the placeholders' doing.
        return Vec::new();
    }
    let origin = |item| Origin {
        file: file.to_owned(),
        number,
        item,
    };
    let is_policy = POLICY_KEYS.iter().any(|key| root.has(key)) || root.has("items");
    if !is_policy {
        let document = Document {
            origin: origin(None),
            name: None,
            selector: BTreeMap::new(),
            guard: None,
            capture: None,
            state: state::read(root, &path, false, faults),
        };
        return vec![document];
    }
    let Some(kind) = root.field("kind") else {
        let expected =
            "NodeNetworkConfigurationPolicy or List; a desired state by itself begins with 'interfaces'";
        fields::missing(root, &path, "kind", expected, faults);
        return Vec::new();
    };
    let expected = "NodeNetworkConfigurationPolicy or List";
    match fields::one_of(kind, &path.key("kind"), &[POLICY, LIST], expected, faults) {
        Some(0) => vec![policy(root, &path, origin(None), faults)],
        Some(_) => list(root, origin, faults),
        None => Vec::new(),
    }
}

fn list(root: &Node, origin: impl Fn(Option<usize>) -> Origin, faults: &mut Faults) -> Vec<Document> {
    let path = Path::TOP;
    fields::mapping(root, &path, LIST_KEYS, faults);
    api_version(root, &path, &["v1"], "v1", faults);
    let items_path = path.key("items");
    let Some(items) = root.field("items") else {
        fields::missing(root, &path, "items", "a list of policies", faults);
        return Vec::new();
    };
    let Some(items) = items.items() else {
        fields::unexpected(items, &items_path, "a list of policies", faults);
        return Vec::new();
    };
    let mut documents = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = items_path.index(index);
        if fields::any_mapping(item, &path, faults).is_none() {
            continue;
        }
        let Some(kind) = item.field("kind") else {
            fields::missing(item, &path, "kind", POLICY, faults);
            continue;
        };
        if fields::one_of(kind, &path.key("kind"), &[POLICY], POLICY, faults).is_some() {
            documents.push(policy(item, &path, origin(Some(index)), faults));
        }
    }
    documents
}

fn policy(node: &Node, path: &Path<'_>, origin: Origin, faults: &mut Faults) -> Document {
    fields::mapping(node, path, POLICY_KEYS, faults);
    let versions = ["nmstate.io/v1", "nmstate.io/v1beta1"];
    api_version(
        node,
        path,
        &versions,
        "nmstate.io/v1 or nmstate.io/v1beta1",
        faults,
    );
    let mut document = Document {
        origin,
        name: name(node, path, faults),
        selector: BTreeMap::new(),
        guard: guard(node, path, faults),
        capture: None,
        state: state::DesiredState::default(),
    };
    let Some(spec) = node.field("spec") else {
        fields::missing(node, path, "spec", "nodeSelector and desiredState", faults);
        return document;
    };
    let path = path.key("spec");
    if fields::mapping(spec, &path, SPEC_KEYS, faults).is_none() {
        return document;
    }
    document.selector = selector(spec, &path, faults);
    document.capture = spec.field("capture").map(|capture| {
        let path = path.key("capture");
        fields::any_mapping(capture, &path, faults);
        json::of(capture, &path, faults)
    });
    match spec.field("desiredState") {
        Some(desired) => {
            let has_capture = document.capture.is_some();
            document.state = state::read(desired, &path.key("desiredState"), has_capture, faults);
        }
        None => fields::missing(
            spec,
            &path,
            "desiredState",
            "what nmstate calls a desired state",
            faults,
        ),
    }
    document
}

fn api_version(node: &Node, path: &Path<'_>, versions: &[&str], expected: &'static str, faults: &mut Faults) {
    match node.field("apiVersion") {
        Some(version) => {
            fields::one_of(version, &path.key("apiVersion"), versions, expected, faults);
        }
        None => fields::missing(node, path, "apiVersion", expected, faults),
    }
}

fn name(node: &Node, path: &Path<'_>, faults: &mut Faults) -> Option<String> {
    let metadata = node.field("metadata")?;
    let path = path.key("metadata");
    fields::mapping(metadata, &path, METADATA_KEYS, faults)?;
    fields::optional_text(metadata, "name", &path, faults)
}

/// What the annotation of ours says. Others may say what they like, but not under our name: a slip there would leave
/// connections without a guard.
fn guard(node: &Node, path: &Path<'_>, faults: &mut Faults) -> Option<bool> {
    let annotations = node.field("metadata")?.field("annotations")?;
    let path = path.key("metadata");
    let path = path.key("annotations");
    let mut is_guarded = None;
    for entry in annotations.entries().unwrap_or_default() {
        if entry.key == guard::ANNOTATION {
            let path = path.key(&entry.key);
            let words = ["true", "false"];
            let said = fields::one_of(&entry.value, &path, &words, "'true' or 'false'", faults);
            is_guarded = said.map(|position| position == 0);
        } else if entry.key.starts_with(OUR_ANNOTATIONS) {
            fields::unknown_key(entry, &path, Some(guard::ANNOTATION), faults);
        }
    }
    is_guarded
}

/// The pairs of `nodeSelector`. A cluster takes texts alone, so a number or truth value without quotes is a fault.
fn selector(spec: &Node, path: &Path<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let Some(selector) = spec.field("nodeSelector") else {
        return BTreeMap::new();
    };
    let path = path.key("nodeSelector");
    let entries = fields::any_mapping(selector, &path, faults).unwrap_or_default();
    let mut pairs = BTreeMap::new();
    for entry in entries {
        if let Some(value) = fields::text(&entry.value, &path.key(&entry.key), faults) {
            pairs.insert(entry.key.clone(), value.to_owned());
        }
    }
    pairs
}
