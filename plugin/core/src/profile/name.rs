//! What a profile is called.

use std::{borrow::Borrow, fmt, str::FromStr};

use crate::connection::{Expected, value::is_printable};

/// A profile's name (`connection.id`): printable, of bounded length, and no path that leads anywhere. A slash may be in
/// it, as in `Work/Home`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(String);

/// Longest name, in bytes.
const MAX_ID: usize = 255;

impl ConnectionId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectionId {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let leads_elsewhere = text.starts_with('/') || text.split('/').any(|part| matches!(part, "." | ".."));
        if !text.is_empty() && text.len() <= MAX_ID && text.chars().all(is_printable) && !leads_elsewhere {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected("a name of at most 255 bytes, printable and not a path"))
        }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A profile's UUID: 8-4-4-4-12 lower-case hexadecimal digits, so that it is safe in a file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(String);

impl Uuid {
    /// The UUID.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

/// Maps by UUID are asked by those that NetworkManager names.
impl Borrow<str> for Uuid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uuid {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_of_form = text.len() == 36
            && text.bytes().enumerate().all(|(position, byte)| match position {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => is_digit(byte),
            });
        if is_of_form {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected("a UUID in lower case"))
        }
    }
}

impl TryFrom<&str> for Uuid {
    type Error = Expected;

    fn try_from(text: &str) -> Result<Self, Expected> {
        text.parse()
    }
}

impl TryFrom<&str> for ConnectionId {
    type Error = Expected;

    fn try_from(text: &str) -> Result<Self, Expected> {
        text.parse()
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_strict() {
        let uuid: Uuid = "1f2e3d4c-0000-4000-8000-00000000000a".parse().unwrap();
        assert_eq!(uuid.short(), "1f2e3d4c");
        for text in [
            "",
            "1F2E3D4C-0000-4000-8000-00000000000A",
            "1f2e3d4c00004000800000000000000a",
            "1f2e3d4c-0000-4000-8000-00000000000",
            "../../../../../../../etc/ipsec.conf0",
            "1f2e3d4c-0000-4000-8000-00000000000\n",
            "1f2e3d4c-0000-4000-8000-0000000000é",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_printable() {
        assert!("hosta conn ä".parse::<ConnectionId>().is_ok());
        assert!("Work/Home ..".parse::<ConnectionId>().is_ok());
        for text in [
            "",
            "a\nb",
            "\u{7f}",
            "a\u{202e}b",
            "..",
            "../a",
            "a/../b",
            "/a",
            "/",
            &"a".repeat(256),
        ] {
            assert!(text.parse::<ConnectionId>().is_err(), "{text:?}");
        }
    }
}
