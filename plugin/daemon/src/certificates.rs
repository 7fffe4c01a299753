//! libreswan's certificates, as far as the daemon is concerned with them. The work on the NSS database is done by a program
//! of its own, which ends with it: bundles and OpenSSL stay out of the process that lives on.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
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

/// How long somebody who only looks waits for it. With ten thousand certificates it takes longer; it goes on then, and
/// whoever looks next finds what it has found.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nobody tries again to list a database that could not be listed. Another program may just have had it locked.
const RESPITE: Duration = Duration::from_secs(30);

/// Most bytes of its answer: ten thousand certificates fit.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

const DAY: i64 = 24 * 3600;

/// The certificates of this host.
#[derive(Debug)]
pub struct Certificates {
    program: PathBuf,
    patience: Duration,
    known: Arc<Mutex<Known>>,
    /// Held while the database is listed, so that one who looks does it for all.
    listing: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            program: PROGRAM.into(),
            patience: PATIENCE,
            known: Arc::default(),
            listing: Arc::default(),
        }
    }
}

/// What was in the database when it was looked at last.
#[derive(Debug, Default)]
struct Known {
    /// What the database's file looked like then.
    stamp: Option<Stamp>,
    validity: HashMap<String, Validity>,
    /// When it could not be listed, if that was so last.
    failed: Option<Instant>,
}

impl Known {
    /// Keeps what was found in the database, or that it could not be listed.
    fn keep(&mut self, stamp: Stamp, listed: Result<Vec<Listed>, String>) {
        self.validity.clear();
        self.stamp = Some(stamp);
        self.failed = listed.is_err().then(Instant::now);
        let listed = listed.unwrap_or_else(|why| {
            tracing::warn!("until when certificates are valid is not known: {why}");
            Vec::new()
        });
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
            self.validity.entry(nickname).or_insert(validity);
        }
    }

    /// What is known of the database as it is. Of a failure that is nothing, for a while: whoever looks next is not to wait
    /// for the same.
    fn of(&self, stamp: Stamp) -> Option<&HashMap<String, Validity>> {
        let is_old = self.failed.is_some_and(|failed| failed.elapsed() > RESPITE);
        (self.stamp == Some(stamp) && !is_old).then_some(&self.validity)
    }
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
        ask(&self.program, request).await
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
        self.validity_in(stamp()?, nickname).await
    }

    /// The same of the database that looks like `stamp`.
    async fn validity_in(&self, stamp: Stamp, nickname: &str) -> Option<Validity> {
        if let Some(known) = remembered(&self.known, stamp, nickname) {
            return known;
        }
        let (known, listing, program) = (
            Arc::clone(&self.known),
            Arc::clone(&self.listing),
            self.program.clone(),
        );
        // Of its own, so that it goes on when nobody waits any more.
        let looked = tokio::spawn(async move {
            let _turn = listing.lock().await;
            if remembered(&known, stamp, "").is_none() {
                let listed = list(&program).await;
                locked(&known).keep(stamp, listed);
            }
        });
        if tokio::time::timeout(self.patience, looked).await.is_err() {
            tracing::warn!(
                "until when '{nickname}' is valid is not known yet: listing the certificates takes longer than {} s",
                self.patience.as_secs_f32()
            );
        }
        remembered(&self.known, stamp, nickname).flatten()
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

async fn ask(program: &Path, request: String) -> Result<String, CommandError> {
    let command = Command::new(program, TIME_OUT).args(["--answer"]);
    let ran = command.keep(MAX_ANSWER).input(request).run().await;
    ran.and_then(Output::success).map(|output| output.stdout)
}

/// What is in the database, or why that is not known.
async fn list(program: &Path) -> Result<Vec<Listed>, String> {
    let answer = ask(program, json!({ "do": "list" }).to_string()).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let listed = read(&answer).and_then(|answer| answer.listed);
    listed.ok_or_else(|| "the database cannot be listed; see 'nmstate-ipsec cert list'".to_owned())
}

/// What is known of a certificate in the database that looks like `stamp`, if anything is known of that.
fn remembered(known: &Mutex<Known>, stamp: Stamp, nickname: &str) -> Option<Option<Validity>> {
    locked(known).of(stamp).map(|known| known.get(nickname).copied())
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
