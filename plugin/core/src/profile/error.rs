//! What is wrong with a profile.

use crate::connection::Expected;

/// Most characters of a faulty value or key that are shown.
const MAX_SHOWN: usize = 80;

/// Why a profile cannot be used. The text is one line of printable characters and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProfile {
    /// The value is not of the key's form.
    #[error("invalid value \"{value}\" for key '{key}': expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value, escaped and shortened.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The value of a secret, or of something that is no text, is not of the key's form.
    #[error("invalid value for key '{key}': expected {expected}")]
    HiddenValue {
        /// The key.
        key: String,
        /// What would be right.
        expected: &'static str,
    },
    /// There is no such key.
    #[error("property '{key}' invalid or not supported{}", hint(*.suggestion))]
    UnknownKey {
        /// The key, escaped and shortened.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A key is missing.
    #[error("missing key '{key}': expected {expected}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// Two keys contradict each other.
    #[error("keys '{first}' and '{second}' {reason}")]
    Conflict {
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// What is wrong with them together.
        reason: &'static str,
    },
    /// A secret is kept where it is not protected.
    #[error("key '{key}' is a secret and belongs to vpn.secrets, not to vpn.data")]
    MisplacedSecret {
        /// The key.
        key: String,
    },
    /// The profile is one of another service.
    #[error("invalid value \"{found}\" for key 'service-type': expected {expected}")]
    OtherService {
        /// This service.
        expected: &'static str,
        /// What `vpn.service-type` says.
        found: String,
    },
}

impl InvalidProfile {
    /// The key that is at fault.
    pub fn key(&self) -> &str {
        match self {
            Self::Value { key, .. }
            | Self::HiddenValue { key, .. }
            | Self::UnknownKey { key, .. }
            | Self::MisplacedSecret { key } => key,
            Self::MissingKey { key, .. } => key,
            Self::Conflict { first, .. } => first,
            Self::OtherService { .. } => "service-type",
        }
    }

    pub(crate) fn value(key: &str, value: &str, expected: Expected) -> Self {
        Self::Value {
            key: shown(key),
            value: shown(value),
            expected: expected.0,
        }
    }

    pub(crate) fn hidden(key: &str, expected: &'static str) -> Self {
        Self::HiddenValue {
            key: shown(key),
            expected,
        }
    }

    pub(crate) fn unknown(key: &str, suggestion: Option<&'static str>) -> Self {
        Self::UnknownKey {
            key: shown(key),
            suggestion,
        }
    }

    pub(crate) fn missing(key: &'static str, expected: &'static str) -> Self {
        Self::MissingKey { key, expected }
    }

    pub(crate) fn conflict(first: &str, second: &str, reason: &'static str) -> Self {
        Self::Conflict {
            first: shown(first),
            second: shown(second),
            reason,
        }
    }

    pub(crate) fn misplaced_secret(key: &str) -> Self {
        Self::MisplacedSecret { key: shown(key) }
    }

    pub(crate) fn other_service(expected: &'static str, found: &str) -> Self {
        Self::OtherService {
            expected,
            found: shown(found),
        }
    }
}

fn hint(suggestion: Option<&'static str>) -> String {
    suggestion
        .map(|key| format!("; did you mean '{key}'?"))
        .unwrap_or_default()
}

/// `text` escaped and shortened, so that it can stand in one line of a log.
pub fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_key_value_and_what_would_be_right() {
        let expected = Expected("an IP address, a host name or %any");
        assert_eq!(
            InvalidProfile::value("right", "192.0.2.300", expected).to_string(),
            "invalid value \"192.0.2.300\" for key 'right': expected an IP address, a host name or %any"
        );
        assert_eq!(
            InvalidProfile::unknown("foo", None).to_string(),
            "property 'foo' invalid or not supported"
        );
        assert_eq!(
            InvalidProfile::unknown("lefid", Some("leftid")).to_string(),
            "property 'lefid' invalid or not supported; did you mean 'leftid'?"
        );
    }

    #[test]
    fn hostile_values_are_escaped_and_shortened() {
        let text = format!("a\n\u{1b}[31m\"{}", "x".repeat(10_000));
        let fault = InvalidProfile::value(&text, &text, Expected("nothing")).to_string();
        assert!(fault.len() < 300);
        assert!(fault.contains("a\\n\\u{1b}[31m\\\""));
        assert!(!fault.chars().any(char::is_control));
    }
}
