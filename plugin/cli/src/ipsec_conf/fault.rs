//! What is wrong with a configuration, what is said of it, and where.

use std::fmt;

use nmstate_ipsec_core::profile::shown;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named or found by an include.
    pub file: String,
    /// The line, counted from 1; 0 if the file as a whole is meant.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.file))?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
        }
        Ok(())
    }
}

/// One line about a place: a fault, or a remark on what becomes of what stands there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {text}")]
pub struct Said {
    /// Where.
    pub place: Place,
    /// What; printable, in one line.
    pub text: String,
    /// What kind of remark it is, for programs: `no-equivalent`, or nothing.
    pub code: &'static str,
}

impl Said {
    /// Says `text` of `place`.
    pub(super) fn at(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            text: text.into(),
            code: "",
        }
    }

    /// Says of a key that it is left out.
    pub(super) fn left_out(place: &Place, text: impl Into<String>) -> Self {
        Self {
            code: "no-equivalent",
            ..Self::at(place, text)
        }
    }
}
