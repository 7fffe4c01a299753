//! What must be done so that the database holds what is wanted. Pure.

use openssl::x509::X509;

use super::{Action, Authority, Wanted};
use crate::{
    database::{Database, Entry, Named, Snapshot, Trust, key_id},
    description,
    error::Error,
    name,
};

/// What must be done.
pub(super) struct Plan {
    pub(super) own: Own,
    pub(super) authorities: Vec<Step>,
}

/// What must be done for the certificate of this host.
pub(super) enum Own {
    /// It is there as it is to be.
    Nothing,
    /// It is there with its key, but not with its trust.
    Trust,
    /// It must be imported, and what its nickname has is to go.
    Import {
        /// What the nickname has.
        olds: Vec<X509>,
        /// Whether that has another subject.
        is_other_subject: bool,
        /// Whether what the nickname has was there without its key, so that its trust is not what it is to be.
        is_mistrusted: bool,
    },
    /// It is there with its key; what else its nickname has is to go.
    Clear {
        /// What else the nickname has.
        olds: Vec<X509>,
    },
}

/// What must be done for an authority.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) certificate: X509,
    pub(super) action: Action,
    pub(super) is_trusted: bool,
}

impl Step {
    pub(super) fn told(&self) -> Authority {
        Authority {
            nickname: self.name.clone(),
            action: self.action,
            subject: description::name(self.certificate.subject_name()),
        }
    }
}

impl Plan {
    pub(super) fn action(&self) -> Action {
        match &self.own {
            Own::Nothing => Action::Unchanged,
            Own::Trust => Action::Mended,
            Own::Import { olds, .. } if olds.is_empty() => Action::Imported,
            Own::Import { .. } | Own::Clear { .. } => Action::Replaced,
        }
    }

    /// The keys that come or go.
    pub(super) fn keys(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let (Own::Import { olds, .. } | Own::Clear { olds }) = &self.own else {
            return Vec::new();
        };
        let own = std::iter::once(&wanted.bundle.certificate);
        own.chain(olds).filter_map(key_id).collect()
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.own, Own::Nothing)
            && self
                .authorities
                .iter()
                .all(|step| step.action == Action::Unchanged)
    }
}

/// Whether the database, as far as `found` shows it, holds what is wanted and nothing more under that name.
pub(super) fn is_done(wanted: &Wanted<'_>, found: &Snapshot) -> bool {
    let nickname = wanted.nickname.as_str();
    let mut own = found.entries_of(nickname);
    let is_own = own.next().is_some_and(|entry| entry.trust.is_own()) && own.next().is_none();
    let mut certificates = found.certificates_of(nickname);
    let is_it = certificates.next() == Some(&wanted.bundle.certificate) && certificates.next().is_none();
    let is_left = found.has(&name::next(wanted.nickname)) || found.has(&name::previous(wanted.nickname));
    is_own
        && is_it
        && !is_left
        && wanted.authorities.iter().all(|(authority, is_trusted)| {
            found
                .find(authority)
                .is_some_and(|held| is_trusted_enough(held, *is_trusted))
        })
}

fn is_trusted_enough(held: &Named, is_trusted: bool) -> bool {
    // What the cluster's network trusts is its own.
    !is_trusted || name::is_reserved(&held.name) || held.trust.as_ref().is_some_and(Trust::covers_authority)
}

/// What must be done where the database is as in `before`.
pub(super) fn plan(database: &Database, wanted: &Wanted<'_>, before: &Snapshot) -> Result<Plan, Error> {
    let own = own(database, wanted, before)?;
    let mut authorities: Vec<Step> = Vec::new();
    for (certificate, is_trusted) in &wanted.authorities {
        let step = match before.find(certificate) {
            Some(held) => Step {
                name: held.name.clone(),
                certificate: certificate.clone(),
                action: if is_trusted_enough(held, *is_trusted) {
                    Action::Unchanged
                } else {
                    Action::Mended
                },
                is_trusted: *is_trusted,
            },
            None => Step {
                name: free_name(certificate, wanted.nickname.as_str(), before, &authorities)?,
                certificate: certificate.clone(),
                action: Action::Imported,
                is_trusted: *is_trusted,
            },
        };
        authorities.push(step);
    }
    Ok(Plan { own, authorities })
}

fn own(database: &Database, wanted: &Wanted<'_>, before: &Snapshot) -> Result<Own, Error> {
    let certificate = &wanted.bundle.certificate;
    let nickname = wanted.nickname.as_str();
    if before.unreadable.contains(nickname) {
        let detail = format!(
            "somebody else's certificate there has a nickname that reads like '{nickname}' and is another (blanks at its end, for instance); remove or rename that one with certutil, or give another nickname with --nickname"
        );
        return Err(database.fault("unreadable", detail));
    }
    let subject = description::subject(certificate);
    let other = before
        .held
        .iter()
        .find(|held| held.name != nickname && description::subject(&held.certificate) == subject);
    if let Some(other) = other {
        return Err(Error::Collision {
            nickname: nickname.to_owned(),
            other: other.name.clone(),
            subject: description::name(certificate.subject_name()),
            database: database.dir().display().to_string(),
        });
    }
    let is_authority = |entry: &Entry| entry.trust.is_authority() && !entry.trust.has_key();
    if before.entries_of(nickname).any(is_authority) {
        return Err(Error::Nickname {
            text: nickname.to_owned(),
            detail: "an authority in the database is called so".to_owned(),
        });
    }
    let (same, olds): (Vec<&X509>, Vec<&X509>) = before
        .certificates_of(nickname)
        .partition(|held| *held == certificate);
    let olds: Vec<X509> = olds.into_iter().cloned().collect();
    let has_key = before.entries_of(nickname).all(|entry| entry.trust.has_key());
    let is_own = before.entries_of(nickname).all(|entry| entry.trust.is_own());
    Ok(match (same.is_empty(), has_key) {
        (false, true) if !olds.is_empty() => Own::Clear { olds },
        (false, true) if is_own => Own::Nothing,
        (false, true) => Own::Trust,
        _ => Own::Import {
            is_other_subject: olds.iter().any(|old| description::subject(old) != subject),
            is_mistrusted: before.entries_of(nickname).any(|entry| !entry.trust.has_key()),
            olds,
        },
    })
}

/// The name that the subject has already, else the best that nothing else has.
fn free_name(
    certificate: &X509,
    nickname: &str,
    before: &Snapshot,
    planned: &[Step],
) -> Result<String, Error> {
    let subject = description::subject(certificate);
    if let Some(held) = before
        .held
        .iter()
        .find(|held| description::subject(&held.certificate) == subject)
    {
        return Ok(held.name.clone());
    }
    if let Some(step) = planned
        .iter()
        .find(|step| description::subject(&step.certificate) == subject)
    {
        return Ok(step.name.clone());
    }
    let is_free = |name: &String| {
        name != nickname && !before.has(name) && planned.iter().all(|step| step.name != *name)
    };
    name::of_authority(certificate)
        .into_iter()
        .find(is_free)
        .ok_or_else(|| {
            Error::local(
                format!(
                    "name the authority '{}'",
                    description::name(certificate.subject_name())
                ),
                "the names that it could have are taken; remove the one that has its common name",
            )
        })
}

/// Whether two certificates have one key.
pub(crate) fn share_key(one: &X509, other: &X509) -> bool {
    key_id(one).is_some_and(|id| key_id(other) == Some(id))
}

impl Trust {
    fn is_own(&self) -> bool {
        self.as_str() == super::change::OWN
    }

    /// Whether it is at least what an authority is given; more is for whoever gave it to decide.
    fn covers_authority(&self) -> bool {
        let mut flags = self.as_str().split(',');
        let mut has = |wanted: &[char]| {
            flags
                .next()
                .is_some_and(|flags| wanted.iter().all(|flag| flags.contains(*flag)))
        };
        has(&['C', 'T']) && has(&['C']) && has(&['C'])
    }
}
