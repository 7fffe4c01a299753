//! An interface of a document as a `conn` section.

use std::{collections::HashMap, fmt::Write};

use nmstate_ipsec_core::{
    connection::{Connection, Family, Identity, IdentityKind, IkeVersion, Rendering, Setting},
    profile::{InvalidProfile, shown},
};

use super::{keys, line::FILLED_IN};
use crate::document::{InterfaceState, IpsecInterface};

/// Why an interface is no section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unexportable {
    /// There is no connection in it.
    #[error("has no 'libreswan', and so no connection to write")]
    NoConnection,
    /// It is to be removed, or left alone.
    #[error("is 'state: absent' or 'state: ignore', and so no connection to write")]
    NotThere,
    /// It depends on a policy's captures.
    #[error("holds expressions over captures, whose values only a host has")]
    Template,
    /// The connection is faulty.
    #[error(transparent)]
    Invalid(#[from] InvalidProfile),
    /// A value cannot stand between quotes; the types should have kept it out.
    #[error("the value of '{0}' cannot be written into a configuration of libreswan")]
    Unwritable(&'static str),
}

/// The section of an interface. It says what the interface says: what `nm-auto-defaults` fills in is written too, since
/// libreswan does not, and marked, so that an import leaves it out again. No secret is in it.
///
/// # Errors
/// The interface is no connection that a section can describe.
pub fn section(interface: &IpsecInterface) -> Result<String, Unexportable> {
    let auto = match interface.state {
        InterfaceState::Absent | InterfaceState::Ignore => return Err(Unexportable::NotThere),
        InterfaceState::Down => "add",
        InterfaceState::Up => "start",
    };
    let libreswan = interface.libreswan.as_ref().ok_or(Unexportable::NoConnection)?;
    if libreswan.is_template {
        return Err(Unexportable::Template);
    }
    let data: HashMap<String, String> = libreswan.data.clone().into_iter().collect();
    let connection = Connection::from_data(&data)?;
    let name = section_name(&interface.name);
    let mut section = Section {
        text: format!("conn {name}\n"),
        data: &data,
        fills_in: connection.auto_defaults,
    };
    if name != interface.name {
        section.note("nm-name", &interface.name);
    }
    let yes_no = if connection.auto_defaults { "yes" } else { "no" };
    section.note("nm-auto-defaults", yes_no);
    let is_on_demand = data.get("nm-connect-mode").is_some_and(|mode| mode != "up");
    if is_on_demand {
        section.note("nm-connect-mode", "ondemand");
    }
    section.number(
        "auto",
        if is_on_demand && auto == "start" {
            "ondemand"
        } else {
            auto
        },
    );
    section.line("left", &connection.left.to_string(), false)?;
    section.line("right", &connection.right.to_string(), false)?;
    for setting in connection.settings() {
        section.setting(&setting)?;
    }
    section.filled_in(&connection)?;
    section.secrets(&connection);
    Ok(section.text)
}

/// What of an interface a section does not tell.
pub fn left_out(interface: &IpsecInterface) -> Vec<String> {
    let IpsecInterface {
        profile_name,
        description,
        ipv4,
        ipv6,
        rest,
        ..
    } = interface;
    let own = [
        ("description", description.is_some()),
        ("ipv4", ipv4.is_some()),
        ("ipv6", ipv6.is_some()),
        ("profile-name", profile_name.is_some()),
    ];
    let own = own
        .into_iter()
        .filter(|(_, is_given)| *is_given)
        .map(|(key, _)| key.to_owned());
    own.chain(rest.keys().map(|key| shown(key))).collect()
}

/// A section's name: a letter, then letters, digits, `.`, `_` and `-`.
fn section_name(name: &str) -> String {
    let is_of_name =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let mut section: String = name
        .chars()
        .map(|character| if is_of_name(character) { character } else { '-' })
        .collect();
    if !section.starts_with(|first: char| first.is_ascii_alphabetic()) {
        section.insert_str(0, "conn-");
    }
    section
}

/// A section in the making.
struct Section<'a> {
    text: String,
    data: &'a HashMap<String, String>,
    /// Whether what is not in `data` comes of `nm-auto-defaults`.
    fills_in: bool,
}

impl Section<'_> {
    /// Adds a comment that an import reads.
    fn note(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "\t# {key}={value}");
    }

    /// Adds a line with a number or a word: libreswan 4 reads a number between quotes as 0.
    fn number(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "\t{key}={value}");
    }

    /// Adds a line with any other value.
    fn line(&mut self, key: &'static str, value: &str, is_filled_in: bool) -> Result<(), Unexportable> {
        if value
            .chars()
            .any(|character| character == '"' || character.is_control())
        {
            return Err(Unexportable::Unwritable(key));
        }
        let comment = if is_filled_in {
            format!(" # {FILLED_IN}")
        } else {
            String::new()
        };
        let _ = writeln!(self.text, "\t{key}=\"{value}\"{comment}");
        Ok(())
    }

    fn setting(&mut self, setting: &Setting) -> Result<(), Unexportable> {
        let alias = (setting.key == "leftusername").then_some("leftxauthuser");
        let is_given = |key: &str| self.data.contains_key(key);
        let is_filled_in = self.fills_in && !is_given(setting.key) && !alias.is_some_and(is_given);
        match (setting.rendering, setting.key) {
            (Rendering::Never, key) => self.note(&format!("nm-{key}"), &setting.value),
            (_, "ikev2") => {
                // Every libreswan reads this one; 5.2 would have it called keyexchange.
                let word = if setting.value == "never" { "no" } else { "insist" };
                return self.line("ikev2", word, is_filled_in);
            }
            (Rendering::Number, key) => self.number(key, &setting.value),
            // Both are numbers to libreswan, and the latter is only ever filled in.
            (_, "keyingtries") if !is_filled_in => self.number("keyingtries", &setting.value),
            (_, "keyingtries") => {
                self.number("keyingtries", &format!("{} # {FILLED_IN}", setting.value));
            }
            (_, key) => return self.line(key, &setting.value, is_filled_in),
        }
        Ok(())
    }

    /// Adds what `nm-auto-defaults` has the service write beside the keys of the profile.
    fn filled_in(&mut self, connection: &Connection) -> Result<(), Unexportable> {
        let family = connection.host_family().unwrap_or(Family::Ipv4);
        for (key, subnet) in [
            ("leftsubnet", connection.default_local_subnet(family)),
            ("rightsubnet", connection.default_remote_subnet(family)),
        ] {
            if let Some(everything) = subnet {
                self.line(key, &everything.to_string(), true)?;
            }
        }
        if !connection.uses_xauth() {
            return Ok(());
        }
        for (key, value) in keys::XAUTH {
            let is_wanted = match key {
                "aggrmode" => connection.is_aggressive(),
                // The name that libreswan 5 gives it; one is enough.
                "aggressive" => false,
                "rightmodecfgserver" | "modecfgpull" => connection.is_mode_config_client(),
                _ => true,
            };
            if is_wanted {
                self.line(key, value, true)?;
            }
        }
        Ok(())
    }

    /// Says which lines ipsec.secrets(5) needs, with the secrets left out.
    fn secrets(&mut self, connection: &Connection) {
        if connection.uses_psk() {
            let left = index(connection.leftid.as_ref(), &connection.left.to_string());
            let right = index(connection.rightid.as_ref(), &connection.right.to_string());
            self.needed("the pre-shared key", &format!("{left} {right} : PSK \"...\""));
        }
        if connection.uses_xauth() && connection.ike_version() == IkeVersion::V1 {
            let user = connection.leftusername.as_ref().map(ToString::to_string);
            let user = user.unwrap_or_else(|| "USER".into());
            self.needed("the password", &format!("@{user} : XAUTH \"...\""));
        }
    }

    fn needed(&mut self, what: &str, line: &str) {
        let _ = writeln!(
            self.text,
            "\t# For {what}, a file /etc/ipsec.d/*.secrets needs the line\n\t#   {line}"
        );
    }
}

/// What a pre-shared key is found by: an end's identity, which is its address if it has no other.
fn index(identity: Option<&Identity>, address: &str) -> String {
    match identity {
        Some(identity) => match identity.kind() {
            IdentityKind::FromCertificate | IdentityKind::None => address.to_owned(),
            IdentityKind::DistinguishedName => format!("\"{identity}\""),
            _ => identity.to_string(),
        },
        None if address.starts_with('%') => "%any".into(),
        None => address.to_owned(),
    }
}
