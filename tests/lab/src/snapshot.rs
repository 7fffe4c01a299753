//! Machines that stand still, kept on disk, and how one is derived from another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::host;
use crate::vm::{Vm, Wire};

/// A machine that stands still, to be continued by any number of guests.
#[derive(Clone, Debug)]
pub struct Snapshot {
    image_dir: PathBuf,
    dir: PathBuf,
}

impl Snapshot {
    /// The snapshot in `dir` of a guest of the image in `image_dir`.
    #[must_use]
    pub fn new(image_dir: &Path, dir: &Path) -> Self {
        Self {
            image_dir: image_dir.to_owned(),
            dir: dir.to_owned(),
        }
    }

    /// The directory of the image that the snapshot belongs to.
    #[must_use]
    pub fn image_dir(&self) -> &Path {
        &self.image_dir
    }

    /// The disk that guests put their overlays on.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.qcow2")
    }

    /// The saved state of memory and devices.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// What tells this snapshot from others: its directory's name, which ends in a hash.
    #[must_use]
    pub fn identity(&self) -> String {
        self.dir
            .strip_prefix(host::lab_dir())
            .unwrap_or(&self.dir)
            .display()
            .to_string()
    }

    /// A snapshot made of this one by `prepare`, kept as `<name>-<hash>` for the next time. Older ones of
    /// the same name are removed.
    ///
    /// # Errors
    /// The guest could not be started, prepared or saved.
    pub fn derive(&self, name: &str, hash: &str, prepare: impl FnOnce(&Vm) -> Result<()>) -> Result<Self> {
        let dir = self.image_dir.join(format!("{name}-{hash}"));
        let _lock = host::lock(&self.image_dir.join(format!("{name}.lock")))?;
        if !dir.exists() {
            let vm = Vm::start(self, &Wire::None)?;
            prepare(&vm).with_context(|| format!("preparing the snapshot {name}"))?;
            vm.agent().command(["sync"]).run()?;
            vm.save(&dir)?;
            remove_versions(&self.image_dir, name, &dir);
        }
        Ok(Self::new(&self.image_dir, &dir))
    }
}

/// Removes other versions of what is called `<name>-<hash>`. A guest that still runs from one keeps its
/// open files.
pub(crate) fn remove_versions(parent: &Path, name: &str, current: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let of_name = file_name
            .to_string_lossy()
            .rsplit_once('-')
            .is_some_and(|(prefix, _)| prefix == name);
        if of_name
            && entry.path() != current
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            eprintln!("lab: cannot remove the old {}: {error}", entry.path().display());
        }
    }
}
