//! The rules of every guard as a file, from which they are loaded when the host boots.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::profile::Uuid;

use crate::files;

/// The directory below that of the daemon's state.
const DIR: &str = "guard";

/// What a file's name ends with; before it stands the UUID.
const SUFFIX: &str = ".nft";

/// The files, readable by root alone.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Those below `state_dir`, which is the daemon's own.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            dir: state_dir.join(DIR),
        }
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a connection's file says; empty if there is none.
    pub(super) fn read(&self, uuid: &Uuid) -> io::Result<String> {
        match fs::read_to_string(self.path(uuid)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    /// Puts a file in place of the connection's own. It is there as a whole, and on the disk, when this returns.
    pub(super) fn write(&self, uuid: &Uuid, text: &str) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        fs::set_permissions(&self.dir, Permissions::from_mode(0o700))?;
        let unfinished = self.dir.join(format!(".{uuid}.new"));
        files::replace_for_good(&self.path(uuid), &unfinished, text.as_bytes())
    }

    /// Removes a connection's file, and tells whether there was one.
    pub(super) fn remove(&self, uuid: &Uuid) -> io::Result<bool> {
        files::remove_for_good(&self.path(uuid))
    }

    /// The connections that have a file, in the order of their UUIDs.
    pub(super) fn all(&self) -> io::Result<Vec<Uuid>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut uuids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let uuid = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            uuids.extend(uuid.and_then(|uuid| uuid.parse::<Uuid>().ok()));
        }
        uuids.sort_unstable();
        Ok(uuids)
    }

    /// The file of a connection.
    pub(super) fn path(&self, uuid: &Uuid) -> PathBuf {
        self.dir.join(format!("{uuid}{SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_for_root_alone_replaced_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let uuid: Uuid = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11".parse().unwrap();
        assert_eq!(
            (files.all().unwrap(), files.read(&uuid).unwrap()),
            (vec![], String::new())
        );
        for text in ["one", "two"] {
            files.write(&uuid, text).unwrap();
            assert_eq!(files.read(&uuid).unwrap(), text);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(files.dir()), mode(&files.path(&uuid))), (0o700, 0o600));
        fs::write(files.dir().join(".x.new"), "").unwrap();
        fs::write(files.dir().join("notes.nft"), "").unwrap();
        assert_eq!(files.all().unwrap(), std::slice::from_ref(&uuid));
        assert!(files.remove(&uuid).unwrap() && !files.remove(&uuid).unwrap());
    }
}
