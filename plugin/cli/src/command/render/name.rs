//! Names in a cluster.

use std::{fmt, str::FromStr};

/// Longest value of a label, and so of a pool's name, which is one in each MachineConfig.
const MAX_LABEL: usize = 63;

/// Longest name of an object.
const MAX_OBJECT: usize = 253;

/// Name of a machine config pool, which is the value of a label too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolName(String);

/// Name of an object (a DNS subdomain, RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName(String);

/// What a name must be.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected the name of a {what}: lower-case letters, digits, '-' and '.', at most {max} characters, with a letter or digit at both ends and beside each '.'"
)]
pub struct InvalidName {
    what: &'static str,
    max: usize,
}

impl PoolName {
    /// The name of an object that belongs to the pool, `99-<pool>-<purpose>`.
    pub(super) fn object(&self, purpose: &str) -> ObjectName {
        ObjectName(format!("99-{}-{purpose}", self.0))
    }
}

impl FromStr for PoolName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        subdomain(text, "machine config pool", MAX_LABEL).map(Self)
    }
}

impl FromStr for ObjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        subdomain(text, "MachineConfig", MAX_OBJECT).map(Self)
    }
}

fn subdomain(text: &str, what: &'static str, max: usize) -> Result<String, InvalidName> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|byte| is_inner(*byte))
            && bytes.last().is_some_and(|byte| is_inner(*byte))
            && bytes.iter().all(|byte| is_inner(*byte) || *byte == b'-')
    };
    if text.len() <= max && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err(InvalidName { what, max })
}

impl fmt::Display for PoolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_a_name_that_objects_and_labels_can_have() {
        for name in ["worker", "master", "infra-2", "a.b", "0", &"p".repeat(63)] {
            assert!(name.parse::<PoolName>().is_ok(), "{name}");
        }
        for name in [
            "", "Worker", "a_b", "-a", "a-", ".a", "a..b", "a.-b", "a b", "a\nb", "é",
        ] {
            assert!(name.parse::<PoolName>().is_err(), "{name}");
        }
        let long = "p".repeat(64);
        assert!(long.parse::<PoolName>().is_err() && long.parse::<ObjectName>().is_ok());
        assert!("p".repeat(254).parse::<ObjectName>().is_err());
    }
}
