//! What is needed to undo a transaction, on the disk before anything is touched: it outlives this daemon, NetworkManager
//! and a loss of power.
//!
//! One file, written anew as a whole, so that it is there or not, and never half. It holds the profiles' secrets: only root
//! reads it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::profile::Settings;
use serde::{Deserialize, Serialize};
use zbus::zvariant::{LE, Type, serialized, to_bytes};

use crate::files;

/// Of this form; a file of another is of another release.
const VERSION: u32 = 1;

/// A profile as it was.
#[derive(Debug, Serialize, Deserialize, Type)]
pub(super) struct Entry {
    /// `connection.uuid`.
    pub(super) uuid: String,
    /// Whether it was there; if not, there are no settings.
    pub(super) existed: bool,
    /// Its settings with secrets.
    pub(super) settings: Settings,
    /// Whether it was active, or on its way there.
    pub(super) was_active: bool,
}

/// A transaction that is not over.
#[derive(Debug, Serialize, Deserialize, Type)]
pub(super) struct Record {
    version: u32,
    /// NetworkManager's checkpoint for everything else.
    pub(super) checkpoint: String,
    /// Whether that was made for us alone, and holds nothing that is to be rolled back.
    pub(super) is_own_checkpoint: bool,
    /// Whether the transaction lasts: only its checkpoint is yet to go.
    pub(super) is_committed: bool,
    /// Whether nmstate is at work under a checkpoint that nobody has named yet: one that is not among `known`.
    pub(super) is_prepared: bool,
    /// Checkpoints that were there before, of others.
    pub(super) known: Vec<String>,
    /// Every profile that is touched.
    pub(super) entries: Vec<Entry>,
}

impl Record {
    pub(super) fn new(checkpoint: String, is_own_checkpoint: bool, entries: Vec<Entry>) -> Self {
        Self {
            version: VERSION,
            checkpoint,
            is_own_checkpoint,
            is_committed: false,
            is_prepared: false,
            known: Vec::new(),
            entries,
        }
    }

    /// Of a transaction that begins with nmstate's part, when there were the checkpoints `known`.
    pub(super) fn prepared(known: Vec<String>, entries: Vec<Entry>) -> Self {
        Self {
            is_prepared: true,
            known,
            ..Self::new(String::new(), false, entries)
        }
    }
}

/// Where the record is kept.
#[derive(Debug)]
pub(super) struct Journal(PathBuf);

impl Journal {
    /// The journal in `dir`, which is made if need be.
    pub(super) fn new(dir: &Path) -> Self {
        Self(dir.join("journal"))
    }

    /// The record of a transaction that is not over, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is not one of this release.
    pub(super) fn read(&self) -> io::Result<Option<Record>> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let data = serialized::Data::new(bytes, context());
        let (record, _): (Record, _) = data.deserialize().map_err(io::Error::other)?;
        if record.version != VERSION {
            return Err(io::Error::other(format!(
                "it has form {}, not {VERSION}",
                record.version
            )));
        }
        Ok(Some(record))
    }

    /// Writes the record; when this returns, it outlives a loss of power.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let dir = self.0.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let bytes = to_bytes(context(), record).map_err(io::Error::other)?;
        files::replace_for_good(&self.0, &self.0.with_extension("new"), &bytes)
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn remove(&self) -> io::Result<()> {
        files::remove_for_good(&self.0).map(drop)
    }
}

fn context() -> serialized::Context {
    serialized::Context::new_dbus(LE, 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use zbus::zvariant::{OwnedValue, Value};

    use super::*;

    #[test]
    fn a_record_is_for_root_alone_and_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(&dir.path().join("state"));
        assert!(journal.read().unwrap().is_none());
        let data = std::collections::HashMap::from([("right".to_owned(), "192.0.2.2".to_owned())]);
        let data: OwnedValue = Value::from(data).try_into_owned().unwrap();
        let settings: Settings = [("vpn".to_owned(), [("data".to_owned(), data)].into())].into();
        let entry = Entry {
            uuid: "one".into(),
            existed: true,
            settings,
            was_active: true,
        };
        let mut record = Record::new("/checkpoint/1".into(), false, vec![entry]);
        journal.write(&record).unwrap();
        record.is_committed = true;
        journal.write(&record).unwrap();
        let read = journal.read().unwrap().unwrap();
        assert!(read.is_committed && !read.is_own_checkpoint);
        assert_eq!(read.checkpoint, "/checkpoint/1");
        assert_eq!(read.entries[0].settings, record.entries[0].settings);
        let mode = fs::metadata(&journal.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        journal.remove().unwrap();
        assert!(journal.read().unwrap().is_none());
        journal.remove().unwrap();
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path());
        for bytes in [&b""[..], b"nonsense", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            fs::write(&journal.0, bytes).unwrap();
            assert!(journal.read().is_err());
        }
    }
}
