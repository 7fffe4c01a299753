//! The configuration that `addconn` reads.

use std::{fmt::Write, net::IpAddr, path::Path};

use super::{LeftEnd, LibreswanVersion, RenderOptions, ResolvedEnds, RightEnd};
use crate::{
    connection::{Connection, Family, IkeVersion, Rendering, Selectors, Setting, Subnet, Subnets, value},
    profile::Profile,
};

/// Why a profile cannot be written for this libreswan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// This libreswan cannot do what the key asks for.
    #[error("key '{key}': {reason}, which libreswan {version} cannot do")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What it asks for.
        reason: &'static str,
        /// The libreswan that is installed.
        version: LibreswanVersion,
    },
    /// A value cannot stand between quotes; the types should have kept it out.
    #[error("the value of '{key}' cannot be written into a configuration of libreswan")]
    Unwritable {
        /// The key.
        key: &'static str,
    },
    /// A path of this host cannot be written.
    #[error("the path {path} cannot be written into a configuration of libreswan")]
    UnwritablePath {
        /// The path, escaped.
        path: String,
    },
}

/// Renders the configuration of one connection, to be read by `addconn --config -`.
///
/// The connection is only added (`auto=add`): what to do with it is the caller's business. There is no `config setup`:
/// pluto is configured already.
///
/// # Errors
/// The profile asks for something that this libreswan cannot do.
pub fn ipsec_conf(
    profile: &Profile,
    ends: &ResolvedEnds,
    version: LibreswanVersion,
    options: &RenderOptions<'_>,
) -> Result<String, RenderError> {
    let mut text = String::new();
    if let Some(path) = options.crypto_policy {
        let _ = writeln!(text, "include {}\n", word_path(path)?);
    }
    let _ = writeln!(text, "conn {}", profile.pluto_name());
    let mut section = Section { text, version };
    section.line("auto", "add")?;
    section.line("left", &left(ends.left))?;
    section.line("right", &right(ends.right))?;
    let family = ends.family().unwrap_or(Family::Ipv4);
    let defaults = [
        ("leftsubnet", profile.connection.default_local_subnet(family)),
        ("rightsubnet", profile.connection.default_remote_subnet(family)),
    ];
    for (key, subnet) in defaults {
        if let Some(everything) = subnet {
            section.line(key, &everything.to_string())?;
        }
    }
    section.sides_of_subnets(&profile.connection, ends)?;
    for setting in profile.connection.settings() {
        match setting.rendering {
            Rendering::Same => section.line(setting.key, &setting.value)?,
            Rendering::Number => section.number(setting.key, &setting.value)?,
            Rendering::Special => section.special(&profile.connection, &setting)?,
            Rendering::Never => {}
        }
    }
    section.ikev1_client(&profile.connection)?;
    section.line("leftupdown", &word_path(options.updown)?)?;
    Ok(section.text)
}

fn left(end: LeftEnd) -> String {
    match end {
        LeftEnd::DefaultRoute => "%defaultroute".into(),
        LeftEnd::Ip(address) => address.to_string(),
    }
}

fn right(end: RightEnd) -> String {
    match end {
        RightEnd::Any => "%any".into(),
        RightEnd::Ip(address) => address.to_string(),
    }
}

/// A path without anything that the configuration's grammar, a shell or a glob reads as more than a path.
fn word_path(path: &Path) -> Result<String, RenderError> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+');
    match path.to_str() {
        Some(text) if path.is_absolute() && text.bytes().all(is_plain) => Ok(text.to_owned()),
        _ => Err(RenderError::UnwritablePath {
            path: path.display().to_string().escape_debug().to_string(),
        }),
    }
}

/// A `conn` section in the making.
struct Section {
    text: String,
    version: LibreswanVersion,
}

impl Section {
    /// Adds a line with a number or a bare word.
    fn number(&mut self, key: &'static str, value: &str) -> Result<(), RenderError> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(RenderError::Unwritable { key });
        }
        let _ = writeln!(self.text, "\t{key}={value}");
        Ok(())
    }

    /// Adds a line with any other value.
    fn line(&mut self, key: &'static str, value: &str) -> Result<(), RenderError> {
        if !value.chars().all(value::is_quotable) {
            return Err(RenderError::Unwritable { key });
        }
        let _ = writeln!(self.text, "\t{key}=\"{value}\"");
        Ok(())
    }

    fn unsupported(&self, key: &'static str, reason: &'static str) -> RenderError {
        RenderError::Unsupported {
            key,
            reason,
            version: self.version,
        }
    }

    fn is_five(&self) -> bool {
        self.version >= LibreswanVersion::FIVE
    }

    /// Adds a key whose name, value or presence depend on the version.
    fn special(&mut self, connection: &Connection, setting: &Setting) -> Result<(), RenderError> {
        match setting.key {
            "ikev2" => self.ike_version(connection.ike_version()),
            // libreswan 5 knows the one no more, and tries without end whatever the other says.
            "dpdaction" | "keyingtries" if self.is_five() => Ok(()),
            "keyingtries" => self.number("keyingtries", &setting.value),
            // Both versions warn of what is of no use to IKEv2.
            "dpdtimeout" if connection.ike_version() == IkeVersion::V2 => Ok(()),
            "fragmentation" if connection.ike_version() == IkeVersion::V2 && setting.value == "force" => {
                self.line("fragmentation", "yes")
            }
            "leftsubnet" => self.selectors("leftsubnet", connection.leftsubnet.as_ref()),
            "rightsubnet" => self.selectors("rightsubnet", connection.rightsubnet.as_ref()),
            "nic-offload" => self.nic_offload(&setting.value),
            _ => self.line(setting.key, &setting.value),
        }
    }

    fn ike_version(&mut self, ike: IkeVersion) -> Result<(), RenderError> {
        match (self.version >= LibreswanVersion::KEYEXCHANGE, ike) {
            (true, IkeVersion::V2) => self.line("keyexchange", "ikev2"),
            (true, IkeVersion::V1) => self.line("keyexchange", "ikev1"),
            (false, IkeVersion::V2) => self.line("ikev2", "insist"),
            (false, IkeVersion::V1) => self.line("ikev2", "no"),
        }
    }

    /// Adds what libreswan 4 needs beside `leftsubnets` or `rightsubnets`: without the other side's subnet it drops the
    /// connection without a word, and lists it reads in the family of the ends alone.
    fn sides_of_subnets(&mut self, connection: &Connection, ends: &ResolvedEnds) -> Result<(), RenderError> {
        let (left, right) = (connection.leftsubnets.as_ref(), connection.rightsubnets.as_ref());
        if self.is_five() {
            return Ok(());
        }
        for (key, list) in [("leftsubnets", left), ("rightsubnets", right)] {
            let mut families = list
                .into_iter()
                .flat_map(Subnets::as_slice)
                .map(|subnet| Some(subnet.family()));
            if families.any(|family| family != ends.family()) {
                return Err(
                    self.unsupported(key, "a list of subnets of another address family than the ends'")
                );
            }
        }
        if right.is_some() && left.is_none() && connection.leftsubnet.is_none() {
            return match ends.left {
                LeftEnd::Ip(address) if !connection.is_mode_config_client() => {
                    self.line("leftsubnet", &Subnet::host(address).to_string())
                }
                _ => Err(self.unsupported("rightsubnets", "a list of subnets without leftsubnet")),
            };
        }
        let has_remote =
            connection.rightsubnet.is_some() || connection.default_remote_subnet(Family::Ipv4).is_some();
        if left.is_some() && right.is_none() && !has_remote {
            return match ends.right {
                RightEnd::Ip(address) => self.line("rightsubnet", &Subnet::host(address).to_string()),
                RightEnd::Any => {
                    Err(self.unsupported("leftsubnets", "a list of subnets without rightsubnet"))
                }
            };
        }
        Ok(())
    }

    fn selectors(&mut self, key: &'static str, selectors: Option<&Selectors>) -> Result<(), RenderError> {
        let Some(selectors) = selectors else {
            return Ok(());
        };
        if !self.is_five() && !selectors.is_simple() {
            return Err(self.unsupported(key, "several subnets, or a protocol and port with one"));
        }
        self.line(key, &selectors.to_string())
    }

    fn nic_offload(&mut self, value: &str) -> Result<(), RenderError> {
        match (self.is_five(), value) {
            // "As far as the card can" is no choice of libreswan 5; without the key it works without the card.
            (true, "auto") => Ok(()),
            (true, "yes") => self.line("nic-offload", "crypto"),
            (false, "crypto") => self.line("nic-offload", "yes"),
            (false, "packet") => {
                Err(self.unsupported("nic-offload", "leaving all of ESP to the network card"))
            }
            _ => self.line("nic-offload", value),
        }
    }

    /// What `nm-auto-defaults` makes of IKEv1: the client of a Cisco-like gateway.
    fn ikev1_client(&mut self, connection: &Connection) -> Result<(), RenderError> {
        if !connection.uses_xauth() {
            return Ok(());
        }
        if connection.is_aggressive() {
            self.line(if self.is_five() { "aggressive" } else { "aggrmode" }, "yes")?;
        }
        self.line("leftxauthclient", "yes")?;
        self.line("rightxauthserver", "yes")?;
        self.line("remote-peer-type", "cisco")?;
        self.line("cisco-unity", "yes")?;
        if connection.is_mode_config_client() {
            self.line("rightmodecfgserver", "yes")?;
            self.line("modecfgpull", "yes")?;
        }
        Ok(())
    }
}

/// The address of an end as an identity that pluto gives it when the profile names none.
pub(super) fn identity_of_address(address: Option<IpAddr>, family: Option<Family>) -> String {
    match (address, family) {
        (Some(address), _) => address.to_string(),
        (None, Some(Family::Ipv6)) => "%any6".into(),
        (None, _) => "%any".into(),
    }
}
