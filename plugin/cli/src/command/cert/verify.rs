//! `nmstate-ipsec cert verify`: whether certificates in the database are of use.

use std::process::ExitCode;

use nmstate_ipsec_certificates::{Error, request::Refusal};
use serde_json::{Value, json};

use super::{Verify, list, users};
use crate::command::Fault;

/// Verifies one certificate or all.
///
/// # Errors
/// The database cannot be read, or lacks the certificate.
pub(super) async fn run(arguments: &Verify) -> Result<ExitCode, Refusal> {
    let list::Listed {
        database,
        certificates: mut all,
        ..
    } = list::held(&arguments.place).await?;
    match &arguments.nickname {
        Some(nickname) => all.retain(|held| held.nickname == *nickname),
        None => all.retain(|held| held.has_key),
    }
    if let (true, Some(nickname)) = (all.is_empty(), &arguments.nickname) {
        let missing = Error::Missing {
            nickname: nickname.clone(),
            dir: database,
        };
        return Err(missing.into());
    }
    let users = users::of_this_host().await;
    for held in &mut all {
        held.findings
            .extend(users.identity_findings(&held.nickname, &held.certificate));
    }
    let is_bad = all
        .iter()
        .flat_map(|held| &held.findings)
        .any(|finding| finding.is_error);
    if arguments.json {
        let listed: Result<Vec<Value>, Fault> = all.iter().map(|held| list::entry(held, &users)).collect();
        println!(
            "{}",
            json!({ "ok": !is_bad, "certificates": listed?, "users-known": users.are_known() })
        );
    } else {
        for held in &all {
            if held.findings.is_empty() {
                println!("{}: fit for use", held.nickname);
            }
            for finding in &held.findings {
                let severity = if finding.is_error { "error" } else { "warning" };
                println!("{}: {severity}: {finding}", held.nickname);
            }
        }
        users.say_if_unknown();
    }
    Ok(if is_bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
