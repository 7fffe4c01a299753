//! `nmstate-ipsec cert import`: bundle by bundle, and a bad one does not keep the others out.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use nmstate_ipsec_certificates::{
    Action, Imported,
    request::{Answer, Files, Refusal, Request},
};
use serde_json::{Value, json};

use super::{Import, ask, error_for_programs, expiry, for_programs, unexpected};
use crate::command::Fault;

/// Imports each bundle.
///
/// # Errors
/// The command line contradicts itself, or an authority cannot be read.
pub(super) async fn run(arguments: &Import) -> Result<ExitCode, Refusal> {
    if arguments.bundles.len() > 1 {
        let given = [
            ("--nickname", arguments.nickname.is_some()),
            ("--key", arguments.key.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(Fault::Input(format!("{option} is for one bundle; import them one by one")).into());
        }
    }
    if arguments.bundles.len() > 1 && arguments.password_file.as_deref() == Some(Path::new("-")) {
        return Err(Fault::Input(
            "standard input holds the password of one bundle; import them one by one".to_owned(),
        )
        .into());
    }
    let (mut status, mut told, mut database) = (0, Vec::new(), PathBuf::new());
    for path in &arguments.bundles {
        let done = one(path, arguments, &mut database).await?;
        if arguments.json {
            told.push(entry(path, &done)?);
        } else {
            say(&done, arguments.dry_run);
        }
        if let Err(error) = &done {
            // A failure of this host is worse than a bad file among others.
            status = if error.is_input && status != 1 { 2 } else { 1 };
        }
    }
    if arguments.json {
        let dir = database.display().to_string();
        println!(
            "{}",
            json!({ "database": dir, "dry-run": arguments.dry_run, "bundles": told })
        );
    }
    Ok(ExitCode::from(status))
}

/// Also tells which database it is about.
async fn one(
    path: &Path,
    arguments: &Import,
    database: &mut PathBuf,
) -> Result<Result<Imported, Refusal>, Refusal> {
    let files = Files::read(
        path,
        arguments.nickname.as_deref(),
        arguments.key.as_deref(),
        &arguments.ca,
        arguments.password_file.as_deref(),
    );
    let mut files = match files {
        Ok(files) => files,
        Err(error) => return Ok(Err((&error).into())),
    };
    files.dry_run = arguments.dry_run;
    let reply = ask(&arguments.place, &Request::Import(Box::new(files))).await?;
    *database = reply.database;
    match reply.answer {
        Answer::Imported(imported) => Ok(Ok(imported)),
        Answer::Refused(refusal) => Ok(Err(refusal)),
        other => Err(unexpected(other)),
    }
}

fn entry(path: &Path, done: &Result<Imported, Refusal>) -> Result<Value, Fault> {
    let mut entry = match done {
        Ok(imported) => for_programs(imported)?,
        Err(error) => json!({ "error": error_for_programs(error) }),
    };
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("file".to_owned(), path.display().to_string().into());
    }
    Ok(entry)
}

fn say(done: &Result<Imported, Refusal>, dry_run: bool) {
    let imported = match done {
        Ok(imported) => imported,
        Err(error) => return eprintln!("{}", error.text),
    };
    let certificate = &imported.certificate;
    let days = certificate.days_left(SystemTime::now());
    println!(
        "{}: {} ({}, {})",
        imported.nickname,
        verb(imported.action, dry_run),
        certificate.subject,
        expiry(days)
    );
    for authority in imported
        .authorities
        .iter()
        .filter(|authority| authority.action != Action::Unchanged)
    {
        println!(
            "  authority '{}': {} ({})",
            authority.nickname,
            verb(authority.action, dry_run),
            authority.subject
        );
    }
    for warning in &imported.warnings {
        eprintln!("warning: {}: {warning}", imported.nickname);
    }
}

fn verb(action: Action, dry_run: bool) -> String {
    let would_be = dry_run && action != Action::Unchanged;
    format!("{}{}", if would_be { "would be " } else { "" }, action.words())
}
