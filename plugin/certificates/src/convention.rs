//! Certificates whose files are where they are expected: `<nickname>.p12`, with `ca.pem` beside it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::connection::Nickname;

use crate::{database::Database, error::Error, file, import::Imported, request::Files};

/// The directories, the one that comes first the first to be asked.
pub const DIRS: [&str; 2] = ["/etc/pki/certs", "/etc/nmstate-ipsec/certs"];

/// The authority of the bundles beside it.
const AUTHORITY: &str = "ca.pem";

const ENDING: &str = "p12";

/// Imports the bundle of that nickname from the first of `dirs` that has one.
///
/// # Errors
/// There is none, it is not root's alone to write, or as those of [`crate::import`].
pub async fn import_by_name(
    database: &Database,
    nickname: &Nickname,
    dirs: &[&Path],
) -> Result<Imported, Error> {
    let name = format!("{nickname}.{ENDING}");
    let places: Vec<PathBuf> = dirs.iter().map(|dir| dir.join(&name)).collect();
    let Some(bundle) = places.iter().find(|path| path.symlink_metadata().is_ok()) else {
        return Err(Error::NoBundle {
            nickname: nickname.to_string(),
            places,
        });
    };
    one(database, bundle).await
}

/// What came of one bundle.
#[derive(Debug)]
pub struct Found {
    /// The bundle.
    pub path: PathBuf,
    /// What came of it.
    pub done: Result<Imported, Error>,
}

/// Imports every bundle of `dirs`, one after the other; a bad one does not keep the others out. Of two of one nickname the
/// second is refused. Directories that are not there hold none. What came of each is told at once.
pub async fn import_all(database: &Database, dirs: &[&Path], mut tell: impl AsyncFnMut(Found)) {
    let mut names = Vec::new();
    for dir in dirs {
        let bundles = match bundles(dir) {
            Ok(bundles) => bundles,
            Err(error) => {
                let error = Error::file("unreadable", *dir, format!("cannot be read: {error}"));
                let done = Err(error);
                let path = (*dir).to_owned();
                tell(Found { path, done }).await;
                continue;
            }
        };
        for path in bundles {
            let earlier = names
                .iter()
                .find(|known: &&PathBuf| known.file_stem() == path.file_stem());
            let done = match earlier {
                Some(earlier) => {
                    let detail = format!(
                        "has the nickname of {}, which was taken; remove one of the two",
                        earlier.display()
                    );
                    Err(Error::file("duplicate", &path, detail))
                }
                None => one(database, &path).await,
            };
            names.push(path.clone());
            tell(Found { path, done }).await;
        }
    }
}

/// Imports `bundle` with what is beside it.
async fn one(database: &Database, bundle: &Path) -> Result<Imported, Error> {
    is_roots(bundle.parent().unwrap_or(Path::new("/")))?;
    let authority = bundle.with_file_name(AUTHORITY);
    // One that cannot be looked at is there, and a fault.
    let is_there =
        !matches!(authority.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    let authorities: Vec<PathBuf> = is_there.then_some(authority).into_iter().collect();
    Files::of_root(bundle, &authorities)?.import(database).await
}

/// What tells whether anything in the directories has changed: names, and when each was changed last.
pub fn state(dirs: &[&Path]) -> Vec<(PathBuf, i64, i64, u64)> {
    let mut state = Vec::new();
    for dir in dirs {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            // What goes in between will be missing the next time.
            if let Ok(metadata) = fs::metadata(entry.path()) {
                state.push((
                    entry.path(),
                    metadata.ctime(),
                    metadata.ctime_nsec(),
                    metadata.ino(),
                ));
            }
        }
    }
    state.sort();
    state
}

/// The bundles of a directory, by name.
fn bundles(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|ending| ending == ENDING) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whoever could write the directory could have this host take a certificate, or trust an authority.
fn is_roots(dir: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(dir)
        .map_err(|error| Error::file("unreadable", dir, format!("cannot be read: {error}")))?;
    file::is_roots(dir, metadata.uid(), metadata.mode())
}
