//! An imported connection as a profile of NetworkManager, in the format of nm-settings-keyfile(5).

use std::fmt::Write;

use nmstate_ipsec_core::{contract, profile::Uuid};

use super::import::Imported;

/// The profile, without secrets.
pub(super) fn of(connection: &Imported, uuid: &Uuid) -> String {
    let mut text = format!(
        "[connection]\nid={}\nuuid={uuid}\ntype=vpn\nautoconnect={}\n\n[vpn]\n",
        value(&connection.name),
        connection.is_up
    );
    for (key, data) in &connection.data {
        let _ = writeln!(text, "{key}={}", value(data));
    }
    let _ = writeln!(text, "service-type={}", contract::PLUGIN_NAME);
    text.push_str("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
    text
}

/// A value with what the format reads as something else escaped: backslashes, and blanks at the ends.
fn value(text: &str) -> String {
    let text = text.replace('\\', "\\\\");
    let inner = text.trim_start_matches(' ');
    let leading = text.len() - inner.len();
    let trimmed = inner.trim_end_matches(' ');
    let trailing = inner.len() - trimmed.len();
    format!("{}{trimmed}{}", "\\s".repeat(leading), "\\s".repeat(trailing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_backslashes_are_escaped() {
        assert_eq!(value("O=Foo\\, Bar"), "O=Foo\\\\, Bar");
        assert_eq!(value("  a "), "\\s\\sa\\s");
        assert_eq!(value("  "), "\\s\\s");
    }
}
