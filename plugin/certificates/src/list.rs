//! What is in the database, and what is to be said of it.

use std::{collections::HashSet, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, Named, Trust},
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

/// What is in a database.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The certificates that can be read, by nickname.
    pub certificates: Vec<Held>,
    /// Nicknames of further ones, as far as they are text. NSS's programs list them, and do not find them by their names.
    pub unreadable: Vec<String>,
}

/// What is in the database. One that is not there holds nothing.
///
/// # Errors
/// The database cannot be read.
pub async fn held(database: &Database, now: SystemTime) -> Result<Contents, Error> {
    if database.is_missing()? {
        return Ok(Contents::default());
    }
    // What an import does is seen before or after it.
    let _lock = database.lock().await?;
    let snapshot = database.snapshot().await?;
    let (trusted, between) = snapshot.authorities();
    let all = All {
        known: Authorities {
            trusted: &trusted,
            between: &between,
        },
        sharing: snapshot.sharing(),
        now,
    };
    let mut certificates: Vec<Held> = snapshot.held.iter().map(|held| of(held, &all)).collect();
    certificates.sort_by(|one, other| {
        (&one.nickname, other.certificate.not_after).cmp(&(&other.nickname, one.certificate.not_after))
    });
    Ok(Contents {
        certificates,
        unreadable: snapshot.unreadable.into_iter().collect(),
    })
}

/// What a certificate is judged by.
struct All<'a> {
    known: Authorities<'a>,
    /// Nicknames of more than one certificate.
    sharing: HashSet<&'a str>,
    now: SystemTime,
}

fn of(held: &Named, all: &All<'_>) -> Held {
    let description = Description::of(&held.certificate);
    let trust = held.trust.clone().unwrap_or_default();
    let mut findings = findings(held, &trust, all);
    findings.sort_by_key(|finding| !finding.is_error);
    Held {
        nickname: held.name.clone(),
        has_key: trust.has_key(),
        trust,
        days_left: description.days_left(all.now),
        certificate: description,
        findings,
    }
}

fn findings(held: &Named, trust: &Trust, all: &All<'_>) -> Vec<Finding> {
    if trust.is_authority() {
        return judge::validity("the authority", &held.certificate, all.now)
            .into_iter()
            .collect();
    }
    let mut findings = judge::findings(&held.certificate, all.known, all.now);
    // In the database nothing is to be given with it: what is trusted is what is there.
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.code == judge::NO_AUTHORITY)
    {
        finding.is_error = true;
    }
    if !trust.has_key() {
        let text = "its key is not there, so that it can only stand for a peer (rightcert); import it together with its key";
        findings.push(Finding::warning("no-key", text));
    }
    if all.sharing.contains(held.name.as_str()) {
        let text =
            "there is more than one certificate of this nickname; import the one that is to stay once more";
        findings.push(Finding::warning("several", text));
    }
    findings
}
