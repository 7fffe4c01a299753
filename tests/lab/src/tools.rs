//! Programs that the lab takes from cargo's registry, kept below the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::host;

/// Upstream's command, which drives the whole stack in tests as it does on hosts.
pub const NMSTATECTL: Tool = Tool {
    name: "nmstatectl",
    version: "2.2.62",
    build: "release",
};

/// Checks licences, sources, duplicates and advisories of dependencies.
pub const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    // It runs for seconds, and takes minutes to optimise.
    build: "dev",
};

/// A program with its version.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Name of the package and of its program.
    pub name: &'static str,
    /// The very version.
    pub version: &'static str,
    /// The profile of cargo's that it is built by.
    pub build: &'static str,
}

impl Tool {
    /// The program, which is installed on first use.
    ///
    /// # Errors
    /// Installing it failed.
    pub fn path(self) -> Result<PathBuf> {
        let dir = host::lab_dir().join("tools");
        let _lock = host::lock(&dir.join(".lock"))?;
        let installed = fs::read_to_string(dir.join(".crates.toml")).unwrap_or_default();
        if !installed.contains(&format!("\"{} {} ", self.name, self.version)) {
            eprintln!(
                "lab: installing {} {}, which takes some minutes",
                self.name, self.version
            );
            let mut cargo = Command::new("cargo");
            cargo.args([
                "install",
                "--quiet",
                "--locked",
                "--profile",
                self.build,
                "--version",
                self.version,
                self.name,
            ]);
            cargo
                .arg("--root")
                .arg(&dir)
                .arg("--target-dir")
                .arg(dir.join("build"));
            host::run(&mut cargo).with_context(|| format!("installing {}", self.name))?;
            let _ = fs::remove_dir_all(dir.join("build"));
        }
        Ok(dir.join("bin").join(self.name))
    }
}
