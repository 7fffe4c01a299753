//! Certificates whose files are where they are expected: `<nickname>.p12`, with `ca.pem` beside it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::connection::Nickname;

use crate::{database::Database, error::Error, import::Imported, request::Files};

/// The directories, the one that comes first the first to be asked.
pub const DIRS: [&str; 2] = ["/etc/pki/certs", "/etc/nmstate-ipsec/certs"];

/// The authority of the bundles beside it.
const AUTHORITY: &str = "ca.pem";

const ENDING: &str = "p12";

/// Bits of a file's mode by which others than its owner could have written it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

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
/// second is refused. Directories that are not there hold none.
pub async fn import_all(database: &Database, dirs: &[&Path]) -> Vec<Found> {
    let mut all = Vec::new();
    let mut names = Vec::new();
    for dir in dirs {
        let bundles = match bundles(dir) {
            Ok(bundles) => bundles,
            Err(error) => {
                let error = Error::file("unreadable", *dir, format!("cannot be read: {error}"));
                let done = Err(error);
                all.push(Found {
                    path: (*dir).to_owned(),
                    done,
                });
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
            all.push(Found { path, done });
        }
    }
    all
}

/// Imports `bundle` with what is beside it.
async fn one(database: &Database, bundle: &Path) -> Result<Imported, Error> {
    let authority = bundle.with_file_name(AUTHORITY);
    let authorities: Vec<PathBuf> = authority.exists().then_some(authority).into_iter().collect();
    for path in authorities.iter().map(PathBuf::as_path).chain([bundle]) {
        is_roots(path)?;
    }
    let files = Files::read(bundle, None, None, &authorities, None)?;
    files.import(database).await
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

/// Whoever could write the file could have this host take a certificate, or trust an authority.
fn is_roots(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path)
        .map_err(|error| Error::file("unreadable", path, format!("cannot be read: {error}")))?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && metadata.mode() & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    let detail = "can be written by others than root, and is not imported by itself; have root own it ('chown root') and nobody else write it ('chmod go-w')";
    Err(Error::file("not-roots", path, detail))
}
