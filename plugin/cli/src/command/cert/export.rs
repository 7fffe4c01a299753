//! `nmstate-ipsec cert export`: a certificate, its key and its authorities as PKCS#12.

use nmstate_ipsec_certificates::{export, name, password_of, write_bundle};

use super::{Export, database};
use crate::command::Fault;

/// Exports the certificate.
///
/// # Errors
/// It is not there, or the file cannot be made.
pub(super) async fn run(arguments: &Export) -> Result<(), Fault> {
    let database = database(&arguments.place)?;
    let nickname = name::parse(&arguments.nickname)?;
    let password = password_of(Some(&arguments.password_file), &arguments.output, &nickname)?;
    let bundle = export(&database, &nickname).await?;
    write_bundle(&bundle, nickname.as_str(), &password.secret, &arguments.output)?;
    println!("{}: exported to {}", nickname, arguments.output.display());
    Ok(())
}
