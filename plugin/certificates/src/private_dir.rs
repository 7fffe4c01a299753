//! A directory that nobody but us can look into, in memory if there is such a place, and gone when it is dropped.

use std::{
    fs::{OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::statfs;
use tempfile::TempDir;

use crate::error::Error;

/// Where it is made: the first that is in memory, else the first that takes it.
const PLACES: [&str; 3] = ["/run", "/dev/shm", "/tmp"];

/// Numbers of tmpfs and ramfs (`statfs(2)`).
const IN_MEMORY: [i128; 2] = [0x0102_1994, 0x8584_58f6];

/// The directory. It goes with everything in it when this is dropped.
pub(crate) struct PrivateDir(TempDir);

impl PrivateDir {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut places = PLACES;
        places.sort_by_key(|place| !is_in_memory(place));
        let mut last = None;
        for place in places {
            let made = tempfile::Builder::new()
                .prefix("nmstate-ipsec-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(place);
            match made {
                Ok(dir) => return Ok(Self(dir)),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        Err(Error::local(
            format!("make a private directory in {}", PLACES.join(", ")),
            why,
        ))
    }

    /// A new file that only we can read.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|error| Error::local(format!("write {}", path.display()), error))?;
        Ok(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn is_in_memory(place: &str) -> bool {
    statfs(Path::new(place)).is_ok_and(|found| IN_MEMORY.contains(&i128::from(found.f_type)))
}
