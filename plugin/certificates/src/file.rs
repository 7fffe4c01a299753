//! Files that somebody gave us: looked at before they are read, and never read beyond a bound.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::{connection::Nickname, secret::Secret};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::Error;

/// No bundle comes near this size; a file that is larger is not one.
const MAX_FILE: u64 = 1024 * 1024;

/// Bits of a file's mode by which others than its owner could have written it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Longest password, in bytes.
const MAX_PASSWORD: u64 = 4096;

/// Where passwords of bundles are looked for that are given none.
const SECRETS_DIR: &str = "/run/secrets";

/// What a file holds that somebody gave us.
#[derive(Clone, Serialize, Deserialize)]
pub struct InputFile {
    /// The file, for messages.
    pub path: PathBuf,
    /// What it holds.
    #[serde(with = "base64")]
    pub content: Zeroizing<Vec<u8>>,
}

impl InputFile {
    /// Reads a regular file of at most 1 MiB.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            content: read(path)?,
        })
    }
}

impl InputFile {
    /// The same of a file that root alone can have written.
    ///
    /// # Errors
    /// Also that others could have.
    pub(crate) fn of_root(path: &Path) -> Result<Self, Error> {
        let is_ours = |stat: &Stat| is_roots(path, stat.st_uid, stat.st_mode);
        Ok(Self {
            path: path.to_owned(),
            content: read_if(path, is_ours)?,
        })
    }
}

/// Refuses what others than root could have written.
///
/// # Errors
/// They could.
pub(crate) fn is_roots(path: &Path, owner: u32, mode: u32) -> Result<(), Error> {
    if owner == rustix::process::geteuid().as_raw() && mode & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    let detail = "can be written by others than root, and is not used without anybody's asking; have root own it ('chown root') and nobody else write it ('chmod go-w')";
    Err(Error::file("not-roots", path, detail))
}

impl std::fmt::Debug for InputFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({} bytes)",
            self.path.display(),
            self.content.len()
        )
    }
}

/// Bytes as text, for JSON.
pub(crate) mod base64 {
    use openssl::base64::{decode_block, encode_block};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use zeroize::Zeroizing;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(encode_block(bytes)))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        decode_block(&text).map(Zeroizing::new).map_err(D::Error::custom)
    }
}

/// The password of a bundle, and where it is from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Password {
    /// The password; empty if there is none.
    #[serde(with = "text")]
    pub secret: Secret,
    /// The file that it was read from; nothing if none was found.
    pub origin: Option<PathBuf>,
    /// Where it was looked for in vain.
    pub missed: Vec<PathBuf>,
}

impl Password {
    /// That of what is not protected.
    pub fn none() -> Self {
        Self {
            secret: Secret::new(String::new()),
            origin: None,
            missed: Vec::new(),
        }
    }
}

/// A secret as text, for JSON that goes through pipes and over the bus alone.
pub(crate) mod text {
    use nmstate_ipsec_core::secret::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// Reads the password of the bundle that `nickname` is to stand for: from `given` (`-` is standard input), or from
/// `<nickname>_password` in /run/secrets or beside the bundle. Without any of them it is empty.
///
/// # Errors
/// The file cannot be read, is too long or is no text.
pub fn password_of(given: Option<&Path>, bundle: &Path, nickname: &Nickname) -> Result<Password, Error> {
    if let Some(path) = given {
        return Ok(Password {
            secret: read_password(path)?,
            origin: Some(path.to_owned()),
            missed: Vec::new(),
        });
    }
    let mut missed = Vec::new();
    // A nickname with a slash in it would lead elsewhere.
    if !nickname.as_str().contains('/') {
        let name = format!("{nickname}_password");
        for dir in [Some(Path::new(SECRETS_DIR)), bundle.parent()]
            .into_iter()
            .flatten()
        {
            let path = dir.join(&name);
            if path.exists() {
                return Ok(Password {
                    secret: read_password(&path)?,
                    origin: Some(path),
                    missed,
                });
            }
            missed.push(path);
        }
    }
    Ok(Password {
        secret: Secret::new(String::new()),
        origin: None,
        missed,
    })
}

fn read_password(path: &Path) -> Result<Secret, Error> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD as usize + 1));
        io::stdin()
            .lock()
            .take(MAX_PASSWORD + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::file("unreadable", path, format!("cannot be read: {error}")))?;
        bytes
    } else {
        read(path)?
    };
    if bytes.len() as u64 > MAX_PASSWORD {
        let detail =
            format!("is longer than {MAX_PASSWORD} bytes, which no password is; give the file that holds it");
        return Err(Error::file("password-file", path, detail));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Error::file(
            "password-file",
            path,
            "is no UTF-8 text; write the password as text",
        )
    })?;
    // An editor ends the last line; whoever means a line end in a password has no way to type it either.
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\0']) {
        return Err(Error::file(
            "password-file",
            path,
            "holds more than one line; the password is to be alone in it",
        ));
    }
    Ok(Secret::new(line.to_owned()))
}

/// Reads a regular file of at most [`MAX_FILE`] bytes.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_if(path, |_| Ok(()))
}

/// The same if `judge` has nothing against the very file that is read.
fn read_if(path: &Path, judge: impl Fn(&Stat) -> Result<(), Error>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |error: io::Error| Error::file("unreadable", path, format!("cannot be read: {error}"));
    // A FIFO that nobody writes to must not hold us up, and a terminal must not become ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let stat = fstat(&file).map_err(|error| unreadable(error.into()))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    };
    if let Some(kind) = kind {
        return Err(Error::file(
            "not-a-file",
            path,
            format!("is {kind}; give a regular file"),
        ));
    }
    judge(&stat)?;
    // Room for all of it, so that no copy is left behind where the buffer grew.
    let size = u64::try_from(stat.st_size).unwrap_or(0).min(MAX_FILE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize + 32));
    File::from(file)
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        let detail = "is larger than 1 MiB, which no bundle is; give one with this host's certificate, its key and its authorities";
        return Err(Error::file("too-large", path, detail));
    }
    if bytes.is_empty() {
        return Err(Error::file("empty", path, "is empty; was it copied completely?"));
    }
    Ok(bytes)
}
