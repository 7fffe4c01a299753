//! PKCS#12, with the algorithms of today and those that OpenSSL 3 has put aside.

use std::path::Path;

use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkcs12::{ParsedPkcs12_2, Pkcs12},
    pkey::{PKey, Private},
    provider::Provider,
    stack::Stack,
    x509::X509,
};

use super::{Bundle, wrong_password};
use crate::{error::Error, file::Password};

/// Rounds that make a key of a password. As many as OpenSSL's own command makes.
pub(super) const ROUNDS: u32 = 2048;

pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    password: &Password,
) -> Result<(Vec<X509>, PKey<Private>), Error> {
    let malformed = || {
        let detail = "is neither PKCS#12 nor PEM, or it is cut off or damaged; was it copied completely?";
        Error::file("malformed", path, detail)
    };
    // OpenSSL's texts end there.
    if password.secret.expose().contains('\0') {
        return Err(wrong_password(path, password));
    }
    let pkcs12 = Pkcs12::from_der(bytes).map_err(|_| malformed())?;
    let parsed = parse(&pkcs12, password).map_err(|errors| {
        if says(&errors, "mac absent") {
            let detail = "has no checksum (MAC), so that nobody can say whether it is whole; make it again, with 'nmstate-ipsec cert bundle' for instance";
            Error::file("malformed", path, detail)
        } else if says(&errors, "mac verify failure") {
            wrong_password(path, password)
        } else if says(&errors, "unsupported") {
            let detail = "is encrypted with an algorithm that OpenSSL on this host does not have, nor its provider 'legacy'; make it again, with 'nmstate-ipsec cert bundle' for instance";
            Error::file("unsupported", path, detail)
        } else {
            malformed()
        }
    })?;
    let key = parsed.pkey.ok_or_else(|| {
        let detail = "holds no private key; bundle the certificate with its key, with 'nmstate-ipsec cert bundle' for instance";
        Error::file("no-key", path, detail)
    })?;
    let mut certificates: Vec<X509> = parsed.cert.into_iter().collect();
    certificates.extend(parsed.ca.into_iter().flatten());
    Ok((certificates, key))
}

/// Parses with what OpenSSL offers by itself, and only if that is not enough with RC2 and the like.
fn parse(pkcs12: &Pkcs12, password: &Password) -> Result<ParsedPkcs12_2, ErrorStack> {
    let password = password.secret.expose();
    match pkcs12.parse2(password) {
        Err(errors) if says(&errors, "unsupported") => {
            // Given up at the end of this function, so that nothing else gets to use them.
            let _legacy = Provider::try_load(None, "legacy", true).map_err(|_| errors)?;
            pkcs12.parse2(password)
        }
        other => other,
    }
}

fn says(errors: &ErrorStack, words: &str) -> bool {
    errors
        .errors()
        .iter()
        .any(|error| error.reason().is_some_and(|reason| reason.contains(words)))
}

pub(super) fn write(
    bundle: &Bundle,
    name: &str,
    password: &str,
    with_chain: bool,
    rounds: u32,
) -> Result<Vec<u8>, Error> {
    let made = || {
        let mut builder = Pkcs12::builder();
        builder
            .name(name)
            .pkey(&bundle.key)
            .cert(&bundle.certificate)
            .key_algorithm(Nid::AES_256_CBC)
            .cert_algorithm(Nid::AES_256_CBC)
            .key_iter(rounds)
            .mac_iter(rounds)
            .mac_md(MessageDigest::sha256());
        if with_chain && !bundle.chain.is_empty() {
            let mut chain = Stack::new()?;
            for certificate in &bundle.chain {
                chain.push(certificate.clone())?;
            }
            builder.ca(chain);
        }
        builder.build2(password)?.to_der()
    };
    made().map_err(|errors: ErrorStack| {
        Error::local(format!("make PKCS#12 of {}", bundle.path.display()), errors)
    })
}
