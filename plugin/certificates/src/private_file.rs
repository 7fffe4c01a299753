//! Files in memory that have no name, for what NSS's programs are to read or write: gone with the last process that has them
//! open, so that nothing is left of a key whatever is killed.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::AsRawFd,
};

use rustix::fs::{MemfdFlags, memfd_create};
use zeroize::Zeroizing;

use crate::error::Error;

/// What it is called where open files are listed.
const NAME: &str = "nmstate-ipsec";

/// Such a file. Programs that are started while it lives inherit it.
#[derive(Debug)]
pub(crate) struct PrivateFile(File);

impl PrivateFile {
    /// One that holds `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Error> {
        let made = memfd_create(NAME, MemfdFlags::NOEXEC_SEAL)
            // Before Linux 6.3 there is no such flag, and after it a host may insist on it.
            .or_else(|_| memfd_create(NAME, MemfdFlags::empty()));
        let written = made.map_err(std::io::Error::from).and_then(|file| {
            let mut file = File::from(file);
            file.write_all(bytes).map(|()| file)
        });
        written
            .map(Self)
            .map_err(|error| Error::local("make a file in memory", error))
    }

    /// Its path for a program that has inherited it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }

    /// What it holds now.
    pub(crate) fn content(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |error| Error::local("read a file in memory", error);
        self.0.rewind().map_err(failed)?;
        let size = self.0.metadata().map_err(failed)?.len();
        // Room for all of it, so that no copy is left behind where the buffer grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize + 32));
        self.0.read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
