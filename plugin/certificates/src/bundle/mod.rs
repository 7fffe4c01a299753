//! Bundles: a certificate, its key and the authorities that came with them.

mod patience;
mod pem;
mod pkcs12;

use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
pub use openssl::x509::X509;

use crate::{
    error::Error,
    file::{InputFile, Password},
};

/// Most certificates in one file. A chain has a few.
pub const MAX_CERTIFICATES: usize = 100;

/// A certificate, its key and what came with them. The key belongs to the certificate.
pub struct Bundle {
    /// The file it was read from.
    pub path: PathBuf,
    /// The certificate of this host.
    pub certificate: X509,
    /// Its key.
    pub key: PKey<Private>,
    /// Further certificates of the bundle.
    pub chain: Vec<X509>,
}

/// A bundle that is being read.
pub(crate) struct Opening {
    path: PathBuf,
    begun: patience::Begun<(Vec<X509>, PKey<Private>)>,
}

impl Opening {
    /// The bundle.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn bundle(self) -> Result<Bundle, Error> {
        let (certificates, key) = self.begun.within(patience::PATIENCE)?;
        Bundle::of(&self.path, certificates, key)
    }
}

impl Bundle {
    /// Reads a bundle, PKCS#12 or PEM, whose key may be in a file of its own (PEM only).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path, key: Option<&Path>, password: &Password) -> Result<Self, Error> {
        let file = InputFile::read(path)?;
        Self::read(&file, key.map(InputFile::read).transpose()?.as_ref(), password)
    }

    /// The same of what files hold.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(file: &InputFile, key: Option<&InputFile>, password: &Password) -> Result<Self, Error> {
        Self::begin(file, key, password)?.bundle()
    }

    /// Begins to read what files hold, beside something else.
    ///
    /// # Errors
    /// There can be no thread for it.
    pub(crate) fn begin(
        file: &InputFile,
        key: Option<&InputFile>,
        password: &Password,
    ) -> Result<Opening, Error> {
        let path = file.path.clone();
        let (file, key, password) = (file.clone(), key.cloned(), password.clone());
        let begun = patience::begin(&path, move || parts(&file, key.as_ref(), &password))?;
        Ok(Opening { path, begun })
    }

    /// Reads what pk12util has written, which nobody has made to be slow: its million rounds take what they take.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read_own(file: &InputFile, password: &Password) -> Result<Self, Error> {
        let (certificates, key) = parts(file, None, password)?;
        Self::of(&file.path, certificates, key)
    }

    /// Puts the parts together.
    fn of(path: &Path, mut certificates: Vec<X509>, key: PKey<Private>) -> Result<Self, Error> {
        if certificates.is_empty() {
            let detail = "holds no certificate; give a bundle with this host's certificate and its key";
            return Err(Error::file("no-certificate", path, detail));
        }
        if certificates.len() > MAX_CERTIFICATES {
            let detail = format!(
                "holds {} certificates, and more than {MAX_CERTIFICATES} are refused; give one with this host's certificate and its authorities alone",
                certificates.len()
            );
            return Err(Error::file("too-many", path, detail));
        }
        let is_of_key = |certificate: &X509| {
            certificate
                .public_key()
                .is_ok_and(|public| public.public_eq(&key))
        };
        let Some(own) = certificates.iter().position(is_of_key) else {
            let detail = "its key belongs to none of its certificates; bundle the certificate with the key that it was requested with";
            return Err(Error::file("key-mismatch", path, detail));
        };
        Ok(Self {
            path: path.to_owned(),
            certificate: certificates.remove(own),
            key,
            chain: certificates,
        })
    }

    /// What PKCS#12 calls the certificate: the nickname that pk12util gives it.
    pub fn friendly_name(&self) -> Option<&[u8]> {
        self.certificate.alias()
    }

    /// The bundle as PKCS#12 with `name` as its friendly name.
    ///
    /// # Errors
    /// OpenSSL cannot make one of it.
    pub fn to_pkcs12(&self, name: &str, password: &str, with_chain: bool) -> Result<Vec<u8>, Error> {
        pkcs12::write(self, name, password, with_chain, pkcs12::ROUNDS)
    }

    /// The same for another program to read at once, with a password that nobody could guess: rounds would only take time.
    pub(crate) fn to_pkcs12_for_now(&self, name: &str, password: &str) -> Result<Vec<u8>, Error> {
        pkcs12::write(self, name, password, false, 1)
    }
}

/// What files hold. A password may cost any amount of work.
fn parts(
    file: &InputFile,
    key: Option<&InputFile>,
    password: &Password,
) -> Result<(Vec<X509>, PKey<Private>), Error> {
    let (path, bytes) = (&file.path, &file.content);
    if pem::is(bytes) {
        let certificates = pem::certificates(path, bytes)?;
        let key = key.unwrap_or(file);
        return Ok((certificates, pem::key(&key.path, &key.content, password)?));
    }
    if let Some(key) = key {
        let detail = "is of use with a certificate in PEM only; PKCS#12 brings its own key";
        return Err(Error::file("key", &key.path, detail));
    }
    pkcs12::read(path, bytes, password)
}

/// Whether a file is PEM; a bundle that is not is PKCS#12.
pub fn is_pem(file: &InputFile) -> bool {
    pem::is(&file.content)
}

/// Reads the certificates of a file in PEM or DER.
///
/// # Errors
/// What is wrong with the file.
pub fn read_authorities(path: &Path) -> Result<Vec<X509>, Error> {
    authorities_of(&InputFile::read(path)?)
}

/// The same of what a file holds.
pub(crate) fn authorities_of(file: &InputFile) -> Result<Vec<X509>, Error> {
    let (path, bytes) = (&file.path, &file.content);
    let certificates = if pem::is(bytes) {
        pem::certificates(path, bytes)?
    } else {
        let certificate = X509::from_der(bytes).map_err(|_| {
            Error::file(
                "malformed",
                path,
                "is no certificate, neither in PEM nor in DER; was it copied completely?",
            )
        })?;
        vec![certificate]
    };
    if certificates.is_empty() || certificates.len() > MAX_CERTIFICATES {
        let detail = format!(
            "holds {} certificates; give the one of the authority",
            certificates.len()
        );
        return Err(Error::file("no-certificate", path, detail));
    }
    Ok(certificates)
}

/// What to do where a password is wrong.
fn wrong_password(path: &Path, password: &Password) -> Error {
    let detail = match &password.origin {
        Some(origin) => format!(
            "the password in {} is not the one of the bundle",
            origin.display()
        ),
        None if password.missed.is_empty() => {
            "is protected by a password; give the file that holds it with --password-file".to_owned()
        }
        None => {
            let missed: Vec<String> = password
                .missed
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let missed = missed.join(" nor ");
            format!(
                "is protected by a password, and there is neither {missed}; give the file that holds it with --password-file"
            )
        }
    };
    let code = if password.origin.is_some() {
        "wrong-password"
    } else {
        "no-password"
    };
    Error::file(code, path, detail)
}
