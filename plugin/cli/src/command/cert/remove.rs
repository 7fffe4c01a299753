//! `nmstate-ipsec cert remove`: a certificate out of the database, unless a connection uses it.

use std::process::ExitCode;

use nmstate_ipsec_certificates::{
    name,
    request::{Answer, Refusal, Request},
};

use super::{Remove, ask, for_programs, unexpected, users};

/// Removes the certificate.
///
/// # Errors
/// It is not there, or it is in use.
pub(super) async fn run(arguments: &Remove) -> Result<ExitCode, Refusal> {
    let nickname = name::parse(&arguments.nickname)?;
    let users = users::of_this_host().await;
    let using = users.of(nickname.as_str());
    if !using.is_empty() {
        let text = format!(
            "failed to remove '{nickname}': NetworkManager's connection {} uses it; delete that first, or give it another leftcert",
            using.join(", ")
        );
        return Err(Refusal {
            code: "in-use".to_owned(),
            is_input: false,
            text,
        });
    }
    let request = Request::Remove {
        nickname: nickname.to_string(),
        with_authorities: arguments.with_ca,
        dry_run: arguments.dry_run,
    };
    let removed = match ask(&arguments.place, &request).await?.answer {
        Answer::Removed(removed) => removed,
        other => return Err(unexpected(other)),
    };
    if arguments.json {
        println!("{}", for_programs(&removed)?);
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if arguments.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    println!("{}: {verb}", removed.nickname);
    for authority in &removed.authorities {
        println!("  authority '{authority}': {verb}");
    }
    users.say_if_unknown();
    Ok(ExitCode::SUCCESS)
}
