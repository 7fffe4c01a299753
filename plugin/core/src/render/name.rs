//! The name of a connection in pluto.

use std::fmt;

use crate::profile::{ConnectionId, Uuid};

/// Most characters of the profile's name that are kept.
const MAX_ID: usize = 64;

/// What pluto calls a connection: `<interface>-<first 8 digits of the UUID>`.
///
/// It begins with a letter and is made of ASCII letters, digits, `.`, `_` and `-` (ipsec.conf(5) allows no others), so it is
/// safe as an argument and in a file's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlutoName(String);

impl PlutoName {
    /// The name for a profile. Characters that pluto does not take become `_`.
    pub fn new(id: &ConnectionId, uuid: &Uuid) -> Self {
        let mut name = String::new();
        if !id.as_str().starts_with(|first: char| first.is_ascii_alphabetic()) {
            name.push_str("c_");
        }
        name.extend(id.as_str().chars().take(MAX_ID).map(|character| match character {
            '.' | '_' | '-' => character,
            _ if character.is_ascii_alphanumeric() => character,
            _ => '_',
        }));
        name.push('-');
        name.push_str(uuid.short());
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether pluto's connection `other` is this one or one of those that it makes of it: `name/1x2` for each pair of
    /// `leftsubnets` and `rightsubnets`, `name[1]` for each peer of `%any`.
    pub fn owns(&self, other: &str) -> bool {
        other
            .strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('['))
    }
}

impl fmt::Display for PlutoName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str) -> String {
        let uuid = "1f2e3d4c-0000-4000-8000-00000000000a".parse().unwrap();
        PlutoName::new(&id.parse().unwrap(), &uuid).to_string()
    }

    #[test]
    fn names_are_recognisable_and_safe() {
        assert_eq!(name("hosta_conn"), "hosta_conn-1f2e3d4c");
        assert_eq!(name("--ctlsocket x"), "c_--ctlsocket_x-1f2e3d4c");
        assert_eq!(name("%default"), "c__default-1f2e3d4c");
        assert_eq!(name("7/..a/é"), "c_7_..a__-1f2e3d4c");
        assert_eq!(name(&"a".repeat(255)).len(), MAX_ID + 9);
    }

    #[test]
    fn names_own_their_instances() {
        let uuid = "1f2e3d4c-0000-4000-8000-00000000000a".parse().unwrap();
        let name = PlutoName::new(&"a".parse().unwrap(), &uuid);
        for (other, owned) in [
            ("a-1f2e3d4c", true),
            ("a-1f2e3d4c/1x2", true),
            ("a-1f2e3d4c[3]", true),
            ("a-1f2e3d4c5", false),
            ("a", false),
            ("b-1f2e3d4c", false),
        ] {
            assert_eq!(name.owns(other), owned, "{other}");
        }
    }
}
