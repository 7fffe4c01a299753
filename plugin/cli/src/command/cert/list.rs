//! `nmstate-ipsec cert list`: what is in the database.

use std::{path::PathBuf, process::ExitCode};

use nmstate_ipsec_certificates::{
    Held,
    request::{Answer, Refusal, Reply, Request},
};
use serde_json::{Value, json};

use super::{
    List, Place, ask, expiry, for_programs, unexpected,
    users::{self, Users},
};
use crate::command::Fault;

/// Lists the certificates.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn run(arguments: &List) -> Result<ExitCode, Refusal> {
    let Listed {
        database,
        certificates: all,
        unreadable,
    } = held(&arguments.place).await?;
    let users = users::of_this_host().await;
    if arguments.json {
        let listed: Result<Vec<Value>, Fault> = all.iter().map(|held| entry(held, &users)).collect();
        let dir = database.display().to_string();
        println!(
            "{}",
            json!({ "database": dir, "certificates": listed?, "unreadable": unreadable, "users-known": users.are_known() })
        );
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() && unreadable.is_empty() {
        eprintln!("there is no certificate in {}", database.display());
    }
    for held in &all {
        println!("{}", for_people(held, &users));
    }
    for name in &unreadable {
        eprintln!(
            "warning: {}: certutil lists this nickname and does not find it; rename or remove what has it with NSS's own means",
            name.escape_debug()
        );
    }
    users.say_if_unknown();
    Ok(ExitCode::SUCCESS)
}

/// What a database holds, and where it is.
pub(super) struct Listed {
    pub(super) database: PathBuf,
    pub(super) certificates: Vec<Held>,
    unreadable: Vec<String>,
}

pub(super) async fn held(place: &Place) -> Result<Listed, Refusal> {
    let Reply {
        database,
        answer,
        unreadable,
    } = ask(place, &Request::List).await?;
    match answer {
        Answer::Listed(certificates) => Ok(Listed {
            database,
            certificates,
            unreadable,
        }),
        other => Err(unexpected(other)),
    }
}

pub(super) fn entry(held: &Held, users: &Users) -> Result<Value, Fault> {
    let mut entry = for_programs(held)?;
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("used-by".to_owned(), users.of(&held.nickname).into());
    }
    Ok(entry)
}

fn for_people(held: &Held, users: &Users) -> String {
    let certificate = &held.certificate;
    let mut lines = vec![format!(
        "{}: {}, {}",
        held.nickname,
        certificate.subject,
        expiry(held.days_left)
    )];
    if !certificate.san.is_empty() {
        lines.push(format!("  names {}", certificate.san.join(", ")));
    }
    lines.push(format!("  issued by {}", certificate.issuer));
    let key = if held.has_key {
        "its key is here"
    } else {
        "without its key"
    };
    lines.push(format!(
        "  {}, {key}, trust {}",
        certificate.key,
        held.trust.as_str()
    ));
    let users = users.of(&held.nickname);
    if !users.is_empty() {
        lines.push(format!("  used by {}", users.join(", ")));
    }
    lines.extend(held.findings.iter().map(|finding| {
        let severity = if finding.is_error { "error" } else { "warning" };
        format!("  {severity}: {finding}")
    }));
    lines.join("\n")
}
