//! `nmstate-ipsec cert export`: a certificate, its key and its authorities as PKCS#12.

use std::process::ExitCode;

use nmstate_ipsec_certificates::{
    name, password_of,
    request::{Answer, Refusal, Request},
    write_new,
};

use super::{Export, ask, unexpected};

/// Exports the certificate.
///
/// # Errors
/// It is not there, or the file cannot be made.
pub(super) async fn run(arguments: &Export) -> Result<ExitCode, Refusal> {
    let nickname = name::parse(&arguments.nickname)?;
    let password = password_of(Some(&arguments.password_file), &arguments.output, &nickname)?;
    let request = Request::Export {
        nickname: nickname.to_string(),
        password: password.secret,
    };
    match ask(&arguments.place, &request).await?.answer {
        Answer::Exported(bundle) => write_new(&bundle, &arguments.output)?,
        other => return Err(unexpected(other)),
    }
    println!("{}: exported to {}", nickname, arguments.output.display());
    Ok(ExitCode::SUCCESS)
}
