//! `nmstate-ipsec cert bundle`: PKCS#12 of PEM files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use nmstate_ipsec_certificates::{
    Error, Password,
    bundle::{Bundle as Parts, read_authorities},
    name, password_of,
    request::Refusal,
    write_bundle,
};

use super::Bundle;
use crate::command::Fault;

/// Makes the bundle.
///
/// # Errors
/// A file is not what it should be, or the bundle cannot be written.
pub(super) fn run(arguments: &Bundle) -> Result<ExitCode, Refusal> {
    let nickname = name::of_bundle(&arguments.output, None)?;
    let files = [&arguments.key_password_file, &arguments.password_file];
    if files.iter().all(|file| file.as_deref() == Some(Path::new("-"))) {
        let text = "standard input holds one password; give the other with a file";
        return Err(Fault::Input(text.to_owned()).into());
    }
    let password = |file: &Option<PathBuf>| match file {
        Some(path) => password_of(Some(path), &arguments.output, &nickname),
        None => Ok(Password::none()),
    };
    let key_password = password(&arguments.key_password_file)?;
    let mut bundle = Parts::open(&arguments.cert, Some(&arguments.key), &key_password).map_err(advise)?;
    for path in &arguments.ca {
        for authority in read_authorities(path)? {
            if !bundle.chain.contains(&authority) {
                bundle.chain.push(authority);
            }
        }
    }
    let password = password(&arguments.password_file)?;
    write_bundle(&bundle, nickname.as_str(), &password.secret, &arguments.output)?;
    println!(
        "{}: made, with {} authorities",
        arguments.output.display(),
        bundle.chain.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The password of the bundle is not the one that its key lacks.
fn advise(error: Error) -> Refusal {
    let mut refusal = Refusal::from(&error);
    if let Error::File { code, path, detail } = error {
        let detail = match code {
            "no-password" => {
                "is protected by a password; give the file that holds it with --key-password-file".to_owned()
            }
            "wrong-password" => detail.replace("of the bundle", "of the key"),
            _ => return refusal,
        };
        refusal.text = format!("{}: {detail}", path.display());
    }
    refusal
}
