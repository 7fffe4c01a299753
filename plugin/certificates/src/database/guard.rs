//! What holds while the database is changed: one change at a time, and room to undo it.

use std::{fs::File, io, os::fd::OwnedFd, thread, time::Duration};

use nmstate_ipsec_core::connection::Nickname;
use rustix::{
    fs::{FallocateFlags, FlockOperation, Mode, OFlags, fallocate, fcntl_lock, flock, open},
    io::{FdFlags, fcntl_setfd},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{Database, Snapshot};
use crate::error::Error;

/// How long another change is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Room on the device that a change must leave, in bytes: SQLite writes a journal even of a deletion.
const RESERVE: u64 = 256 * 1024;

/// The only one that changes the database, as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _dir: OwnedFd,
}

/// Room on the device, given back when it is dropped. A file without a name, so that nothing is left after a kill.
#[derive(Debug)]
pub(crate) struct Reserve {
    _file: Option<OwnedFd>,
}

impl Lock {
    /// NSS's programs inherit the lock: if this process is killed, the database is another's only when they have ended.
    fn on(dir: OwnedFd) -> io::Result<Self> {
        fcntl_setfd(&dir, FdFlags::empty())?;
        Ok(Self { _dir: dir })
    }
}

impl Database {
    /// Keeps others from the database, if nobody changes it. The directory must be there.
    pub(crate) fn lock_now(&self) -> Option<Lock> {
        let dir = File::open(self.dir()).ok()?;
        flock(&dir, FlockOperation::NonBlockingLockExclusive).ok()?;
        Lock::on(dir.into()).ok()
    }

    /// Waits until nobody else changes the database, and keeps others from it. The directory must be there.
    pub(crate) async fn lock(&self) -> Result<Lock, Error> {
        if let Some(lock) = self.lock_now() {
            return Ok(lock);
        }
        let fault =
            |error: io::Error| self.fault("unusable", format!("its directory cannot be locked: {error}"));
        let dir = File::open(self.dir()).map_err(fault)?;
        let (done, waiting) = oneshot::channel();
        // A thread of its own, which nobody has to wait for: flock(2) cannot be given up.
        thread::spawn(move || {
            let locked = flock(&dir, FlockOperation::LockExclusive).map(|()| dir);
            // Nobody waits any more: the lock goes with the descriptor.
            drop(done.send(locked));
        });
        match timeout(PATIENCE, waiting).await {
            Ok(Ok(Ok(dir))) => Lock::on(dir.into()).map_err(fault),
            Ok(Ok(Err(error))) => Err(fault(error.into())),
            Ok(Err(_)) => Err(fault(io::ErrorKind::Other.into())),
            Err(_) => Err(self.fault(
                "locked",
                format!(
                    "another import has held its lock for {} s; see who has the directory open (lsof)",
                    PATIENCE.as_secs()
                ),
            )),
        }
    }

    /// Waits until no other program has the database locked, or until `deadline`. Says whether one had, and has no more.
    pub(crate) async fn wait_for_others(&self, deadline: Instant) -> bool {
        let mut had_to = false;
        for name in ["cert9.db", "key4.db"] {
            let Ok(file) = File::options().read(true).write(true).open(self.dir().join(name)) else {
                continue;
            };
            if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                continue;
            }
            had_to = true;
            let (done, waiting) = oneshot::channel();
            // As in `lock`. What is got here goes with the descriptor.
            thread::spawn(move || {
                let locked = fcntl_lock(&file, FlockOperation::LockExclusive);
                drop(file);
                let _ = done.send(locked);
            });
            if !matches!(timeout_at(deadline, waiting).await, Ok(Ok(Ok(())))) {
                return false;
            }
        }
        had_to
    }

    /// Keeps others from changing the database, and reads what is in it.
    ///
    /// # Errors
    /// It has no certificate of that nickname, or it cannot be locked or read.
    pub(crate) async fn lock_with(&self, nickname: &Nickname) -> Result<(Lock, Snapshot), Error> {
        let missing = || Error::Missing {
            nickname: nickname.to_string(),
            dir: self.dir().to_owned(),
        };
        // Where there is no database there may be no directory to lock.
        if !self.exists() {
            return Err(missing());
        }
        let lock = self.lock().await?;
        let snapshot = self.snapshot().await?;
        if !snapshot.has(nickname.as_str()) {
            return Err(missing());
        }
        Ok((lock, snapshot))
    }

    /// Makes sure that a change can be undone even if the device is filled up meanwhile.
    pub(crate) fn reserve(&self) -> Result<Reserve, Error> {
        let full = |error: io::Error| {
            let detail = format!(
                "its device has no room for a change ({error}); free {} kB",
                RESERVE / 1024
            );
            self.fault("no-space", detail)
        };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match open(self.dir(), flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(rustix::io::Errno::ROFS | rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                return Err(self.fault("read-only", super::fault::UNWRITABLE));
            }
            Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)) => {
                return Err(full(error.into()));
            }
            // Not every file system has files without names; there the device's room is left to chance.
            Err(_) => return Ok(Reserve { _file: None }),
        };
        match fallocate(&file, FallocateFlags::empty(), 0, RESERVE) {
            Ok(()) => Ok(Reserve { _file: Some(file) }),
            Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)) => Err(full(error.into())),
            Err(_) => Ok(Reserve { _file: None }),
        }
    }
}
