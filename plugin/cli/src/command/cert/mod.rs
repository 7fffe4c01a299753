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

use nmstate_ipsec_certificates::{Database, Error, Tools};
use serde_json::{Value, json};

pub use args::{Bundle, Cert, CertCommand, Export, Import, List, Place, Remove, Verify};

use super::Fault;

/// Runs the command, and says with which status it ends.
///
/// # Errors
/// It did not do what it was asked to.
pub(super) async fn run(arguments: Cert) -> Result<ExitCode, Fault> {
    match arguments.command {
        CertCommand::Import(arguments) => return import::run(&arguments).await,
        CertCommand::List(arguments) => list::run(&arguments).await?,
        CertCommand::Verify(arguments) => return verify::run(&arguments).await,
        CertCommand::Remove(arguments) => remove::run(&arguments).await?,
        CertCommand::Export(arguments) => export::run(&arguments).await?,
        CertCommand::Bundle(arguments) => bundle::run(&arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if error.is_input() {
            Self::Input(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

fn database(place: &Place) -> Result<Database, Fault> {
    Ok(Database::new(place.nssdir.as_deref(), Tools::default())?)
}

/// A value of the library for programs.
fn for_programs(value: &impl serde::Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value).map_err(|error| Fault::failed("failed to write JSON", error))
}

fn error_for_programs(error: &Error) -> Value {
    json!({ "code": error.code(), "text": error.to_string() })
}

fn expiry(days: i64) -> String {
    match days {
        ..0 => "has expired".to_owned(),
        0 => "expires today".to_owned(),
        1 => "expires in 1 day".to_owned(),
        _ => format!("expires in {days} days"),
    }
}
