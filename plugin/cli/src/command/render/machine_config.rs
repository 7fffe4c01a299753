//! The MachineConfig: Ignition in the arrangement that butane gives it. Pure.

use openssl::base64::encode_block;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    name::{ObjectName, PoolName},
    payload::{self, Payload},
};

/// Version of Ignition's specification, which clusters take from 4.14 on: since they have IPsec with other hosts.
const IGNITION: &str = "3.4.0";

/// An object of `machineconfiguration.openshift.io/v1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineConfig<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata {
    labels: Labels,
    name: String,
}

#[derive(Serialize)]
struct Labels {
    #[serde(rename = "machineconfiguration.openshift.io/role")]
    role: String,
}

#[derive(Serialize)]
struct Spec<'a> {
    config: Config<'a>,
}

#[derive(Serialize)]
struct Config<'a> {
    ignition: Ignition,
    storage: Storage<'a>,
    systemd: Systemd<'a>,
}

#[derive(Serialize)]
struct Ignition {
    version: &'static str,
}

#[derive(Serialize)]
struct Storage<'a> {
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    contents: Contents,
    /// In decimal digits, as the numbers of YAML and JSON are read.
    mode: u32,
    overwrite: bool,
    path: &'a str,
}

#[derive(Serialize)]
struct Contents {
    compression: &'static str,
    #[serde(serialize_with = "secret")]
    source: Zeroizing<String>,
}

#[derive(Serialize)]
struct Systemd<'a> {
    units: Vec<Unit<'a>>,
}

#[derive(Serialize)]
struct Unit<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<&'a str>,
    enabled: bool,
    name: &'a str,
}

fn secret<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The MachineConfig that brings `payload` to the nodes of `pool`.
pub(super) fn of<'a>(name: &ObjectName, pool: &PoolName, payload: &'a Payload) -> MachineConfig<'a> {
    let units = payload.units.iter().map(|unit| Unit {
        contents: unit.contents.as_deref(),
        enabled: true,
        name: unit.name,
    });
    let config = Config {
        ignition: Ignition { version: IGNITION },
        storage: Storage {
            files: payload.files.iter().map(file).collect(),
        },
        systemd: Systemd {
            units: units.collect(),
        },
    };
    MachineConfig {
        api_version: "machineconfiguration.openshift.io/v1",
        kind: "MachineConfig",
        metadata: Metadata {
            labels: Labels {
                role: pool.to_string(),
            },
            name: name.to_string(),
        },
        spec: Spec { config },
    }
}

fn file(file: &payload::File) -> File<'_> {
    let encoded = Zeroizing::new(encode_block(&file.contents));
    File {
        contents: Contents {
            compression: "",
            source: Zeroizing::new(format!("data:;base64,{}", *encoded)),
        },
        mode: file.mode,
        overwrite: true,
        path: &file.path,
    }
}
