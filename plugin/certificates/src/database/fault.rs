//! What is behind NSS's words, which are the same for many things.

use std::{
    fs::File,
    io::{self, Read},
};

use nmstate_ipsec_core::command::CommandError;
use rustix::fs::{FlockOperation, fcntl_lock, statvfs};

use super::Database;
use crate::error::Error;

/// What to do with a database that is not whole.
const RESTORE: &str = "put it back from a backup, or move the database away and import anew";

/// What is said of a database that cannot be written to.
pub(super) const UNWRITABLE: &str =
    "it cannot be written to; is its file system read-only, and are you root?";

/// How a database of NSS begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Less room than this, in bytes, and a change fails.
const LITTLE_ROOM: u64 = 64 * 1024;

impl Database {
    /// Refuses a database that is not whole. NSS would make one that is empty of it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for name in ["cert9.db", "key4.db"] {
            let mut magic = [0; 16];
            let read = File::open(self.dir().join(name)).and_then(|mut file| file.read_exact(&mut magic));
            match read {
                Ok(()) if &magic == MAGIC => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(self.fault("unusable", format!("{name} cannot be read; are you root?")));
                }
                _ => return Err(self.damaged(name)),
            }
        }
        Ok(())
    }

    pub(super) fn damaged(&self, name: &str) -> Error {
        self.fault("damaged", format!("{name} is damaged or missing; {RESTORE}"))
    }

    /// Refuses a database of which a part is there.
    pub(crate) fn is_missing(&self) -> Result<bool, Error> {
        if !self.exists() && !self.making().exists() && self.dir().join("key4.db").exists() {
            return Err(self.damaged("cert9.db"));
        }
        Ok(!self.exists())
    }

    /// What to do about the failure of a program.
    pub(super) fn hint(&self, error: &CommandError) -> String {
        let said = match error {
            CommandError::Start { command, .. } => {
                return format!(
                    "install NSS's programs, which '{command}' is one of (nss-tools, libnss3-tools)"
                );
            }
            CommandError::Failed { said, .. } | CommandError::TimedOut { said, .. } => said.as_str(),
            CommandError::Exchange { .. } => "",
        };
        if said.contains("BAD_PASSWORD") {
            return format!(
                "the database is protected: its password belongs into {}/nsspassword or /etc/ipsec.d/nsspassword, as 'NSS Certificate DB:password'",
                self.dir().display()
            );
        }
        for name in ["cert9.db", "key4.db"] {
            if let Some(hint) = self.hint_of_file(name) {
                return hint;
            }
        }
        let room = statvfs(self.dir()).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        if room.is_ok_and(|room| room < LITTLE_ROOM) {
            return "its device has no room left; free some".to_owned();
        }
        if said.contains("READ_ONLY") {
            return UNWRITABLE.to_owned();
        }
        if said.contains("BAD_DATABASE") || said.contains("PKCS11_GENERAL_ERROR") {
            return "it is damaged; put it back from a backup, or move it away and import anew".to_owned();
        }
        String::new()
    }

    fn hint_of_file(&self, name: &str) -> Option<String> {
        let path = self.dir().join(name);
        let mut file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                return Some(UNWRITABLE.to_owned());
            }
            Err(error) => {
                return Some(format!(
                    "{name} cannot be opened ({error}); is the directory the right one, and are you root?"
                ));
            }
        };
        let mut magic = [0; 16];
        if file.read_exact(&mut magic).is_err() || &magic != MAGIC {
            return Some(format!(
                "{name} is damaged; put it back from a backup, or move the database away and import anew"
            ));
        }
        // SQLite locks bytes of its file as fcntl(2) does. What we get here goes with the descriptor.
        let is_locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
        is_locked.then(|| {
            format!(
                "another program has {name} locked; try again when it is done (fuser {})",
                path.display()
            )
        })
    }
}
