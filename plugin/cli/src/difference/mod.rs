//! What would change, of connections and of everything else, and how it is shown.

mod other;
mod show;

use nmstate_ipsec_core::daemon_api::{Applied, Change};
use serde_json::{Value, json};

use crate::{document::Document, report};

/// A part of the host that a document changes, and that is not a connection: an interface, the routes, the resolver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it is called: `eth1`, `routes`.
    name: String,
    /// What differs.
    changes: Vec<Change>,
}

/// All that a document would change.
pub(crate) struct Difference<'a> {
    pub(crate) document: &'a Document,
    /// What the daemon would do.
    pub(crate) planned: Applied,
    /// What nmstate would do.
    pub(crate) others: Vec<Part>,
}

pub(crate) use other::of_other;

impl Difference<'_> {
    /// Shows it on standard output: in colour where that is a terminal which wants it.
    pub(crate) fn show(&self, json: bool) {
        if json {
            println!("{}", self.for_programs());
        } else {
            anstream::print!("{}", show::for_people(&self.planned.outcomes, &self.others));
        }
    }

    fn for_programs(&self) -> Value {
        let mut told = report::for_programs(self.document, &self.planned);
        let part = |part: &Part| json!({"name": part.name, "changes": changes(&part.changes)});
        told["others"] = self.others.iter().map(part).collect();
        told
    }
}

/// Changes as programs read them. What is not there, or not told, is null.
pub(crate) fn changes(changes: &[Change]) -> Value {
    let one = |change: &Change| {
        let value = |text: &str, is_there: bool| match is_there && !change.is_hidden {
            true => Value::from(text),
            false => Value::Null,
        };
        json!({
            "key": change.key,
            "change": change.kind,
            "old": value(&change.before, change.kind != "added"),
            "new": value(&change.after, change.kind != "removed"),
            "hidden": change.is_hidden,
        })
    };
    changes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_null_where_nothing_is_or_nothing_is_told() {
        let told = changes(&[
            Change {
                key: "vpn.data.right".into(),
                kind: "changed".into(),
                before: "192.0.2.252".into(),
                after: "192.0.2.253".into(),
                is_hidden: false,
            },
            Change {
                key: "vpn.data.type".into(),
                kind: "added".into(),
                after: "transport".into(),
                ..Change::default()
            },
            Change {
                key: "vpn.secrets.pskvalue".into(),
                kind: "changed".into(),
                is_hidden: true,
                ..Change::default()
            },
        ]);
        assert_eq!(
            told,
            json!([
                {"key": "vpn.data.right", "change": "changed", "old": "192.0.2.252", "new": "192.0.2.253", "hidden": false},
                {"key": "vpn.data.type", "change": "added", "old": null, "new": "transport", "hidden": false},
                {"key": "vpn.secrets.pskvalue", "change": "changed", "old": null, "new": null, "hidden": true},
            ])
        );
    }
}
