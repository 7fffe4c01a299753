//! What keeps a document from being read, as findings.

use nmstate_ipsec_core::profile::InvalidProfile;

use super::{Finding, Severity};
use crate::document::{Error, Problem};

/// The finding that a fault is.
pub(super) fn finding(fault: Error) -> Finding {
    Finding {
        code: code(&fault.problem),
        severity: Severity::Error,
        text: fault.problem.to_string(),
        file: fault.file,
        location: fault.location,
        path: fault.path,
    }
}

fn code(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unreadable(_) => "unreadable",
        Problem::SymbolicLink => "symbolic-link",
        Problem::Directory => "directory",
        Problem::TooLarge => "too-large",
        Problem::NotUtf8 => "not-utf8",
        Problem::ControlCharacter(_) => "control-character",
        Problem::Empty => "empty",
        Problem::Syntax(_) => "syntax",
        Problem::Unsupported(_) => "unsupported-yaml",
        Problem::TooManyNodes => "too-many-values",
        Problem::TooDeep => "too-deep",
        Problem::DuplicateKey { .. } => "duplicate-key",
        Problem::Placeholder(_) | Problem::SecretPlaceholder => "placeholder",
        Problem::UnknownKey { .. } => "unknown-key",
        Problem::MissingKey { .. } => "missing-key",
        Problem::Unexpected { .. } => "wrong-kind",
        Problem::NotQuoted { .. } => "not-quoted",
        Problem::Value { .. } => "invalid-value",
        Problem::DuplicateInterface { .. } => "duplicate-interface",
        Problem::Connection(fault) => code_of_connection(fault),
        Problem::More => "more-faults",
    }
}

fn code_of_connection(fault: &InvalidProfile) -> &'static str {
    match fault {
        InvalidProfile::Value { key, .. } if matches!(key.as_str(), "ike" | "esp") => "unknown-algorithm",
        InvalidProfile::UnknownKey { .. } => "unknown-key",
        InvalidProfile::MissingKey { .. } => "missing-key",
        InvalidProfile::Conflict { .. } => "contradictory-keys",
        InvalidProfile::MisplacedSecret { .. } => "misplaced-secret",
        _ => "invalid-value",
    }
}
