//! What is in a package and what it says of others, read by the programs that install it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lab::host;

use super::Kind;

/// Directories of files that come and go with what the project has, without a decision about packages.
const MANY: [&str; 3] = ["/docs/", "/man1/", "/policy-examples/"];

/// What a binary package has.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// SPDX, where the package says it in a field and has programs.
    pub(super) licence: Option<String>,
    files: Vec<File>,
    /// Lines `<relation>: <what>`, in the order of the alphabet.
    relations: BTreeSet<String>,
    /// Those that run when it comes and goes, by name.
    pub(super) scripts: Vec<(String, String)>,
}

/// A file as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    path: String,
    /// As `ls -l` writes them.
    permissions: String,
    /// User and group.
    owner: String,
}

impl Package {
    /// Reads a package of that kind.
    pub(super) fn read(kind: Kind, path: &Path) -> Result<Self> {
        let read = match kind {
            Kind::Rpm => Self::read_rpm(path),
            Kind::Deb => Self::read_deb(path),
        };
        read.with_context(|| format!("reading {}", path.display()))
    }

    fn read_rpm(path: &Path) -> Result<Self> {
        let query = |format: &str| {
            let mut rpm = Command::new("rpm");
            host::run(
                rpm.args(["--query", "--package", "--nosignature", "--queryformat", format])
                    .arg(path),
            )
        };
        // Others have a link, or documents, which are ours alone.
        let is_linked = query("%{ARCH}")? != "noarch";
        let listed = query("[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]")?;
        let mut relations = BTreeSet::new();
        for relation in ["REQUIRE", "PROVIDE", "CONFLICT", "OBSOLETE", "RECOMMEND"] {
            let format =
                format!("[%{{{relation}NAME}} %{{{relation}FLAGS:depflags}} %{{{relation}VERSION}}\n]");
            for line in query(&format)?.lines().filter(|line| !is_of_toolchain(line)) {
                relations.insert(format!("{}s: {}", relation.to_lowercase(), line.trim_end()));
            }
        }
        let mut scripts = Vec::new();
        for script in ["PREIN", "POSTIN", "PREUN", "POSTUN", "PRETRANS", "POSTTRANS"] {
            let text = query(&format!("%|{script}?{{%{{{script}}}}}|"))?;
            if !text.is_empty() {
                scripts.push((script.to_lowercase(), text));
            }
        }
        Ok(Self {
            name: query("%{NAME}")?,
            licence: if is_linked {
                Some(query("%{LICENSE}")?)
            } else {
                None
            },
            files: listed.lines().filter_map(File::of_line).collect(),
            relations,
            scripts,
        })
    }

    fn read_deb(path: &Path) -> Result<Self> {
        let deb = |arguments: &[&OsStr]| host::run(Command::new("dpkg-deb").args(arguments));
        let field = |name: &str| {
            let value = deb(&["--field".as_ref(), path.as_ref(), name.as_ref()])?;
            Ok::<_, anyhow::Error>(value.trim().to_owned())
        };
        // Fields of tar's list: permissions, owner, size, date, time, path.
        let listed = deb(&["--contents".as_ref(), path.as_ref()])?;
        let files = listed.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (permissions, owner, path) = (words.next()?, words.next()?, words.nth(3)?);
            File::of_line(&format!("{permissions} {owner} {}", path.trim_start_matches('.')))
        });
        let mut relations = BTreeSet::new();
        for name in [
            "Pre-Depends",
            "Depends",
            "Recommends",
            "Provides",
            "Conflicts",
            "Breaks",
            "Replaces",
        ] {
            for one in field(name)?.split(", ").filter(|one| !one.is_empty()) {
                relations.insert(format!(
                    "{}: {}",
                    name.to_lowercase(),
                    without_library_version(one)
                ));
            }
        }
        let control = tempfile::tempdir().context("making a directory for scripts")?;
        deb(&["--control".as_ref(), path.as_ref(), control.path().as_ref()])?;
        let mut scripts = Vec::new();
        for name in ["preinst", "postinst", "prerm", "postrm"] {
            if let Ok(text) = std::fs::read_to_string(control.path().join(name)) {
                scripts.push((name.to_owned(), text));
            }
        }
        Ok(Self {
            name: field("Package")?,
            licence: None,
            files: files.collect(),
            relations,
            scripts,
        })
    }

    /// Files that others than root could change, or that give somebody root's rights.
    pub(super) fn faults(&self) -> Vec<String> {
        let faulty = self.files.iter().filter(|file| file.is_dangerous());
        faulty
            .map(|file| format!("not as it must be: {}", file.line()))
            .collect()
    }

    /// Everything as a text to compare.
    pub(super) fn text(&self) -> String {
        let files: BTreeSet<String> = self.files.iter().map(|file| file.summed_up().line()).collect();
        let mut text = String::new();
        for line in files.iter().chain(&self.relations) {
            let _ = writeln!(text, "{line}");
        }
        for (name, _) in &self.scripts {
            let _ = writeln!(text, "script: {name}");
        }
        text
    }
}

impl File {
    /// `<permissions> <owner> <path>`.
    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (permissions, owner, path) = (words.next()?, words.next()?, words.next()?);
        let path = path.trim_end_matches('/');
        // Directories above everything else belong to the system.
        (!path.is_empty()).then(|| Self {
            path: path.to_owned(),
            permissions: permissions.to_owned(),
            owner: owner.to_owned(),
        })
    }

    fn is_dangerous(&self) -> bool {
        let bytes = self.permissions.as_bytes();
        let is_link = bytes.first() == Some(&b'l');
        let is_writable = [5, 8].iter().any(|bit| bytes.get(*bit) == Some(&b'w'));
        let is_special = bytes.iter().any(|bit| b"sStT".contains(bit));
        self.owner != "root/root" || (!is_link && (is_writable || is_special || bytes.len() != 10))
    }

    /// The same for each file in one of the directories of many.
    fn summed_up(&self) -> Self {
        let mut file = self.clone();
        if let Some(at) = MANY.iter().find_map(|dir| Some(self.path.find(dir)? + dir.len())) {
            file.path.truncate(at);
            file.path.push('*');
        }
        file
    }

    fn line(&self) -> String {
        format!("{} {} {}", self.permissions, self.owner, self.path)
    }
}

/// What another compiler or C library says otherwise.
fn is_of_toolchain(line: &str) -> bool {
    ["rpmlib(", "rtld("].iter().any(|start| line.starts_with(start))
        || ["(GLIBC_", "(GCC_", "(OPENSSL_"]
            .iter()
            .any(|version| line.contains(version))
}

/// A library's package without the version, which is that of the release that it was built on, and without what the time
/// of 64 bits has added to its name.
fn without_library_version(relation: &str) -> String {
    let name = relation.split(' ').next().unwrap_or(relation);
    let is_library =
        name.starts_with("lib") && !name.starts_with("libreswan") && !name.starts_with("libnss3-tools");
    if is_library {
        name.trim_end_matches("t64").to_owned()
    } else {
        relation.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_files_that_nobody_else_writes_are_good() {
        let is_dangerous = |line: &str| File::of_line(line).unwrap().is_dangerous();
        for good in [
            "-rwxr-xr-x root/root /usr/bin/x",
            "drwx------ root/root /etc/x",
            "lrwxrwxrwx root/root /usr/bin/y",
        ] {
            assert!(!is_dangerous(good), "{good}");
        }
        for bad in [
            "-rwsr-xr-x root/root /usr/bin/x",
            "-rwxr-sr-x root/root /usr/bin/x",
            "-rw-rw-r-- root/root /etc/x",
            "-rw-r--rw- root/root /etc/x",
            "-rw-r--r-- root/adm /etc/x",
            "lrwxrwxrwx me/root /usr/bin/y",
            "drwxrwxrwt root/root /var/x",
        ] {
            assert!(is_dangerous(bad), "{bad}");
        }
    }

    #[test]
    fn libraries_have_no_versions() {
        assert_eq!(without_library_version("libssl3t64 (>= 3.0.0)"), "libssl3");
        assert_eq!(without_library_version("libc6 (>= 2.34)"), "libc6");
        assert_eq!(without_library_version("libreswan"), "libreswan");
        assert_eq!(
            without_library_version("nmstate-ipsec (= 0.1.0-1)"),
            "nmstate-ipsec (= 0.1.0-1)"
        );
    }
}
