//! `nmstate-ipsec cert list`: what is in the database.

use std::path::PathBuf;

use nmstate_ipsec_certificates::{
    Held,
    request::{Answer, Request},
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
pub(super) async fn run(arguments: &List) -> Result<(), Fault> {
    let (database, all) = held(&arguments.place).await?;
    let users = users::of_this_host().await;
    if arguments.json {
        let listed: Result<Vec<Value>, Fault> = all.iter().map(|held| entry(held, &users)).collect();
        let dir = database.display().to_string();
        println!(
            "{}",
            json!({ "database": dir, "certificates": listed?, "users-known": users.are_known() })
        );
        return Ok(());
    }
    if all.is_empty() {
        eprintln!("there is no certificate in {}", database.display());
    }
    for held in &all {
        println!("{}", for_people(held, &users));
    }
    users.say_if_unknown();
    Ok(())
}

/// What the database holds, and where that is.
pub(super) async fn held(place: &Place) -> Result<(PathBuf, Vec<Held>), Fault> {
    let reply = ask(place, &Request::List).await?;
    match reply.answer {
        Answer::Listed(all) => Ok((reply.database, all)),
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
