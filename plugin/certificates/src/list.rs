//! What is in the database, and what is to be said of it.

use std::time::SystemTime;

use openssl::x509::X509;
use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, Entry, Snapshot, Trust},
    description::Description,
    error::Error,
    judge::{self, Authorities, Finding},
};

/// A certificate in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Held {
    /// Its nickname.
    pub nickname: String,
    /// How much it is trusted.
    pub trust: Trust,
    /// Whether its key is there.
    pub has_key: bool,
    /// Whole days until it expires.
    pub days_left: i64,
    /// What it says of itself.
    #[serde(flatten)]
    pub certificate: Description,
    /// What is to be said of it, errors first.
    pub findings: Vec<Finding>,
}

/// Everything in the database that can be read, by nickname. A database that is not there holds nothing.
///
/// # Errors
/// The database cannot be read.
pub async fn held(database: &Database, now: SystemTime) -> Result<Vec<Held>, Error> {
    if database.is_missing()? {
        return Ok(Vec::new());
    }
    // What an import does is seen before or after it.
    let _lock = database.lock().await?;
    let snapshot = database.snapshot().await?;
    let mut all: Vec<Held> = snapshot
        .held
        .iter()
        .filter_map(|held| {
            let entry = snapshot.entries_of(&held.name).next()?;
            Some(of(entry, &held.certificate, &snapshot, now))
        })
        .collect();
    all.sort_by(|one, other| {
        (&one.nickname, other.certificate.not_after).cmp(&(&other.nickname, one.certificate.not_after))
    });
    Ok(all)
}

fn of(entry: &Entry, certificate: &X509, snapshot: &Snapshot, now: SystemTime) -> Held {
    let description = Description::of(certificate);
    let mut findings = findings(entry, certificate, snapshot, now);
    findings.sort_by_key(|finding| !finding.is_error);
    Held {
        nickname: entry.name.clone(),
        trust: entry.trust.clone(),
        has_key: entry.trust.has_key(),
        days_left: description.days_left(now),
        certificate: description,
        findings,
    }
}

fn findings(entry: &Entry, certificate: &X509, snapshot: &Snapshot, now: SystemTime) -> Vec<Finding> {
    if entry.trust.is_authority() {
        return judge::validity("the authority", certificate, now)
            .into_iter()
            .collect();
    }
    let (trusted, between) = snapshot.authorities();
    let mut findings = judge::findings(
        certificate,
        Authorities {
            trusted: &trusted,
            between: &between,
        },
        now,
    );
    // In the database nothing is to be given with it: what is trusted is what is there.
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.code == judge::NO_AUTHORITY)
    {
        finding.is_error = true;
    }
    if !entry.trust.has_key() {
        let text = "its key is not there, so that it can only stand for a peer (rightcert); import it together with its key";
        findings.push(Finding::warning("no-key", text));
    }
    if snapshot.certificates_of(&entry.name).nth(1).is_some() {
        let text =
            "there is more than one certificate of this nickname; import the one that is to stay once more";
        findings.push(Finding::warning("several", text));
    }
    findings
}
