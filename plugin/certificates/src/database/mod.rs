//! libreswan's NSS database, through NSS's own programs.

mod batch;
mod fault;
mod guard;
mod listing;
mod marker;
mod pretty;
mod read;
mod snapshot;

use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use nmstate_ipsec_core::command::{Command, CommandError, Output, Started};

pub(crate) use batch::Batch;
pub(crate) use guard::Lock;
pub use listing::{Entry, Trust};
pub(crate) use marker::without_orphans;
pub(crate) use read::Glance;
pub(crate) use snapshot::{Named, Snapshot, key_id};

use crate::error::Error;

/// Where libreswan keeps its database; the second is that of RHEL 8 and before.
const DIRS: [&str; 2] = ["/var/lib/ipsec/nss", "/etc/ipsec.d"];

/// What a database consists of.
const FILES: [&str; 3] = ["cert9.db", "key4.db", "pkcs11.txt"];

/// Passwords of protected databases, as libreswan has them.
const PASSWORD_FILE: &str = "nsspassword";

/// Where libreswan looks for them if not beside the database.
const PASSWORD_DIR: &str = "/etc/ipsec.d";

/// How long one of NSS's programs may take. With ten thousand certificates they are slow.
const TIME_OUT: Duration = Duration::from_secs(120);

/// Most bytes that are read of a program: ten thousand certificates fit.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// Where files are slow to reach NSS copies the database when it is opened, and then knows nothing of what others change.
const CACHE: (&str, &str) = ("NSS_SDB_USE_CACHE", "no");

/// NSS's programs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `certutil(1)`.
    pub certutil: PathBuf,
    /// `pk12util(1)`.
    pub pk12util: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            certutil: "/usr/bin/certutil".into(),
            pk12util: "/usr/bin/pk12util".into(),
        }
    }
}

/// An NSS database. It need not be there yet.
#[derive(Debug, Clone)]
pub struct Database {
    dir: PathBuf,
    location: String,
    tools: Tools,
}

impl Database {
    /// The database in `dir`, or where libreswan has its own.
    ///
    /// # Errors
    /// The directory's name cannot be given to NSS's programs.
    pub fn new(dir: Option<&Path>, tools: Tools) -> Result<Self, Error> {
        let dir = dir.map_or_else(default_dir, Path::to_owned);
        let unfit = |detail: &str| Error::file("directory", &dir, detail);
        let absolute =
            std::path::absolute(&dir).map_err(|error| unfit(&format!("cannot be used: {error}")))?;
        let text = absolute
            .to_str()
            .ok_or_else(|| unfit("is no UTF-8 text, which NSS's programs need; use another directory"))?;
        if text
            .chars()
            .any(|character| character.is_control() || character == '\'')
        {
            return Err(unfit(
                "holds characters that NSS cannot have in the name of a database; use another directory",
            ));
        }
        Ok(Self {
            location: format!("sql:{text}"),
            dir: absolute,
            tools,
        })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has been made, as a whole.
    pub fn exists(&self) -> bool {
        self.dir.join("cert9.db").exists() && !self.making().exists()
    }

    /// Is there while the database is made. Whoever finds it finds what somebody who was killed has left, which nobody has
    /// used.
    fn making(&self) -> PathBuf {
        self.dir.join(".nmstate-ipsec-making")
    }

    /// Makes it as `ipsec initnss` does: without a password, for root alone.
    pub(crate) async fn create(&self) -> Result<(), Error> {
        self.make_dir()?;
        let unmade = |error: std::io::Error| self.fault("unusable", format!("it cannot be made: {error}"));
        if self.making().exists() {
            for name in FILES {
                gone(fs::remove_file(self.dir.join(name))).map_err(unmade)?;
            }
        } else if self.dir.join("key4.db").exists() {
            return Err(self.damaged("cert9.db"));
        }
        fs::File::create(self.making())
            .and_then(|file| file.sync_all())
            .map_err(unmade)?;
        let made = self.certutil("-N").args(["--empty-password"]).run().await;
        self.succeeded("make the database", made).await?;
        for name in FILES {
            fs::set_permissions(self.dir.join(name), Permissions::from_mode(0o600)).map_err(|error| {
                self.fault("unusable", format!("{name} cannot be made root's alone: {error}"))
            })?;
        }
        gone(fs::remove_file(self.making())).map_err(unmade)
    }

    /// Makes the directory; one that is there stays as it is.
    pub(crate) fn make_dir(&self) -> Result<(), Error> {
        let parents = self.dir.parent().map_or(Ok(()), |parent| {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)
        });
        let made = parents.and_then(|()| match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && self.dir.is_dir() => Ok(()),
            other => other,
        });
        made.map_err(|error| self.fault("unusable", format!("its directory cannot be made: {error}")))
    }

    /// A run of certutil; `action` is its first option.
    pub(crate) fn certutil(&self, action: &'static str) -> Command {
        let command = Command::new(&self.tools.certutil, TIME_OUT)
            .keep(MAX_OUTPUT)
            .env(CACHE.0, CACHE.1);
        command.args([action, "-d", &self.location, "-f", &self.password_file()])
    }

    /// A run of pk12util; `action` is its first option.
    pub(crate) fn pk12util(&self, action: &'static str, file: &str) -> Command {
        let command = Command::new(&self.tools.pk12util, TIME_OUT).env(CACHE.0, CACHE.1);
        command.args([action, file, "-d", &self.location, "-k", &self.password_file()])
    }

    /// Runs the lines of `batch` in one process, until one of them fails.
    pub(crate) async fn run(&self, batch: &Batch) -> Result<Output, CommandError> {
        self.run_in(self.start(), batch).await
    }

    /// A certutil that is ready when it gets its lines. Half of its time it takes to get there, and can do so beside
    /// something else: before it has lines it opens the database's files, and reads nothing of what they hold.
    pub(crate) fn start(&self) -> Started {
        self.certutil("-B").args(["-i", "/dev/stdin"]).start()
    }

    /// Runs the lines of `batch` in what [`Self::start`] has started.
    pub(crate) async fn run_in(&self, certutil: Started, batch: &Batch) -> Result<Output, CommandError> {
        certutil.run(batch.text(&self.password_file())).await
    }

    /// What a protected database needs, or an empty file: without any, NSS's programs would ask the terminal.
    fn password_file(&self) -> String {
        let places = [
            self.dir.join(PASSWORD_FILE),
            Path::new(PASSWORD_DIR).join(PASSWORD_FILE),
        ];
        let found = places
            .iter()
            .find_map(|place| place.is_file().then(|| place.to_str())?);
        found.unwrap_or("/dev/null").to_owned()
    }

    /// The output of a program that must have succeeded.
    pub(crate) async fn succeeded(
        &self,
        attempt: impl Into<String>,
        ran: Result<Output, CommandError>,
    ) -> Result<Output, Error> {
        match ran.and_then(Output::success) {
            Ok(output) => Ok(output),
            Err(mut source) => {
                if let CommandError::Failed { said, .. } = &mut source {
                    // What it has listed before it failed says nothing of that.
                    *said = listing::take_out_pem(said).0;
                    // The empty file that stands for no password; nobody is to look for a fault there.
                    *said = said
                        .replace("password file contains no data", "")
                        .trim()
                        .to_owned();
                    if said.is_empty() {
                        "it does not say why".clone_into(said);
                    }
                }
                Err(Error::Tool {
                    attempt: attempt.into(),
                    hint: self.hint(&source),
                    dir: self.dir.clone(),
                    source: Box::new(source),
                })
            }
        }
    }

    pub(crate) fn fault(&self, code: &'static str, detail: impl Into<String>) -> Error {
        Error::Database {
            code,
            dir: self.dir.clone(),
            detail: detail.into(),
        }
    }
}

/// What is not there is gone.
fn gone(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Where libreswan has its database, or would have it.
fn default_dir() -> PathBuf {
    let found = DIRS.iter().find(|dir| Path::new(dir).join("cert9.db").exists());
    PathBuf::from(found.unwrap_or(&DIRS[0]))
}
