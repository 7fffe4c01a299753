//! `nmstate-ipsec cert bundle`: PKCS#12 of PEM files.

use nmstate_ipsec_certificates::{
    Password,
    bundle::{Bundle as Parts, read_authorities},
    name, password_of, write_bundle,
};

use super::Bundle;
use crate::command::Fault;

/// Makes the bundle.
///
/// # Errors
/// A file is not what it should be, or the bundle cannot be written.
pub(super) fn run(arguments: &Bundle) -> Result<(), Fault> {
    let nickname = name::of_bundle(&arguments.output, None)?;
    let mut bundle = Parts::open(&arguments.cert, Some(&arguments.key), &Password::none())?;
    for path in &arguments.ca {
        for authority in read_authorities(path)? {
            if !bundle.chain.contains(&authority) {
                bundle.chain.push(authority);
            }
        }
    }
    let password = match &arguments.password_file {
        Some(path) => password_of(Some(path), &arguments.output, &nickname)?,
        None => Password::none(),
    };
    write_bundle(&bundle, nickname.as_str(), &password.secret, &arguments.output)?;
    println!(
        "{}: made, with {} authorities",
        arguments.output.display(),
        bundle.chain.len()
    );
    Ok(())
}
