//! Back to what was, where a change failed in the middle; forward where the old certificate is gone already.

use std::time::Duration;

use openssl::x509::X509;
use tokio::time::Instant;

use super::{
    Action, Wanted,
    change::{self, uri},
    plan::{Own, Plan, share_key},
};
use crate::{
    database::{Batch, Database, Snapshot, key_id},
    description,
    error::Error,
    name,
    private_file::PrivateFile,
};

/// How long undoing waits for other programs that have the database locked.
const PATIENCE: Duration = Duration::from_secs(60);

/// Undoes what was done of `plan`. Where that fails it is tried again, and as often as another program was in the way: each
/// time begins with a look at what is left to do.
pub(super) async fn undo(
    database: &Database,
    wanted: &Wanted<'_>,
    plan: &Plan,
    files: &[PrivateFile],
    before: &Snapshot,
    cause: String,
) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut chances = 1;
    loop {
        let undone = once(database, wanted, plan, files, before, &cause).await;
        if is_whole(&undone) {
            return undone;
        }
        // One that was in the way may be gone before it is looked for.
        if !database.wait_for_others(deadline).await {
            if chances == 0 {
                return undone;
            }
            chances -= 1;
        }
    }
}

async fn once(
    database: &Database,
    wanted: &Wanted<'_>,
    plan: &Plan,
    files: &[PrivateFile],
    before: &Snapshot,
    cause: &str,
) -> Result<(), Error> {
    let failed = |remains: Vec<String>| Error::Change {
        attempt: format!("import '{}'", wanted.nickname),
        dir: database.dir().to_owned(),
        cause: cause.to_owned(),
        remains,
    };
    let mut errors = Vec::new();
    // Each step shows what the next one has to do: names come first, then what bears them.
    for step in [names, certificates, keys, authorities] {
        let now = match database.snapshot().await {
            Ok(now) => now,
            Err(error) => return Err(failed(vec![format!("what is in it cannot be read: {error}")])),
        };
        if now.differences(before).is_empty() {
            return Err(failed(Vec::new()));
        }
        if is_old_gone(plan, &now) {
            return forward(database, wanted, &now, failed).await;
        }
        for lines in step(wanted, plan, files, before, &now) {
            let ran = match lines {
                Ok(lines) => database
                    .succeeded("undo it", database.run(&lines).await)
                    .await
                    .map(drop),
                Err(error) => Err(error),
            };
            errors.extend(ran.err().map(|error| error.to_string()));
        }
    }
    match database.snapshot().await {
        Ok(now) => {
            let mut remains = now.differences(before);
            if !remains.is_empty() {
                remains.append(&mut errors);
            }
            Err(failed(remains))
        }
        Err(error) => Err(failed(vec![format!("what is in it cannot be read: {error}")])),
    }
}

/// Whether the database is as it was, or as it is to be.
pub(super) fn is_whole(undone: &Result<(), Error>) -> bool {
    match undone {
        Ok(()) => true,
        Err(Error::Change { remains, .. }) => remains.is_empty(),
        Err(_) => false,
    }
}

type Lines = Vec<Result<Batch, Error>>;

fn line(action: &'static str, arguments: &[&str]) -> Result<Batch, Error> {
    Batch::default().with(action, arguments)
}

fn is_old_gone(plan: &Plan, now: &Snapshot) -> bool {
    match &plan.own {
        Own::Import { olds, .. } | Own::Clear { olds } => olds.iter().any(|old| now.find(old).is_none()),
        _ => false,
    }
}

/// The old certificate is gone, so the new one had come in as a whole: it gets its name.
async fn forward(
    database: &Database,
    wanted: &Wanted<'_>,
    now: &Snapshot,
    failed: impl Fn(Vec<String>) -> Error,
) -> Result<(), Error> {
    let lines = match change::leftovers(wanted.nickname, now) {
        Ok((lines, _)) => lines,
        Err(error) => return Err(failed(vec![error.to_string()])),
    };
    if !lines.is_empty() {
        let ran = database.run(&lines).await;
        if let Err(error) = database.succeeded("finish it", ran).await {
            return Err(failed(vec![error.to_string()]));
        }
    }
    let found = database.snapshot().await?;
    if super::plan::is_done(wanted, &found) {
        return Ok(());
    }
    Err(failed(vec![
        "the new certificate has taken the place of the old one; import it again to complete it".to_owned(),
    ]))
}

/// The old certificate gets its nickname back.
fn names(wanted: &Wanted<'_>, plan: &Plan, _: &[PrivateFile], _: &Snapshot, now: &Snapshot) -> Lines {
    let (nickname, next, previous) = (
        wanted.nickname.as_str(),
        name::next(wanted.nickname),
        name::previous(wanted.nickname),
    );
    let Own::Import {
        is_other_subject: true,
        ..
    } = &plan.own
    else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if now.has(&previous) {
        if now
            .certificates_of(nickname)
            .any(|held| *held == wanted.bundle.certificate)
        {
            lines.push(line("--rename", &["-n", nickname, "--new-n", &next]));
        }
        lines.extend(
            now.entries_of(&previous)
                .map(|_| line("--rename", &["-n", &previous, "--new-n", nickname])),
        );
    }
    lines
}

/// The new certificate goes, with its key if that has come with it.
fn certificates(
    wanted: &Wanted<'_>,
    plan: &Plan,
    _: &[PrivateFile],
    before: &Snapshot,
    now: &Snapshot,
) -> Lines {
    let certificate = &wanted.bundle.certificate;
    if before.find(certificate).is_some() || now.find(certificate).is_none() {
        return Vec::new();
    }
    let (
        Own::Import {
            olds,
            is_other_subject,
            ..
        },
        Some(id),
    ) = (&plan.own, key_id(certificate))
    else {
        return Vec::new();
    };
    let next = name::next(wanted.nickname);
    let twin = olds.iter().find(|old| share_key(old, certificate));
    match twin {
        None if before.keys.contains(&id) => vec![line("-D", &["-n", &uri(&id)])],
        None => vec![line("-F", &["-n", &uri(&id)])],
        Some(_) if *is_other_subject || now.has(&next) => vec![line("-D", &["-n", &next])],
        // The other way round: the old one is to stay beside the new one that goes.
        Some(old) => vec![change::without_siblings(
            wanted.nickname,
            old,
            std::slice::from_ref(certificate),
            before,
        )],
    }
}

/// A key goes that came without its certificate.
fn keys(wanted: &Wanted<'_>, _: &Plan, _: &[PrivateFile], before: &Snapshot, now: &Snapshot) -> Lines {
    if before.find(&wanted.bundle.certificate).is_some() {
        // certutil would take the certificate along.
        return Vec::new();
    }
    let id = key_id(&wanted.bundle.certificate);
    let is_new = |id: &String| now.keys.contains(id) && !before.keys.contains(id);
    id.filter(is_new)
        .map(|id| line("-F", &["-k", &id]))
        .into_iter()
        .collect()
}

/// Authorities go, or get back the trust that they had.
fn authorities(
    _: &Wanted<'_>,
    plan: &Plan,
    files: &[PrivateFile],
    before: &Snapshot,
    now: &Snapshot,
) -> Lines {
    let is_alone = |certificate: &X509| {
        let sharing = now
            .held
            .iter()
            .filter(|held| share_key(&held.certificate, certificate));
        let mut digits: Vec<String> = sharing
            .map(|held| description::fingerprint(&held.certificate))
            .collect();
        digits.sort_unstable();
        digits.dedup();
        digits.len() == 1
    };
    let mut lines = Vec::new();
    for (step, file) in plan.authorities.iter().zip(files) {
        if step.action == Action::Imported && now.find(&step.certificate).is_some() {
            if let (Some(id), true) = (key_id(&step.certificate), is_alone(&step.certificate)) {
                lines.push(line("-D", &["-n", &uri(&id)]));
            }
        } else if step.action == Action::Mended {
            let trust = before
                .find(&step.certificate)
                .and_then(|held| held.trust.as_ref());
            lines.extend(trust.map(|trust| change::trust_line(&step.name, trust.as_str(), file)));
        }
    }
    lines
}
