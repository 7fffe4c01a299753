//! PEM: text with a certificate, a key, a chain in it.

use std::path::Path;

use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};

use super::wrong_password;
use crate::{error::Error, file::Password};

const BEGIN: &[u8] = b"-----BEGIN ";

/// Whether there is anything in PEM in `bytes`.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<X509>, Error> {
    X509::stack_from_pem(bytes).map_err(|_| {
        Error::file(
            "malformed",
            path,
            "holds a certificate that is cut off or damaged; was it copied completely?",
        )
    })
}

pub(super) fn key(path: &Path, bytes: &[u8], password: &Password) -> Result<PKey<Private>, Error> {
    let block = block(bytes, b" PRIVATE KEY-----").or_else(|| block(bytes, b"-----BEGIN PRIVATE KEY-----"));
    let Some(block) = block else {
        let detail = "holds no private key; give the file that does with --key, or put both into one file";
        return Err(Error::file("no-key", path, detail));
    };
    let mut was_asked = false;
    // Without a callback OpenSSL would ask the terminal.
    let key = PKey::private_key_from_pem_callback(block, |buffer| {
        was_asked = true;
        let secret = password.secret.expose().as_bytes();
        let room = buffer
            .get_mut(..secret.len())
            .ok_or_else(openssl::error::ErrorStack::get)?;
        room.copy_from_slice(secret);
        Ok(secret.len())
    });
    key.map_err(|_| {
        if was_asked {
            wrong_password(path, password)
        } else {
            Error::file(
                "malformed",
                path,
                "holds a private key that is cut off or damaged; was it copied completely?",
            )
        }
    })
}

/// From the first line that begins a block and has `mark` in it to the end of the text.
fn block<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let mut offset = 0;
    for line in lines {
        if line.starts_with(BEGIN) && line.windows(mark.len()).any(|window| window == mark) {
            return bytes.get(offset..);
        }
        offset += line.len();
    }
    None
}
