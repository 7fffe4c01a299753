//! The changes themselves.
//!
//! The new certificate comes in beside the old one. NSS takes a subject's certificates for one nickname's, so a new
//! certificate of the same subject is under the old one's nickname at once; one of another subject waits under a name of
//! its own. Only then, in one more process, is the old one taken out.

use std::path::PathBuf;

use nmstate_ipsec_core::{
    command::{CommandError, Output},
    connection::Nickname,
    secret::Secret,
};
use openssl::{rand::rand_bytes, x509::X509};

use super::{
    Action, Wanted,
    plan::{self, Own, Plan, share_key},
    undo,
};
use crate::{
    database::{Batch, Database, Snapshot, key_id},
    description::hex,
    error::Error,
    name,
    private_dir::PrivateDir,
};

/// Trust that an authority is given.
pub(super) const AUTHORITY: &str = "CT,C,C";

/// Trust that a certificate has which is here with its key.
pub(super) const OWN: &str = "u,u,u";

/// Trust of an authority between the certificate and a trusted one.
const BETWEEN: &str = ",,";

pub(super) async fn carry_out(
    database: &Database,
    wanted: &Wanted<'_>,
    plan: &Plan,
    before: &Snapshot,
) -> Result<(), Error> {
    let reserve = database.reserve()?;
    let private = PrivateDir::new()?;
    let lines = lines(wanted, plan, before, &private)?;
    let imported = match &plan.own {
        Own::Import {
            olds,
            is_other_subject,
            ..
        } => {
            let name = if *is_other_subject {
                name::next(wanted.nickname)
            } else {
                wanted.nickname.to_string()
            };
            match bring_in(database, wanted, &name, &private).await? {
                // Nothing is taken out on pk12util's word alone.
                Ok(()) if !olds.is_empty() => is_in(database, wanted, &name, before).await,
                other => other,
            }
        }
        _ => Ok(()),
    };
    let cause = match imported {
        Ok(()) => match finish(database, wanted, plan, lines).await {
            None => return Ok(()),
            Some(cause) => cause,
        },
        Err(error) => error.cause(),
    };
    drop(reserve);
    undo::undo(database, wanted, plan, before, cause).await
}

/// Runs pk12util. The outer error is one from before the database was touched.
async fn bring_in(
    database: &Database,
    wanted: &Wanted<'_>,
    name: &str,
    private: &PrivateDir,
) -> Result<Result<(), Error>, Error> {
    let mut bytes = [0; 24];
    rand_bytes(&mut bytes).map_err(|error| Error::local("make a password", error))?;
    let password = Secret::new(hex(&bytes));
    let bundle = wanted.bundle.to_pkcs12(name, password.expose(), false)?;
    let file = private.write("bundle.p12", &bundle)?;
    let command = database.pk12util("-i", &file).args(["-w", "/dev/stdin"]);
    let ran = command.input(password.expose()).run().await;
    Ok(database
        .succeeded(format!("import '{}'", wanted.nickname), ran)
        .await
        .map(drop))
}

/// Makes sure that the new certificate is there with its key, beside those that had its name `before`.
async fn is_in(database: &Database, wanted: &Wanted<'_>, name: &str, before: &Snapshot) -> Result<(), Error> {
    let found = database.glance(&[name]).await?;
    let with_keys = |snapshot: &Snapshot| {
        let entries = snapshot.entries_of(name);
        entries.filter(|entry| entry.trust.has_key()).count()
    };
    let is_one_more = found.entries_of(name).count() == before.entries_of(name).count() + 1;
    let has_key = with_keys(&found) > with_keys(before);
    let is_there = found.find(&wanted.bundle.certificate).is_some();
    if is_there && has_key && is_one_more {
        return Ok(());
    }
    Err(Error::local(
        format!("import '{}'", wanted.nickname),
        "pk12util reported success, but the certificate or its key is not there",
    ))
}

/// Runs the rest and looks at the result; says why that is not what is wanted.
async fn finish(database: &Database, wanted: &Wanted<'_>, plan: &Plan, mut lines: Batch) -> Option<String> {
    let mut names = vec![wanted.nickname.as_str()];
    names.extend(plan.authorities.iter().map(|step| step.name.as_str()));
    match Database::glancing(&names) {
        Ok(glancing) => lines.append(&glancing),
        Err(error) => return Some(error.to_string()),
    }
    let ran: Result<Output, CommandError> = database.run(&lines).await;
    match database.succeeded("put the certificate in its place", ran).await {
        Err(error) => Some(error.cause()),
        Ok(output) => {
            let found = Database::glanced(&output.stdout, &names);
            (!plan::is_done(wanted, &found)).then(|| {
                let listed = output.stdout.lines().filter(|line| line.contains(',')).collect::<Vec<_>>().join("; ");
                format!("NSS's programs reported success, but the database does not hold what it should ({listed})")
            })
        }
    }
}

/// What is done after the certificate has come in.
fn lines(wanted: &Wanted<'_>, plan: &Plan, before: &Snapshot, private: &PrivateDir) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    for (index, step) in plan.authorities.iter().enumerate() {
        let trust = if step.is_trusted { AUTHORITY } else { BETWEEN };
        match step.action {
            Action::Imported => {
                let file = authority_file(private, index, &step.certificate)?;
                lines.push(
                    "-A",
                    &["-n", &step.name, "-t", trust, "-i", &file.display().to_string()],
                )?;
            }
            Action::Mended => lines.push("-M", &["-n", &step.name, "-t", trust])?,
            _ => {}
        }
    }
    let nickname = wanted.nickname;
    let certificate = &wanted.bundle.certificate;
    match &plan.own {
        Own::Nothing => {}
        Own::Trust => lines.push("-M", &["-n", nickname.as_str(), "-t", OWN])?,
        Own::Clear { olds }
        | Own::Import {
            olds,
            is_other_subject: false,
            ..
        } => {
            lines.append(&without_siblings(nickname, certificate, olds, before)?);
        }
        Own::Import {
            olds,
            is_other_subject: true,
            ..
        } => {
            lines.append(&without_predecessors(nickname, certificate, olds, before)?);
        }
    }
    if let Own::Import {
        is_mistrusted: true, ..
    } = &plan.own
    {
        lines.push("-M", &["-n", nickname.as_str(), "-t", OWN])?;
    }
    Ok(lines)
}

fn authority_file(private: &PrivateDir, index: usize, certificate: &X509) -> Result<PathBuf, Error> {
    let der = certificate
        .to_der()
        .map_err(|error| Error::local("write a certificate down", error))?;
    private.write(&format!("{index}.der"), &der)
}

/// Takes `olds`, of the same subject and so of the same nickname, away from beside `certificate`.
pub(super) fn without_siblings(
    nickname: &Nickname,
    certificate: &X509,
    olds: &[X509],
    before: &Snapshot,
) -> Result<Batch, Error> {
    let (twins, others): (Vec<&X509>, Vec<&X509>) = olds.iter().partition(|old| share_key(old, certificate));
    let mut lines = without_others(&others, before)?;
    if twins.is_empty() {
        return Ok(lines);
    }
    // Two certificates with one subject and one key have nothing that certutil could tell them apart by, but NSS takes the
    // one that became valid last for the nickname's.
    let is_newest = twins
        .iter()
        .all(|twin| twin.not_before() < certificate.not_before());
    let next = name::next(nickname);
    if is_newest {
        lines.push("--rename", &["-n", nickname.as_str(), "--new-n", &next])?;
    }
    for _ in &twins {
        lines.push("-D", &["-n", nickname.as_str()])?;
    }
    if is_newest {
        lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
    }
    Ok(lines)
}

/// Lets `certificate`, which waits under a name of its own, have the nickname, and takes `olds` away.
fn without_predecessors(
    nickname: &Nickname,
    certificate: &X509,
    olds: &[X509],
    before: &Snapshot,
) -> Result<Batch, Error> {
    let (next, previous) = (name::next(nickname), name::previous(nickname));
    let mut lines = Batch::default();
    for _ in olds {
        lines.push("--rename", &["-n", nickname.as_str(), "--new-n", &previous])?;
    }
    lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
    let (twins, others): (Vec<&X509>, Vec<&X509>) = olds.iter().partition(|old| share_key(old, certificate));
    for _ in &twins {
        lines.push("-D", &["-n", &previous])?;
    }
    lines.append(&without_others(&others, before)?);
    Ok(lines)
}

/// Takes certificates away whose keys nothing else has, keys included.
fn without_others(others: &[&X509], before: &Snapshot) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    let mut gone = Vec::new();
    for other in others {
        let Some(id) = key_id(other) else {
            return Err(Error::local(
                "replace a certificate",
                "the old one has a key of an unknown kind; remove it with certutil -D",
            ));
        };
        let is_shared = before
            .held
            .iter()
            .any(|held| !others.contains(&&held.certificate) && share_key(&held.certificate, other));
        let has_key = before.keys.contains(&id) && !gone.contains(&id) && !is_shared;
        lines.push(if has_key { "-F" } else { "-D" }, &["-n", &uri(&id)])?;
        gone.push(id);
    }
    Ok(lines)
}

/// The certificate with this key, whatever its name.
pub(crate) fn uri(id: &str) -> String {
    let mut uri = "pkcs11:id=".to_owned();
    for (index, digit) in id.chars().enumerate() {
        if index % 2 == 0 {
            uri.push('%');
        }
        uri.push(digit);
    }
    uri + ";type=cert"
}

/// What an import that was killed has left, and how it is finished or undone.
pub(super) fn leftovers(nickname: &Nickname, found: &Snapshot) -> Result<Batch, Error> {
    let (next, previous) = (name::next(nickname), name::previous(nickname));
    let mut lines = Batch::default();
    let (mut dispensable, mut kept) = (Vec::new(), nickname.to_string());
    if found.has(nickname.as_str()) {
        dispensable.extend([&next, &previous]);
    } else if found.has(&next) {
        lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
        dispensable.push(&previous);
        kept.clone_from(&next);
    } else if found.has(&previous) {
        lines.push("--rename", &["-n", &previous, "--new-n", nickname.as_str()])?;
    }
    for name in dispensable.into_iter().filter(|name| found.has(name)) {
        let is_twin = |certificate: &X509| {
            found
                .certificates_of(&kept)
                .any(|other| share_key(other, certificate))
        };
        let mut certificates = found.certificates_of(name);
        let has_key = certificates.any(|certificate| {
            !is_twin(certificate) && key_id(certificate).is_some_and(|id| found.keys.contains(&id))
        });
        lines.push(if has_key { "-F" } else { "-D" }, &["-n", name])?;
    }
    Ok(lines)
}
