//! `nmstate-ipsec cert`: certificates into libreswan's database, out of it, and what is there.

mod args;
mod bundle;
mod export;
mod import;
mod list;
mod remove;
mod users;
mod verify;

use std::process::ExitCode;

use nmstate_ipsec_certificates::{
    Database, Error, Tools,
    request::{Answer, Refusal, Reply, Request},
};
use nmstate_ipsec_core::daemon_api::CertificatesProxy;
use serde_json::{Value, json};

pub use args::{Bundle, Cert, CertCommand, Export, Import, List, Place, Remove, Verify};

use super::Fault;

/// Runs the command, and says with which status it ends.
///
/// # Errors
/// It did not do what it was asked to.
pub(super) async fn run(arguments: Cert) -> Result<ExitCode, Fault> {
    let (done, json) = match arguments.command {
        CertCommand::Import(arguments) => (import::run(&arguments).await, arguments.json),
        CertCommand::List(arguments) => (list::run(&arguments).await, arguments.json),
        CertCommand::Verify(arguments) => (verify::run(&arguments).await, arguments.json),
        CertCommand::Remove(arguments) => (remove::run(&arguments).await, arguments.json),
        CertCommand::Export(arguments) => (export::run(&arguments).await, false),
        CertCommand::Bundle(arguments) => (bundle::run(&arguments), false),
    };
    match done {
        Err(refusal) if json => {
            println!("{}", json!({ "error": error_for_programs(&refusal) }));
            Ok(Fault::from(refusal).exit_code())
        }
        done => Ok(done?),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Refusal::from(error).into()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let (code, is_input, text) = match fault {
            Fault::Input(text) => ("arguments", true, text),
            Fault::Failed(text) => ("local", false, text),
        };
        Self {
            code: code.to_owned(),
            is_input,
            text,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_input {
            Self::Input(refusal.text)
        } else {
            Self::Failed(refusal.text)
        }
    }
}

/// Asks the daemon, which works on libreswan's database. On a host without it, and with a directory of the caller's own,
/// the same is done here.
async fn ask(place: &Place, request: &Request) -> Result<Reply, Refusal> {
    if place.nssdir.is_none()
        && let Some(reply) = ask_daemon(request).await?
    {
        return Ok(reply);
    }
    let database = Database::new(place.nssdir.as_deref(), Tools::default())?;
    Ok(request.run(&database).await)
}

/// The daemon's reply; nothing if there is no daemon on this host.
async fn ask_daemon(request: &Request) -> Result<Option<Reply>, Refusal> {
    let refused = |text: String| Refusal {
        code: "daemon".to_owned(),
        is_input: false,
        text,
    };
    let failed = |error: &dyn std::fmt::Display| {
        refused(format!(
            "failed to have nmstate-ipsecd work on libreswan's certificates: {error}; see 'journalctl -u nmstate-ipsecd', or \
             give the database with --nssdir"
        ))
    };
    let Ok(bus) = zbus::Connection::system().await else {
        return Ok(None);
    };
    let request = serde_json::to_string(request).map_err(|error| failed(&error))?;
    let daemon = CertificatesProxy::new(&bus)
        .await
        .map_err(|error| failed(&error))?;
    match daemon.ask(&request).await {
        Ok(answer) => serde_json::from_str(&answer)
            .map(Some)
            .map_err(|error| failed(&error)),
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".ServiceUnknown") => Ok(None),
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".AccessDenied") => Err(refused(
            "failed to reach libreswan's certificates: nmstate-ipsecd lets root alone work on them; run this as root".to_owned(),
        )),
        Err(error) => Err(failed(&error)),
    }
}

/// An answer of another kind than what was asked for.
fn unexpected(answer: Answer) -> Refusal {
    match answer {
        Answer::Refused(refusal) => refusal,
        _ => Refusal {
            code: "daemon".to_owned(),
            is_input: false,
            text: "nmstate-ipsecd answered something else than it was asked; is it of another release?"
                .to_owned(),
        },
    }
}

/// A value of the library for programs.
fn for_programs(value: &impl serde::Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value).map_err(|error| Fault::failed("failed to write JSON", error))
}

fn error_for_programs(error: &Refusal) -> Value {
    json!({ "code": error.code, "text": error.text })
}

fn expiry(days: i64) -> String {
    match days {
        ..0 => "has expired".to_owned(),
        0 => "expires today".to_owned(),
        1 => "expires in 1 day".to_owned(),
        _ => format!("expires in {days} days"),
    }
}
