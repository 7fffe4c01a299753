//! A certificate with its key out of the database, and bundles made of files.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nmstate_ipsec_core::{connection::Nickname, secret::Secret};
use openssl::{rand::rand_bytes, x509::X509};

use crate::{
    bundle::Bundle,
    database::{Database, Snapshot},
    description::{self, hex},
    error::Error,
    file::{InputFile, Password},
    fitness::roots,
    judge,
    private_file::PrivateFile,
};

/// Takes a certificate with its key and its authorities out of the database, which keeps them.
///
/// # Errors
/// It is not there, or its key is not.
pub async fn export(database: &Database, nickname: &Nickname) -> Result<Bundle, Error> {
    let (_lock, snapshot) = database.lock_with(nickname).await?;
    if !snapshot
        .entries_of(nickname.as_str())
        .any(|entry| entry.trust.has_key())
    {
        return Err(database.fault(
            "no-key",
            format!("'{nickname}' has no key there, so that there is nothing to make a bundle of"),
        ));
    }
    let mut file = PrivateFile::new(&[])?;
    let mut bytes = [0; 24];
    rand_bytes(&mut bytes).map_err(|error| Error::local("make a password", error))?;
    let password = Secret::new(hex(&bytes));
    let command = database
        .pk12util("-o", &file.path())
        .args(["-n", nickname.as_str(), "-w", "/dev/stdin"]);
    let ran = command.input(password.expose()).run().await;
    database.succeeded(format!("export '{nickname}'"), ran).await?;
    let exported = InputFile {
        path: database.dir().to_owned(),
        content: file.content()?,
    };
    let password = Password {
        secret: password,
        ..Password::none()
    };
    let mut bundle = Bundle::read_own(&exported, &password)?;
    bundle.chain = authorities(&bundle.certificate, &snapshot);
    Ok(bundle)
}

fn authorities(certificate: &X509, snapshot: &Snapshot) -> Vec<X509> {
    let all: Vec<X509> = snapshot
        .held
        .iter()
        .map(|held| held.certificate.clone())
        .collect();
    let own = description::fingerprint(certificate);
    let others: Vec<X509> = all
        .into_iter()
        .filter(|other| description::fingerprint(other) != own)
        .collect();
    judge::path(
        certificate,
        judge::Authorities {
            trusted: &roots(&others),
            between: &others,
        },
    )
}

/// Writes `bundle` as PKCS#12 into the new file `path`, which root alone can read.
///
/// # Errors
/// There is such a file, or it cannot be written. Then nothing is left of it.
pub fn write_bundle(bundle: &Bundle, name: &str, password: &Secret, path: &Path) -> Result<(), Error> {
    write_new(&bundle.to_pkcs12(name, password.expose(), true)?, path)
}

/// Writes the new file `path`, which root alone can read.
///
/// # Errors
/// There is such a file, or it cannot be written. Then nothing is left of it.
pub fn write_new(bytes: &[u8], path: &Path) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Error::file(
                    "exists",
                    path,
                    "is there already; give another name, or remove it first",
                )
            } else {
                Error::file("unwritable", path, format!("cannot be written: {error}"))
            }
        })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            // What is there of it is of no use to anybody.
            drop(fs::remove_file(path));
            Error::file("unwritable", path, format!("cannot be written: {error}"))
        })
}
