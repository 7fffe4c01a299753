//! libreswan's certificates, as far as the daemon is concerned with them. The work on the NSS database is done by a program
//! of its own, which ends with it: bundles and OpenSSL stay out of the process that lives on.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nmstate_ipsec_core::{
    command::{Command, CommandError, Output},
    connection::Nickname,
    reason::{EXPIRY_WARNING_DAYS, Reason},
};
use serde::Deserialize;
use serde_json::json;

use crate::{history, nss};

/// The program, installed beside this one.
const PROGRAM: &str = "/usr/libexec/nmstate-ipsec-certificates";

/// How long it may take: each of NSS's own programs has two minutes of it, and is killed with it.
const TIME_OUT: Duration = Duration::from_secs(180);

/// How long somebody who only looks waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of its answer: ten thousand certificates fit.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

const DAY: i64 = 24 * 3600;

/// The certificates of this host.
#[derive(Debug)]
pub struct Certificates {
    program: PathBuf,
    known: Mutex<Known>,
    /// Held while the database is listed, so that one who looks does it for all.
    listing: tokio::sync::Mutex<()>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            program: PROGRAM.into(),
            known: Mutex::default(),
            listing: tokio::sync::Mutex::default(),
        }
    }
}

/// What was in the database when it was looked at last.
#[derive(Debug, Default)]
struct Known {
    /// What the database's file looked like then.
    stamp: Option<Stamp>,
    validity: HashMap<String, Validity>,
}

/// Time of the last change in seconds and nanoseconds, size, and number of the file.
type Stamp = (i64, i64, u64, u64);

/// From when until when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
}

impl Validity {
    /// Why it cannot be used now, if so.
    pub fn fault(self, nickname: &str) -> Option<Reason> {
        let now = seconds();
        let detail = if self.not_after < now {
            format!("'{nickname}' expired {} days ago", (now - self.not_after) / DAY)
        } else if self.not_before > now {
            format!(
                "'{nickname}' becomes valid in {} days",
                (self.not_before - now) / DAY
            )
        } else {
            return None;
        };
        Some(Reason::CertificateExpired { detail })
    }

    /// Whole days until it expires, if that is soon.
    fn warning(self) -> Option<i64> {
        let days = (self.not_after - seconds()).div_euclid(DAY);
        (days < EXPIRY_WARNING_DAYS).then_some(days)
    }
}

/// What the program answers, as far as it matters here (`nmstate_ipsec_certificates::request`).
#[derive(Deserialize)]
struct Reply {
    answer: Answer,
}

/// One of these, or something else.
#[derive(Deserialize)]
struct Answer {
    imported: Option<Imported>,
    listed: Option<Vec<Listed>>,
    refused: Option<Refused>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Imported {
    nickname: String,
    action: String,
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    nickname: String,
    not_before: i64,
    not_after: i64,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    text: String,
}

impl Certificates {
    /// Has the program do what `request` asks for, and returns its answer.
    ///
    /// # Errors
    /// It cannot be run, or does not understand the request.
    pub async fn ask(&self, request: String) -> Result<String, CommandError> {
        let command = Command::new(&self.program, TIME_OUT).args(["--answer"]);
        let ran = command.keep(MAX_ANSWER).input(request).run().await;
        ran.and_then(Output::success).map(|output| output.stdout)
    }

    /// The nickname of the certificate that is another one now, according to an answer, if there is one.
    pub fn changed_by(answer: &str) -> Option<String> {
        let imported = read(answer)?.imported?;
        let is_another = matches!(imported.action.as_str(), "imported" | "replaced");
        (is_another && !imported.dry_run).then_some(imported.nickname)
    }

    /// Imports the certificate from the directories where its bundle is expected.
    ///
    /// # Errors
    /// There is none, or it is of no use.
    pub async fn import(&self, nickname: &Nickname) -> Result<(), Reason> {
        let unusable = |detail: String| Reason::CertificateUnusable {
            nickname: nickname.to_string(),
            detail,
        };
        let request = json!({ "do": "import-by-name", "nickname": nickname.as_str() });
        let answer = self.ask(request.to_string()).await;
        let answer = answer.map_err(|error| unusable(error.to_string()))?;
        match read(&answer) {
            Some(Answer {
                imported: Some(_), ..
            }) => {
                tracing::info!("imported the certificate '{nickname}'");
                Ok(())
            }
            Some(Answer {
                refused: Some(refused),
                ..
            }) if refused.code == "no-bundle" => Err(Reason::CertificateMissing {
                nickname: nickname.to_string(),
                database: nss::database(),
                bundle: Some(refused.text),
            }),
            Some(Answer {
                refused: Some(refused),
                ..
            }) => Err(unusable(refused.text)),
            _ => Err(unusable(format!(
                "{} gave no answer to be understood",
                self.program.display()
            ))),
        }
    }

    /// From when until when the certificate is valid, if it is in the database and the program says so soon.
    pub async fn validity(&self, nickname: &str) -> Option<Validity> {
        let stamp = stamp()?;
        if let Some(known) = self.remembered(stamp) {
            return known.get(nickname).copied();
        }
        let _turn = self.listing.lock().await;
        if let Some(known) = self.remembered(stamp) {
            return known.get(nickname).copied();
        }
        let listed = self.list().await.unwrap_or_else(|why| {
            tracing::warn!("until when certificates are valid is not known: {why}");
            Vec::new()
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.validity.clear();
        for Listed {
            nickname,
            not_before,
            not_after,
        } in listed
        {
            let validity = Validity {
                not_before,
                not_after,
            };
            // Of several with one nickname NSS takes the newest, which is listed first.
            known.validity.entry(nickname).or_insert(validity);
        }
        // Also of a failure: whoever looks next is not to wait for the same.
        known.stamp = Some(stamp);
        known.validity.get(nickname).copied()
    }

    /// What is in the database, or why that is not known.
    async fn list(&self) -> Result<Vec<Listed>, String> {
        let asked = self.ask(json!({ "do": "list" }).to_string());
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| format!("listing them takes longer than {} s", PATIENCE.as_secs()))?
            .map_err(|error| error.to_string())?;
        let listed = read(&answer).and_then(|answer| answer.listed);
        listed.ok_or_else(|| "the database cannot be listed; see 'nmstate-ipsec cert list'".to_owned())
    }

    fn remembered(&self, stamp: Stamp) -> Option<HashMap<String, Validity>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.stamp == Some(stamp)).then(|| known.validity.clone())
    }

    /// Says in the journal if the certificate, which `connection` uses, expires soon.
    pub async fn warn(&self, nickname: &Nickname, connection: &str) {
        let validity = self.validity(nickname.as_str()).await;
        if let Some(days) = validity.and_then(Validity::warning) {
            tracing::warn!(
                ipsec_connection = connection,
                "the certificate '{nickname}' of '{connection}' expires in {days} days; renew it"
            );
        }
    }
}

fn read(answer: &str) -> Option<Answer> {
    serde_json::from_str(answer).ok().map(|reply: Reply| reply.answer)
}

/// What the database's file looks like.
fn stamp() -> Option<Stamp> {
    let database = nss::database();
    let dir = database.trim_start_matches("sql:");
    let metadata = fs::metadata(Path::new(dir).join("cert9.db")).ok()?;
    Some((
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len(),
        metadata.ino(),
    ))
}

fn seconds() -> i64 {
    i64::try_from(history::now() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_from_an_answer() {
        let answer = |action: &str, dry_run: bool| {
            format!(
                r#"{{"database":"/nss","answer":{{"imported":{{"nickname":"left","action":"{action}","dry-run":{dry_run}}}}}}}"#
            )
        };
        assert_eq!(
            Certificates::changed_by(&answer("replaced", false)).as_deref(),
            Some("left")
        );
        for (action, dry_run) in [("unchanged", false), ("mended", false), ("replaced", true)] {
            assert_eq!(Certificates::changed_by(&answer(action, dry_run)), None);
        }
        let other = r#"{"database":"/nss","answer":{"removed":{"nickname":"left","authorities":[]}}}"#;
        assert_eq!(Certificates::changed_by(other), None);
        assert_eq!(Certificates::changed_by("no answer"), None);
    }

    #[test]
    fn only_what_is_valid_now_is_without_fault() {
        let now = seconds();
        let validity = |from: i64, until: i64| Validity {
            not_before: now + from * DAY,
            not_after: now + until * DAY,
        };
        assert_eq!(validity(-1, 1).fault("left"), None);
        let expired = validity(-9, -2).fault("left").unwrap().to_string();
        assert!(expired.contains("'left' expired 2 days ago"), "{expired}");
        let early = validity(3, 9).fault("left").unwrap().to_string();
        assert!(early.contains("valid in"), "{early}");
        assert!(validity(-1, 29).warning().is_some() && validity(-1, 31).warning().is_none());
    }
}
