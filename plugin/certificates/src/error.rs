//! Why something was not done: what was attempted, on what, why it failed, and what to do next.

use std::path::{Path, PathBuf};

use nmstate_ipsec_core::command::CommandError;

use crate::judge::Finding;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not what it was given for.
    #[error("{}: {detail}", path.display())]
    File {
        /// Stable name of the fault.
        code: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        detail: String,
    },
    /// A name cannot be a nickname.
    #[error("{}; give another with --nickname", self.cause())]
    Nickname {
        /// The name.
        text: String,
        /// Why not.
        detail: String,
    },
    /// The certificate of a bundle is of no use to libreswan.
    #[error("{}: not imported: {}", path.display(), in_one_line(findings))]
    Unfit {
        /// The bundle.
        path: PathBuf,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },
    /// The subject is in the database under another nickname.
    #[error(
        "'{nickname}' cannot be imported into {database}: it has the subject '{subject}' under the nickname '{other}', and NSS keeps one nickname for a subject; import it as '{other}' (--nickname), or remove '{other}' first"
    )]
    Collision {
        /// The nickname that was asked for.
        nickname: String,
        /// The nickname that the subject has.
        other: String,
        /// The subject of both.
        subject: String,
        /// The directory of the database.
        database: String,
    },
    /// The database is not usable as it is.
    #[error("the NSS database in {}: {detail}", dir.display())]
    Database {
        /// Stable name of the fault.
        code: &'static str,
        /// The directory of the database.
        dir: PathBuf,
        /// What is wrong, and what to do.
        detail: String,
    },
    /// A program of NSS failed and changed nothing.
    #[error("failed to {attempt} in {}: {source}{}", dir.display(), advice(hint))]
    Tool {
        /// What was attempted.
        attempt: String,
        /// The directory of the database.
        dir: PathBuf,
        /// What it said.
        #[source]
        source: Box<CommandError>,
        /// What to do.
        hint: String,
    },
    /// A change failed in the middle.
    #[error("failed to {attempt} in {}: {cause}; {}", dir.display(), outcome(remains))]
    Change {
        /// What was attempted.
        attempt: String,
        /// The directory of the database.
        dir: PathBuf,
        /// Why it failed.
        cause: String,
        /// What could not be undone.
        remains: Vec<String>,
    },
    /// There is no such certificate.
    #[error(
        "the NSS database in {} has no certificate '{nickname}'; see 'nmstate-ipsec cert list'", dir.display()
    )]
    Missing {
        /// The nickname.
        nickname: String,
        /// The directory of the database.
        dir: PathBuf,
    },
    /// No file is where the bundle is expected.
    #[error(
        "there is no bundle of the certificate '{nickname}': looked for {}",
        listed(places)
    )]
    NoBundle {
        /// The nickname.
        nickname: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// Something on this host failed.
    #[error("failed to {attempt}: {cause}")]
    Local {
        /// What was attempted.
        attempt: String,
        /// Why it failed.
        cause: String,
    },
}

impl Error {
    /// Stable name of the fault, for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::File { code, .. } | Self::Database { code, .. } => code,
            Self::Nickname { .. } => "nickname",
            Self::Unfit { findings, .. } => findings.first().map_or("unfit", |finding| &finding.code),
            Self::Collision { .. } => "collision",
            Self::Tool { .. } => "tool",
            Self::Change { .. } => "change",
            Self::Missing { .. } => "missing",
            Self::NoBundle { .. } => "no-bundle",
            Self::Local { .. } => "local",
        }
    }

    /// Whether what was given is at fault, and not this host or its database.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::File { .. } | Self::Nickname { .. } | Self::Unfit { .. } | Self::Collision { .. }
        )
    }

    /// The same of a bundle that was imported without anybody's asking, so that it is not known which one is meant.
    pub fn of_bundle(&self, path: &Path) -> String {
        let shown = path.display();
        match self {
            // What is wrong is a file, which they name.
            Self::File { .. } | Self::Unfit { .. } => self.to_string(),
            Self::Nickname { .. } => format!("{shown}: {}; give the file another name", self.cause()),
            other => format!("{shown}: {other}"),
        }
    }

    /// Why, without what was attempted: for where that is said already, and without what to do about a nickname.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Tool { source, hint, .. } => format!("{source}{}", advice(hint)),
            Self::Local { cause, .. } => cause.clone(),
            Self::Nickname { text, detail } => {
                format!("'{}' cannot be the nickname: {detail}", text.escape_debug())
            }
            other => other.to_string(),
        }
    }

    pub(crate) fn local(attempt: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Local {
            attempt: attempt.into(),
            cause: cause.to_string(),
        }
    }

    pub(crate) fn file(code: &'static str, path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self::File {
            code,
            path: path.into(),
            detail: detail.into(),
        }
    }
}

fn listed(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    places.join(" and ")
}

fn in_one_line(findings: &[Finding]) -> String {
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    texts.join("; ")
}

fn advice(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!("; {hint}")
    }
}

fn outcome(remains: &[String]) -> String {
    if remains.is_empty() {
        "everything in it is as it was".to_owned()
    } else {
        format!("not everything could be undone: {}", remains.join("; "))
    }
}
