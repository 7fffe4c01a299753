//! What the program of this crate is asked, and what it answers, both in JSON.
//!
//! The daemon keeps OpenSSL and bundles out of its own process: it hands what it is asked on the bus to the program, and
//! the program's answer back. A command that may do without the daemon runs the same requests itself.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use nmstate_ipsec_core::{connection::Nickname, secret::Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    bundle::{Bundle, authorities_of},
    convention,
    database::Database,
    error::Error,
    export::export,
    file::{InputFile, Password, base64, password_of, text},
    import::{Import, Imported, begin, import_begun},
    list::{Held, held},
    name,
    remove::{Removed, remove},
};

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Import what files hold.
    Import(Box<Files>),
    /// Import what is in the directories of certificates under this nickname.
    ImportByName {
        /// The nickname.
        nickname: String,
    },
    /// List everything.
    List,
    /// Remove a certificate and its key.
    Remove {
        /// The nickname.
        nickname: String,
        /// Whether authorities that nothing else was issued by go along.
        with_authorities: bool,
        /// Whether nothing is to be changed.
        dry_run: bool,
    },
    /// Hand out a certificate, its key and its authorities.
    Export {
        /// The nickname.
        nickname: String,
        /// The password that the bundle is to have.
        #[serde(with = "text")]
        password: Secret,
    },
}

/// A bundle, as it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The bundle.
    pub bundle: InputFile,
    /// The key, if the bundle is PEM and lacks it.
    pub key: Option<InputFile>,
    /// Authorities that are to be trusted.
    pub authorities: Vec<InputFile>,
    /// What the certificate is to be called.
    pub nickname: String,
    /// The bundle's password.
    pub password: Password,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
}

impl Files {
    /// Reads a bundle, which is called `nickname` or as its file, and what belongs to it.
    ///
    /// # Errors
    /// One of the files cannot be read, or the name cannot be a nickname.
    pub fn read(
        bundle: &Path,
        nickname: Option<&str>,
        key: Option<&Path>,
        authorities: &[PathBuf],
        password_file: Option<&Path>,
    ) -> Result<Self, Error> {
        let password = |name: &_| password_of(password_file, bundle, name);
        Self::read_by(InputFile::read, bundle, nickname, key, authorities, password)
    }

    /// The same of a bundle that is imported without anybody's asking: root alone can have written the files.
    pub(crate) fn of_root(bundle: &Path, authorities: &[PathBuf]) -> Result<Self, Error> {
        let password = |name: &_| password_of(None, bundle, name);
        Self::read_by(InputFile::of_root, bundle, None, None, authorities, password)
    }

    fn read_by(
        read: fn(&Path) -> Result<InputFile, Error>,
        bundle: &Path,
        nickname: Option<&str>,
        key: Option<&Path>,
        authorities: &[PathBuf],
        password: impl Fn(&Nickname) -> Result<Password, Error>,
    ) -> Result<Self, Error> {
        let nickname = name::of_bundle(bundle, nickname)?;
        let password = password(&nickname)?;
        let authorities = authorities.iter().map(|path| read(path));
        Ok(Self {
            bundle: read(bundle)?,
            key: key.map(read).transpose()?,
            authorities: authorities.collect::<Result<_, _>>()?,
            nickname: nickname.to_string(),
            password,
            dry_run: false,
        })
    }

    /// Imports them.
    ///
    /// # Errors
    /// As those of [`crate::import`].
    pub(crate) async fn import(&self, database: &Database) -> Result<Imported, Error> {
        let nickname = name::parse(&self.nickname)?;
        let opening = Bundle::begin(&self.bundle, self.key.as_ref(), &self.password)?;
        let begun = begin(database, &nickname).await?;
        let mut authorities = Vec::new();
        for file in &self.authorities {
            authorities.extend(authorities_of(file)?);
        }
        let what = Import {
            bundle: &opening.bundle()?,
            nickname: &nickname,
            authorities: &authorities,
            dry_run: self.dry_run,
            now: SystemTime::now(),
        };
        import_begun(database, begun, &what).await
    }
}

/// What came of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Of an import.
    Imported(Imported),
    /// Of a request for everything.
    Listed(Vec<Held>),
    /// Of a removal.
    Removed(Removed),
    /// Of an export: PKCS#12.
    Exported(#[serde(with = "base64")] Zeroizing<Vec<u8>>),
    /// It was not done.
    Refused(Refusal),
}

/// An error, as it goes over the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// [`Error::code`].
    pub code: String,
    /// [`Error::is_input`].
    pub is_input: bool,
    /// What was attempted, on what, why it failed, and what to do next.
    pub text: String,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().to_owned(),
            is_input: error.is_input(),
            text: error.to_string(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// An answer, and the database that it is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The directory of the database.
    pub database: PathBuf,
    /// What came of the request.
    pub answer: Answer,
    /// Nicknames that are in the database and cannot be read, if all were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

impl Request {
    /// Does it.
    pub async fn run(&self, database: &Database) -> Reply {
        let mut unreadable = Vec::new();
        let answer = match self.answer(database, &mut unreadable).await {
            Ok(answer) => answer,
            Err(error) => Answer::Refused((&error).into()),
        };
        Reply {
            database: database.dir().to_owned(),
            answer,
            unreadable,
        }
    }

    async fn answer(&self, database: &Database, unreadable: &mut Vec<String>) -> Result<Answer, Error> {
        Ok(match self {
            Self::Import(files) => Answer::Imported(files.import(database).await?),
            Self::ImportByName { nickname } => {
                let nickname = name::parse(nickname)?;
                let dirs = convention::DIRS.map(Path::new);
                Answer::Imported(convention::import_by_name(database, &nickname, &dirs).await?)
            }
            Self::List => {
                let found = held(database, SystemTime::now()).await?;
                *unreadable = found.unreadable;
                Answer::Listed(found.certificates)
            }
            Self::Remove {
                nickname,
                with_authorities,
                dry_run,
            } => {
                let nickname = name::parse(nickname)?;
                Answer::Removed(remove(database, &nickname, *with_authorities, *dry_run).await?)
            }
            Self::Export { nickname, password } => {
                let nickname = name::parse(nickname)?;
                let bundle = export(database, &nickname).await?;
                let bytes = bundle.to_pkcs12(nickname.as_str(), password.expose(), true)?;
                Answer::Exported(Zeroizing::new(bytes))
            }
        })
    }
}
