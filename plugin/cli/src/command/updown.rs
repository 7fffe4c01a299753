//! `nmstate-ipsec up` and `down`: what a document would say of a connection's state, for those that are there.

use super::{Fault, apply, daemon};
use crate::{
    args::{Apply, Connections, Documents},
    document, profiles,
};

/// Seconds until what was not finished is undone, as with `apply`.
const TIME_OUT: u32 = 60;

pub(super) async fn run(arguments: Connections, state: &str) -> Result<(), Fault> {
    let daemon = daemon().await?;
    let mut interfaces = Vec::new();
    for name in &arguments.names {
        let known = profiles::named(daemon.inner().connection(), name).await;
        let known =
            known.map_err(|error| Fault::failed("failed to ask NetworkManager for its profiles", error))?;
        if known.is_empty() {
            return Err(Fault::Failed(format!(
                "there is no connection '{name}'; see 'nmcli connection show', or declare it in a document and 'apply' that"
            )));
        }
        interfaces.push(serde_json::json!({"name": name, "type": "ipsec", "state": state}));
    }
    let text = serde_json::json!({"interfaces": interfaces}).to_string();
    let documents = document::read_text_of(&text, &format!("the wish '{state}'"));
    let documents = documents.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::Input(lines.join("\n"))
    })?;
    let arguments = Apply {
        documents: Documents {
            files: Vec::new(),
            node_labels: None,
            node_name: None,
        },
        no_verify: false,
        no_commit: false,
        timeout: TIME_OUT,
        wait: arguments.wait,
        require_established: false,
        dry_run: false,
        json: arguments.json,
        quiet: arguments.quiet,
        verbose: false,
    };
    apply::all(&arguments, &daemon, &documents).await
}
