//! Which libreswan is installed.

use std::{fmt, str::FromStr};

/// A version of libreswan, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LibreswanVersion {
    /// The number before the dot.
    pub major: u16,
    /// The number behind the dot.
    pub minor: u16,
}

/// The text names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no version of libreswan in the text")]
pub struct NoVersion;

impl LibreswanVersion {
    /// The first with `keyexchange` in place of `ikev2` in its documentation.
    pub(super) const KEYEXCHANGE: Self = Self { major: 5, minor: 2 };
    /// The first with several selectors in `leftsubnet`, without `dpdaction`, with `nic-offload=packet`.
    pub(super) const FIVE: Self = Self { major: 5, minor: 0 };
}

impl FromStr for LibreswanVersion {
    type Err = NoVersion;

    /// Finds the version in what `ipsec --version`, `whack --version` or `pluto --version` prints, such as
    /// `Linux Libreswan 5.2 (XFRM) on 6.12.1` or `Libreswan U4.10/K6.1`.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let line = text.lines().next().unwrap_or_default();
        let lower = line.to_ascii_lowercase();
        let rest = lower
            .split_once("libreswan")
            .map_or(lower.as_str(), |(_, rest)| rest);
        rest.split_whitespace().find_map(parse_word).ok_or(NoVersion)
    }
}

fn parse_word(word: &str) -> Option<LibreswanVersion> {
    let (major, rest) = word.trim_start_matches(['v', 'u', '(']).split_once('.')?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let minor = &rest[..end];
    (is_number(major) && is_number(minor)).then(|| {
        Some(LibreswanVersion {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    })?
}

impl fmt::Display for LibreswanVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        for (text, major, minor) in [
            ("Linux Libreswan 5.2 (XFRM) on 6.12.1-cloud-amd64", 5, 2),
            (
                "Linux Libreswan 4.10 (XFRM) on 6.1.0\nSee `ipsec --copyright'",
                4,
                10,
            ),
            ("Libreswan 5.2", 5, 2),
            ("Libreswan v5.1-rc1", 5, 1),
            (
                "Linux Libreswan U4.12/K(no kernel code presently loaded) on 5.14",
                4,
                12,
            ),
            ("4.10", 4, 10),
        ] {
            assert_eq!(text.parse(), Ok(LibreswanVersion { major, minor }), "{text}");
        }
        for text in [
            "",
            "Libreswan",
            "Linux strongSwan",
            "libreswan x.y",
            "5",
            "99999999.1",
        ] {
            assert_eq!(text.parse::<LibreswanVersion>(), Err(NoVersion), "{text}");
        }
    }
}
