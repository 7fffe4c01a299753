//! Which connections somebody took down by hand, in a place that outlives the daemon and not the host's next boot, as
//! NetworkManager itself has it.

use std::{collections::HashSet, fs, io, path::PathBuf};

use crate::files;

/// Where a file stands for each (`RuntimeDirectory=` of the unit).
const DIR: &str = "/run/nmstate-ipsec/taken-down";

/// The connections, by UUID.
#[derive(Debug)]
pub(super) struct Held {
    dir: PathBuf,
    uuids: HashSet<String>,
}

impl Held {
    /// What an earlier daemon has noted.
    pub(super) fn read() -> Self {
        Self::read_from(PathBuf::from(DIR))
    }

    fn read_from(dir: PathBuf) -> Self {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let uuids = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        Self { dir, uuids }
    }

    /// Whether somebody took the connection down.
    pub(super) fn includes(&self, uuid: &str) -> bool {
        self.uuids.contains(uuid)
    }

    /// Notes whether somebody took it down.
    pub(super) fn set(&mut self, uuid: &str, by_hand: bool) {
        let changed = if by_hand {
            self.uuids.insert(uuid.to_owned())
        } else {
            self.uuids.remove(uuid)
        };
        if changed && let Err(error) = self.write(uuid, by_hand) {
            tracing::warn!(nm_connection = %uuid, "failed to note in {} whether the connection was taken down: {error}", self.dir.display());
        }
    }

    fn write(&self, uuid: &str, by_hand: bool) -> io::Result<()> {
        let path = self.dir.join(uuid);
        if by_hand {
            fs::create_dir_all(&self.dir)?;
            return fs::write(path, "");
        }
        files::remove_if_there(&path).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_daemon_knows_what_was_taken_down() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Held::read_from(dir.path().join("taken-down"));
        let mut held = read();
        held.set("one", true);
        held.set("two", true);
        held.set("one", false);
        assert!(read().includes("two") && !read().includes("one"));
    }
}
