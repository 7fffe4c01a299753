//! Further keys in a profile that nmstate has written (nm-settings-keyfile(5)).

use serde_yaml::{Mapping, Value};

/// Adds the pairs to the sections of connection and secrets.
pub(super) fn add(profile: &mut String, further: &Mapping) {
    for (key, value) in further {
        let Some(key) = key.as_str() else { continue };
        let line = format!("{key}={}", escaped(value));
        let section = if key == "xauthpassword" {
            "vpn-secrets"
        } else {
            "vpn"
        };
        add_line(profile, section, &line);
    }
}

fn add_line(profile: &mut String, section: &str, line: &str) {
    let header = format!("[{section}]\n");
    match profile.find(&header) {
        Some(at) => profile.insert_str(at + header.len(), &format!("{line}\n")),
        None => profile.push_str(&format!("\n{header}{line}\n")),
    }
}

/// A value as profiles have it, backslashes escaped.
fn escaped(value: &Value) -> String {
    let word = match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        value => value.as_str().unwrap_or_default().to_owned(),
    };
    word.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_into_their_sections() {
        let mut profile = "[connection]\nid=vpn\n\n[vpn]\nright=a\n".to_owned();
        let further: Mapping =
            serde_yaml::from_str("{pfs: false, xauthpassword: 'a\\b', replay-window: 64}").unwrap();
        add(&mut profile, &further);
        assert_eq!(
            profile,
            "[connection]\nid=vpn\n\n[vpn]\nreplay-window=64\npfs=no\nright=a\n\n[vpn-secrets]\nxauthpassword=a\\\\b\n"
        );
    }
}
