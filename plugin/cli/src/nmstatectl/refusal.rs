//! Errors with upstream's words and exit statuses.

use std::{fmt, io};

use nmstate::NmstateError;

use crate::command::Fault;

/// Exit status of most errors.
const FAILURE: u8 = 1;
/// Exit status for data that cannot be read (`EX_DATAERR` of sysexits.h).
const DATA_ERROR: u8 = 65;

/// Why nothing was printed: what goes to standard error, and the exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u8,
    pub(crate) text: String,
}

impl Refusal {
    /// A failure.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            status: FAILURE,
            text: text.into(),
        }
    }

    /// Data that cannot be read.
    pub(crate) fn of_data(text: impl Into<String>) -> Self {
        Self {
            status: DATA_ERROR,
            text: text.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<NmstateError> for Refusal {
    fn from(error: NmstateError) -> Self {
        Self::new(format!("NmstateError: {error}"))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(format!("std::io::Error: {error}"))
    }
}

impl From<serde_yaml::Error> for Refusal {
    fn from(error: serde_yaml::Error) -> Self {
        Self::of_data(format!("serde_yaml::Error: {error}"))
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::of_data(format!("serde_json::Error {error}"))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::new(fault.to_string())
    }
}
