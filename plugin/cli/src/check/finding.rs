//! What is found, and how many.

use std::fmt;

use nmstate_ipsec_core::profile::shown;

use crate::document::Location;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing is wrong here.
    Info,
    /// It works, and is probably not what is wanted.
    Warning,
    /// It is refused, cannot work, or protects nothing.
    Error,
}

impl Severity {
    /// Its name in findings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding: where, what and why, and a way out. It is one line and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is; it stays the same from version to version.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// Where in the file; nothing if it is of the file as a whole.
    pub location: Option<Location>,
    /// The way to the value in its document; empty at its top.
    pub path: String,
    /// What, why, and a way out.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", shown(&self.file))?;
        if let Some(Location { line, column }) = self.location {
            write!(formatter, "{line}:{column}:")?;
        }
        write!(formatter, " {}[{}]:", self.severity.name(), self.code)?;
        if !self.path.is_empty() {
            write!(formatter, " {}:", self.path)?;
        }
        write!(formatter, " {}", self.text)
    }
}

/// How much was looked at, and how many findings there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: usize,
    /// Documents that could be read.
    pub documents: usize,
    /// Findings of [`Severity::Error`].
    pub errors: usize,
    /// Findings of [`Severity::Warning`].
    pub warnings: usize,
    /// Findings of [`Severity::Info`].
    pub infos: usize,
}

impl Summary {
    /// The worst that was found.
    pub fn worst(&self) -> Option<Severity> {
        let counts = [
            (self.errors, Severity::Error),
            (self.warnings, Severity::Warning),
            (self.infos, Severity::Info),
        ];
        let worst = counts.into_iter().find(|(count, _)| *count > 0);
        worst.map(|(_, severity)| severity)
    }

    pub(super) fn count(&mut self, finding: &Finding) {
        match finding.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Info => self.infos += 1,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.files, "file"),
            (self.documents, "good document"),
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.infos, "info"),
        ]
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
        let [files, documents, findings @ ..] = &counts;
        write!(formatter, "{files}, {documents}: {}", findings.join(", "))
    }
}
