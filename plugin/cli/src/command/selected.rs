//! The documents that are for this host.

use std::{fs, io, path::Path};

use crate::{
    args::Documents,
    command::Fault,
    document::{
        self, Document, Source,
        select::{self, Labels, Selection},
    },
};

/// Labels of this host, a pair `key=value` a line.
const LABELS_PATH: &str = "/etc/nmstate-ipsec/node-labels";

/// Reads the documents and leaves out those that are for other nodes, which is said.
///
/// # Errors
/// Any of them is not valid, wherever it is for.
pub(super) fn read(arguments: &Documents) -> Result<Vec<Document>, Fault> {
    let sources: Vec<Source> = arguments
        .files
        .iter()
        .map(|path| Source::from_argument(path.as_os_str()))
        .collect();
    let documents = document::read(&sources).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::Input(lines.join("\n"))
    })?;
    let labels = labels(arguments)?;
    let mut selected = Vec::new();
    for document in documents {
        match select::is_for(&document, &labels) {
            Selection::Here => selected.push(document),
            Selection::Elsewhere(differs) => {
                eprintln!("{document}: skipped, it is for other nodes: {differs}");
            }
        }
    }
    Ok(selected)
}

fn labels(arguments: &Documents) -> Result<Labels, Fault> {
    let mut labels = match fs::read_to_string(LABELS_PATH) {
        Ok(text) => Labels::parse_lines(&text).map_err(|fault| input(LABELS_PATH, &fault))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Labels::default(),
        Err(error) => return Err(Fault::Input(format!("failed to read {LABELS_PATH}: {error}"))),
    };
    if let Some(given) = &arguments.node_labels {
        let given = Labels::parse_list(given).map_err(|fault| input("--node-labels", &fault))?;
        labels = given.and(labels);
    }
    if let Some(name) = &arguments.node_name {
        return Ok(labels.with_node_name(name));
    }
    let name = fs::read_to_string(Path::new("/proc/sys/kernel/hostname"));
    let name = name.map_err(|error| Fault::failed("failed to read the host's name", error))?;
    Ok(labels.with_host_name(name.trim_end()))
}

fn input(place: &str, fault: &select::InvalidLabel) -> Fault {
    Fault::Input(format!("{place}: {fault}"))
}
