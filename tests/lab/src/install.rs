//! What this workspace builds, and how it gets into a guest.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::agent::Agent;
use crate::host;
use crate::snapshot::Snapshot;
use crate::world;

/// Crate, program and place of each on a host: one list for guests and packages.
const PROGRAMS: &str = include_str!("../../../packaging/programs");

const COMMAND: &str = "nmstate-ipsec";

/// Our command by the name of upstream's, which has the place of the package's link.
pub const OUR_NMSTATECTL: &str = "/usr/libexec/nmstate-ipsec/nmstatectl";

/// A program that guests get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    /// The crate that it is of.
    of: &'static str,
    name: &'static str,
    path: &'static str,
}

/// All of them; the command also under the name that decides what it is.
fn programs() -> impl Iterator<Item = Program> {
    let listed = PROGRAMS.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (of, name, path) = (words.next()?, words.next()?, words.next()?);
        (of != "#").then_some(Program { of, name, path })
    });
    listed.chain([Program {
        of: COMMAND,
        name: COMMAND,
        path: OUR_NMSTATECTL,
    }])
}

/// AppArmor's profiles in this workspace, and where they are on a host. They are no part of the tree because not every
/// distribution has AppArmor.
const PROFILES: (&str, &str) = (
    "packaging/apparmor/nmstate-ipsec",
    "/etc/apparmor.d/nmstate-ipsec",
);

const ACTIVATE_SCRIPT: &str = include_str!("files/activate.sh");

/// The variable that names the directory of programs which are built already, instead of those that are built for the lab.
pub const PROGRAMS_DIR: &str = "LAB_PROGRAMS_DIR";

/// How the workspace's programs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Soon done: for tests.
    Quick,
    /// As users get them, small and slowly built: for measurements.
    Release,
}

impl Build {
    /// The profile in the workspace's Cargo.toml, which is the directory below cargo's as well.
    fn profile(self) -> &'static str {
        match self {
            Self::Quick => "guest",
            Self::Release => "release",
        }
    }

    /// Builds the programs and returns the directory that they are in.
    ///
    /// # Errors
    /// The workspace does not build.
    pub fn programs(self) -> Result<PathBuf> {
        let crates: BTreeSet<&str> = programs().map(|program| program.of).collect();
        self.crates(crates)
    }

    /// Builds crates of the workspace and returns the directory that their programs are in.
    ///
    /// # Errors
    /// They do not build.
    pub fn crates(self, crates: impl IntoIterator<Item = &'static str>) -> Result<PathBuf> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(host::workspace_dir())
            .args(["build", "--profile", self.profile()]);
        for package in crates {
            cargo.args(["--package", package]);
        }
        host::run(&mut cargo).context("building what is to be tested")?;
        Ok(host::target_dir().join(self.profile()))
    }
}

/// A file as it is to be on a host.
#[derive(Debug)]
struct Installed {
    path: String,
    mode: u32,
    content: Vec<u8>,
}

/// The mode by which a symbolic link is known; its content is where it leads.
const LINK: u32 = 0o120_777;

impl Installed {
    fn put(&self, agent: &Agent) -> Result<()> {
        if self.mode != LINK {
            return agent.put(&self.path, self.mode, &self.content);
        }
        let target = String::from_utf8_lossy(&self.content);
        let link = ["ln", "-sfn", &target, &self.path];
        agent.command(link).run().map(drop)
    }
}

/// Everything of ours that a host gets: programs, the tree `packaging/root`, and AppArmor's profiles.
#[derive(Debug)]
pub struct Product {
    files: Vec<Installed>,
}

impl Product {
    /// What this workspace builds, built once for all guests of this process, so that they are the same
    /// even while somebody edits; or what is in [`PROGRAMS_DIR`].
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn of_this_run() -> Result<Arc<Self>> {
        static BUILT: Mutex<Option<Arc<Product>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(product) = built.as_ref() {
            return Ok(Arc::clone(product));
        }
        let product = Arc::new(match env::var_os(PROGRAMS_DIR) {
            Some(dir) => Self::of_programs(Path::new(&dir))?,
            None => Self::build(Build::Quick)?,
        });
        *built = Some(Arc::clone(&product));
        Ok(product)
    }

    /// Builds the workspace's programs for the guests and gathers the packaging tree.
    ///
    /// The programs are linked to this machine's C library, which must not be newer than the oldest
    /// guest's: build on Debian 12 to test on Debian 12.
    ///
    /// # Errors
    /// The workspace does not build, or a file cannot be read.
    pub fn build(build: Build) -> Result<Self> {
        Self::of_programs(&build.programs()?)
    }

    fn of_programs(programs: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for program in self::programs() {
            let built = programs.join(program.name);
            let content = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
            files.push(Installed {
                path: program.path.to_owned(),
                mode: 0o755,
                content,
            });
        }
        let root = host::workspace_dir().join("packaging/root");
        gather(&root, &root, &mut files)?;
        let (profiles, path) = PROFILES;
        let profiles = host::workspace_dir().join(profiles);
        files.push(Installed {
            path: path.to_owned(),
            mode: 0o644,
            content: fs::read(&profiles).with_context(|| format!("reading {}", profiles.display()))?,
        });
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { files })
    }

    /// The snapshot with the product installed, under a name of its own.
    pub(crate) fn added_to(&self, snapshot: &Snapshot, name: &str) -> Result<Snapshot> {
        let hash = world::hash(&[snapshot.identity().as_bytes(), self.hash().as_bytes()]);
        snapshot.derive(name, &hash, |vm| self.install(vm.agent()))
    }

    /// Stands for all that would be installed and how.
    #[must_use]
    pub fn hash(&self) -> String {
        let described = self
            .files
            .iter()
            .map(|file| format!("{} {:o}", file.path, file.mode));
        let described: Vec<String> = described.collect();
        let mut inputs: Vec<&[u8]> = vec![ACTIVATE_SCRIPT.as_bytes()];
        for (file, description) in self.files.iter().zip(&described) {
            inputs.extend([description.as_bytes(), file.content.as_slice()]);
        }
        world::hash(&inputs)
    }

    /// Puts our command alone into a guest, under its names, without what it becomes to read certificates.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn install_command(&self, agent: &Agent) -> Result<()> {
        for program in programs().filter(|program| program.name == COMMAND) {
            let file = self.files.iter().find(|file| file.path == program.path);
            let file = file.with_context(|| format!("{} is not built", program.path))?;
            agent.put(&file.path, file.mode, &file.content)?;
        }
        Ok(())
    }

    /// Puts everything into a guest and has its services notice.
    ///
    /// # Errors
    /// A file could not be written, or NetworkManager did not come back.
    pub fn install(&self, agent: &Agent) -> Result<()> {
        for file in &self.files {
            file.put(agent)?;
        }
        agent
            .shell(ACTIVATE_SCRIPT)
            .run()
            .context("having the guest notice what was installed")
            .map(drop)
    }
}

fn gather(root: &Path, dir: &Path, files: &mut Vec<Installed>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let on_host = |path: &Path| {
            Ok::<_, anyhow::Error>(
                Path::new("/")
                    .join(path.strip_prefix(root)?)
                    .display()
                    .to_string(),
            )
        };
        if path.is_symlink() {
            files.push(Installed {
                path: on_host(&path)?,
                mode: LINK,
                content: fs::read_link(&path)?.into_os_string().into_encoded_bytes(),
            });
            continue;
        }
        if path.is_dir() {
            gather(root, &path, files)?;
            continue;
        }
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        // A checkout's permissions depend on the umask; only the execute bit is meant.
        let executable = fs::metadata(&path)?.permissions().mode() & 0o100 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        files.push(Installed {
            path: on_host(&path)?,
            mode,
            content,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_program() {
        let lines = PROGRAMS.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(programs().count(), lines.count() + 1);
        assert!(programs().all(|program| program.path.starts_with("/usr/")));
    }
}
