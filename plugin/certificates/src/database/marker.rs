//! Which keys a change brings in or takes out, written down beside the database before the first step: whoever is killed in
//! the middle may leave one of them without its certificate, and nothing else tells such a key from somebody's own.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use super::{Batch, Database, Snapshot, gone, key_id};
use crate::error::Error;

/// Digits of the id of a key.
const DIGITS: usize = 40;

impl Database {
    fn marker(&self) -> PathBuf {
        self.dir().join(".nmstate-ipsec-keys")
    }

    /// Writes down that these keys are about to come or go.
    pub(crate) fn mark(&self, ids: &[String]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        // What somebody before us has left stays: the end of a line that was cut off is no id.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.marker());
        let written = file.and_then(|mut file| {
            file.write_all(format!("\n{text}").as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| {
            let (code, detail) = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                    "no-space",
                    format!("its device has no room for a change ({error})"),
                ),
                _ => ("unusable", format!("its directory cannot be written to: {error}")),
            };
            self.fault(code, detail)
        })
    }

    /// The keys that came or went when somebody was killed, if so.
    pub(crate) fn marked(&self) -> Option<BTreeSet<String>> {
        let text = fs::read_to_string(self.marker()).ok()?;
        let is_id = |line: &&str| line.len() == DIGITS && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(text.lines().filter(is_id).map(ToOwned::to_owned).collect())
    }

    /// Says that every key is with its certificate again. One that stays marked is looked at again.
    pub(crate) fn unmark(&self) {
        drop(gone(fs::remove_file(self.marker())));
    }
}

/// What takes the keys away that were `marked` and have no certificate in `found`.
pub(crate) fn without_orphans(marked: &BTreeSet<String>, found: &Snapshot) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    // The certificate of a key may be one that cannot be read.
    let mut unreadable = found.unreadable.iter().flat_map(|name| found.entries_of(name));
    if unreadable.any(|entry| entry.trust.has_key()) {
        return Ok(lines);
    }
    let held: BTreeSet<String> = found
        .held
        .iter()
        .filter_map(|held| key_id(&held.certificate))
        .collect();
    for id in marked.intersection(&found.keys).filter(|id| !held.contains(*id)) {
        lines.push("-F", &["-k", id])?;
    }
    Ok(lines)
}
