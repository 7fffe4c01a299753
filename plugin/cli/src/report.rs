//! What is said of an applied document, to people and to programs.

use nmstate_ipsec_core::daemon_api::{Applied, Outcome};
use serde_json::{Value, json};

use crate::{difference, document::Document};

/// Says what was done; a warning goes to standard error.
pub(crate) fn applied(document: &Document, applied: &Applied, json: bool, quiet: bool) {
    if json {
        println!("{}", for_programs(document, applied));
    }
    for outcome in &applied.outcomes {
        if outcome.state == "pending" {
            eprintln!("warning: {}: {}; it is tried further", outcome.name, outcome.text);
        } else if !json && !quiet {
            println!("{}", line(outcome));
        }
    }
}

/// The failed connection and its reason, then what has become of the rest.
pub(crate) fn failure(document: &Document, applied: &Applied) -> String {
    let mut lines = Vec::new();
    for failed in applied
        .outcomes
        .iter()
        .filter(|outcome| outcome.state == "failed")
    {
        lines.push(format!("{}: {} ({})", failed.name, failed.text, failed.code));
    }
    if applied.remains.is_empty() {
        lines.push(format!(
            "{document}: nothing of it was applied; everything is as it was"
        ));
    } else {
        lines.push(format!("{document}: not everything could be undone:"));
        lines.extend(applied.remains.iter().map(|remains| format!("  {remains}")));
    }
    lines.join("\n")
}

fn line(outcome: &Outcome) -> String {
    let done = match outcome.action.as_str() {
        "created" => "created, up",
        "modified" => "modified, up",
        "activated" => "brought up",
        "kept" => "as declared, up",
        "taken-down" => "taken down",
        "removed" => "removed",
        other => other,
    };
    format!("{}: {done}{}", outcome.name, changes(outcome))
}

/// The keys that were changed; of a connection that comes or goes that is all of them.
fn changes(outcome: &Outcome) -> String {
    if outcome.action != "modified" || outcome.changes.is_empty() {
        return String::new();
    }
    let keys: Vec<&str> = outcome.changes.iter().map(|change| change.key.as_str()).collect();
    format!(" ({})", keys.join(", "))
}

/// What was done, or would be.
pub(crate) fn for_programs(document: &Document, applied: &Applied) -> Value {
    let connection = |outcome: &Outcome| {
        json!({
            "name": outcome.name,
            "uuid": outcome.uuid,
            "action": outcome.action,
            "state": outcome.state,
            "code": outcome.code,
            "text": outcome.text,
            "changes": difference::changes(&outcome.changes),
        })
    };
    json!({
        "document": document.to_string(),
        "done": applied.done,
        "connections": applied.outcomes.iter().map(connection).collect::<Vec<_>>(),
        "remains": applied.remains,
    })
}
