//! A certificate out of the database.

use nmstate_ipsec_core::connection::Nickname;
use openssl::x509::X509;
use serde::{Deserialize, Serialize};

use crate::{
    database::{Batch, Database, Snapshot, key_id},
    description,
    error::Error,
    import::{share_key, uri},
};

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The nickname.
    pub nickname: String,
    /// The authorities that were removed along.
    pub authorities: Vec<String>,
}

/// Removes a certificate and its key, and with `with_authorities` those that issued it and nothing else that is there.
/// Whether it is in use is the caller's to know.
///
/// # Errors
/// It is not there, something that is there was issued by it, or something failed.
pub async fn remove(
    database: &Database,
    nickname: &Nickname,
    with_authorities: bool,
    dry_run: bool,
) -> Result<Removed, Error> {
    let (_lock, before) = database.lock_with(nickname).await?;
    refuse_if_issuer(database, nickname, &before)?;
    let authorities = if with_authorities {
        dispensable(nickname, &before)
    } else {
        Vec::new()
    };
    if !dry_run {
        let _reserve = database.reserve()?;
        let lines = lines(nickname, &authorities, &before)?;
        let ids = before.certificates_of(nickname.as_str()).filter_map(key_id);
        database.mark(&ids.collect::<Vec<_>>())?;
        let ran = database.run(&lines).await;
        database.succeeded(format!("remove '{nickname}'"), ran).await?;
        database.unmark();
        let after = database.entries().await?;
        if after.iter().any(|entry| entry.name == nickname.as_str()) {
            return Err(Error::Change {
                attempt: format!("remove '{nickname}'"),
                dir: database.dir().to_owned(),
                cause: "certutil reported success, but it is there".to_owned(),
                remains: vec!["remove it again".to_owned()],
            });
        }
    }
    Ok(Removed {
        nickname: nickname.to_string(),
        authorities,
    })
}

fn lines(nickname: &Nickname, authorities: &[String], before: &Snapshot) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    let mut gone = Vec::new();
    for certificate in before.certificates_of(nickname.as_str()) {
        let is_shared = || {
            let mut others = before.held.iter().filter(|held| held.name != nickname.as_str());
            others.any(|held| share_key(&held.certificate, certificate))
        };
        match key_id(certificate) {
            Some(id) if before.keys.contains(&id) && !gone.contains(&id) && !is_shared() => {
                lines.push("-F", &["-n", &uri(&id)])?;
                gone.push(id);
            }
            // Another of its certificates has taken the key along.
            _ => lines.push("-D", &["-n", nickname.as_str()])?,
        }
    }
    for authority in authorities {
        for _ in before.certificates_of(authority) {
            lines.push("-D", &["-n", authority])?;
        }
    }
    Ok(lines)
}

fn is_issued_by(certificate: &X509, issuer: &X509) -> bool {
    let is_itself = description::subject(certificate) == description::subject(issuer);
    !is_itself
        && issuer
            .public_key()
            .is_ok_and(|key| certificate.verify(&key).unwrap_or(false))
        && crate::judge::is_same(certificate.issuer_name(), issuer.subject_name())
}

fn refuse_if_issuer(database: &Database, nickname: &Nickname, before: &Snapshot) -> Result<(), Error> {
    let issued: Vec<String> = before
        .held
        .iter()
        .filter(|held| {
            before
                .certificates_of(nickname.as_str())
                .any(|issuer| is_issued_by(&held.certificate, issuer))
        })
        .map(|held| format!("'{}'", held.name))
        .collect();
    if issued.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "'{nickname}' is the authority that issued {}; remove these first, the last of them with --with-ca",
        issued.join(", ")
    );
    Err(database.fault("in-use", detail))
}

/// The authorities above `nickname` that nothing else that is there was issued by.
fn dispensable(nickname: &Nickname, before: &Snapshot) -> Vec<String> {
    let mut gone = vec![nickname.to_string()];
    loop {
        let is_above = |name: &str| {
            let mut below = before.held.iter().filter(|held| gone.contains(&held.name));
            below.any(|held| {
                before
                    .certificates_of(name)
                    .any(|issuer| is_issued_by(&held.certificate, issuer))
            })
        };
        let is_needed = |name: &str| {
            let mut others = before.held.iter().filter(|held| !gone.contains(&held.name));
            others.any(|held| {
                before
                    .certificates_of(name)
                    .any(|issuer| is_issued_by(&held.certificate, issuer))
            })
        };
        let has_key = |name: &str| before.entries_of(name).any(|entry| entry.trust.has_key());
        let found = before.entries.iter().map(|entry| &entry.name).find(|name| {
            !crate::name::is_reserved(name)
                && !gone.contains(name)
                && is_above(name)
                && !is_needed(name)
                && !has_key(name)
        });
        match found.cloned() {
            Some(name) => gone.push(name),
            None => break,
        }
    }
    gone.split_off(1)
}
