//! A difference as people read it: a line for each connection, and one for each key of it that changes.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use nmstate_ipsec_core::daemon_api::{Change, Outcome};

use super::Part;

const NEW: Style = AnsiColor::Green.on_default();
const GONE: Style = AnsiColor::Red.on_default();
const OTHER: Style = AnsiColor::Yellow.on_default();
const STATE: Style = AnsiColor::Cyan.on_default();
const SAME: Style = Style::new().dimmed();

/// The whole difference, with the codes of a terminal's colours in it.
pub(super) fn for_people(outcomes: &[Outcome], others: &[Part]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let (style, sign, verb) = match outcome.action.as_str() {
            "created" => (NEW, '+', "would be created"),
            "modified" => (OTHER, '~', "would be modified"),
            "activated" => (STATE, '^', "would be brought up"),
            "taken-down" => (STATE, 'v', "would be taken down"),
            "removed" => (GONE, '-', "would be removed"),
            _ => (SAME, '=', "stays as it is"),
        };
        line(&mut text, "", style, sign, &format!("{}: {verb}", outcome.name));
        changes(&mut text, &outcome.changes);
    }
    for part in others {
        line(
            &mut text,
            "",
            OTHER,
            '~',
            &format!("{}: nmstate would change it", part.name),
        );
        changes(&mut text, &part.changes);
    }
    text
}

fn changes(text: &mut String, changes: &[Change]) {
    for change in changes {
        let (style, sign) = match change.kind.as_str() {
            "added" => (NEW, '+'),
            "removed" => (GONE, '-'),
            _ => (OTHER, '~'),
        };
        let values = match change.kind.as_str() {
            _ if change.is_hidden => "a value that is not shown".to_owned(),
            "added" => change.after.clone(),
            "removed" => change.before.clone(),
            _ => format!("{} -> {}", change.before, change.after),
        };
        let key = as_declared(&change.key);
        line(text, "    ", style, sign, &format!("{key}: {values}"));
    }
}

/// The key as documents have it.
fn as_declared(key: &str) -> &str {
    match key {
        "vpn.secrets.pskvalue" => "psk",
        "user.data.nmstate-ipsec.guard" => "guard",
        key => key
            .strip_prefix("vpn.data.")
            .or_else(|| key.strip_prefix("vpn.secrets."))
            .unwrap_or(key),
    }
}

/// A line in one colour. A terminal takes what is in a profile for commands if it is let.
fn line(text: &mut String, indent: &str, style: Style, sign: char, said: &str) {
    let said: String = said.chars().flat_map(harmless).collect();
    // Writing to a text does not fail.
    let _ = writeln!(text, "{indent}{style}{sign} {said}{style:#}");
}

/// The character itself unless it is none that is seen.
fn harmless(character: char) -> impl Iterator<Item = char> {
    let is_plain = matches!(character, '"' | '\'' | '\\');
    let escaped = (!is_plain).then(|| character.escape_debug());
    let plain = is_plain.then_some(character);
    plain.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, kind: &str, before: &str, after: &str, is_hidden: bool) -> Change {
        Change {
            key: key.into(),
            kind: kind.into(),
            before: before.into(),
            after: after.into(),
            is_hidden,
        }
    }

    fn outcome(name: &str, action: &str, changes: Vec<Change>) -> Outcome {
        Outcome {
            name: name.into(),
            uuid: String::new(),
            action: action.into(),
            state: String::new(),
            code: String::new(),
            text: String::new(),
            changes,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn old_and_new_stand_beside_each_other() {
        let changes = vec![
            change("vpn.data.right", "changed", "192.0.2.252", "192.0.2.253", false),
            change("vpn.data.type", "added", "", "transport", false),
            change("vpn.data.dpddelay", "removed", "30", "", false),
            change("vpn.secrets.pskvalue", "changed", "", "", true),
        ];
        let outcomes = [
            outcome("hosta_conn", "modified", changes),
            outcome("other", "kept", vec![]),
        ];
        let others = [Part {
            name: "eth1".into(),
            changes: vec![change("mtu", "changed", "1500", "1400", false)],
        }];
        let shown = for_people(&outcomes, &others);
        assert_eq!(
            plain(&shown),
            "~ hosta_conn: would be modified\n    ~ right: 192.0.2.252 -> 192.0.2.253\n    + type: transport\n    \
             - dpddelay: 30\n    ~ psk: a value that is not shown\n= other: stays as it is\n\
             ~ eth1: nmstate would change it\n    ~ mtu: 1500 -> 1400\n"
        );
        assert!(
            shown.contains("\u{1b}[32m+ type: transport\u{1b}[0m"),
            "{shown:?}"
        );
    }

    #[test]
    fn nothing_in_a_profile_commands_the_terminal() {
        let changes = vec![change(
            "vpn.data.leftid",
            "added",
            "",
            "@a\u{1b}]0;x\u{7}\n'b'\u{202e}",
            false,
        )];
        let shown = plain(&for_people(&[outcome("a", "created", changes)], &[]));
        assert_eq!(
            shown,
            "+ a: would be created\n    + leftid: @a\\u{1b}]0;x\\u{7}\\n'b'\\u{202e}\n"
        );
    }
}
