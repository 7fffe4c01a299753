//! The node disruption policy: what is done on a node in place of the reboot. Pure.

use serde::Serialize;

use super::payload::{self, Payload};

/// The cluster's one object of `operator.openshift.io/v1`, with nothing in it but what is ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineConfiguration<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    node_disruption_policy: Policy<'a>,
}

#[derive(Serialize)]
struct Policy<'a> {
    files: Vec<File<'a>>,
    units: Vec<Unit<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    actions: Vec<Action>,
    path: &'a str,
}

#[derive(Serialize)]
struct Unit<'a> {
    actions: Vec<Action>,
    name: &'a str,
}

#[derive(Serialize)]
struct Action {
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<Service>,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    service_name: &'static str,
}

impl From<&payload::Action> for Action {
    fn from(action: &payload::Action) -> Self {
        let (kind, restart) = match *action {
            payload::Action::None => ("None", None),
            payload::Action::DaemonReload => ("DaemonReload", None),
            payload::Action::Restart(service_name) => ("Restart", Some(Service { service_name })),
        };
        Self { restart, kind }
    }
}

/// The policy for changes of `payload`.
pub(super) fn of(payload: &Payload) -> MachineConfiguration<'_> {
    let files = payload.files.iter().map(|file| File {
        actions: file.on_change.iter().map(Action::from).collect(),
        path: &file.path,
    });
    let units = payload.units.iter().map(|unit| Unit {
        actions: unit.on_change.iter().map(Action::from).collect(),
        name: unit.name,
    });
    MachineConfiguration {
        api_version: "operator.openshift.io/v1",
        kind: "MachineConfiguration",
        metadata: Metadata { name: "cluster" },
        spec: Spec {
            node_disruption_policy: Policy {
                files: files.collect(),
                units: units.collect(),
            },
        },
    }
}
