//! rpmlint and lintian: whatever they find that is no exception with a reason.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use lab::host;

use super::Kind;
use crate::package::{Workshop, files_ending};

/// Exceptions for rpmlint; those for lintian are in the packages.
const RPMLINT_CONFIG: &str = "packaging/rpm/rpmlint.toml";

/// Errors and warnings.
pub(super) fn faults(workshop: &Workshop, kind: Kind, packages: &[PathBuf]) -> Result<Vec<String>> {
    let mut command = match kind {
        Kind::Rpm => {
            let mut rpmlint = Command::new("rpmlint");
            rpmlint
                .arg("--config")
                .arg(host::workspace_dir().join(RPMLINT_CONFIG));
            rpmlint.args(files_ending(&workshop.results, "rpm")?);
            rpmlint
        }
        Kind::Deb => {
            let mut lintian = Command::new("lintian");
            // It warns of root, and looks at the packages all the same.
            lintian
                .args(["--allow-root", "--tag-display-limit", "0"])
                .args(packages);
            lintian
        }
    };
    let output = command
        .env("LC_ALL", "C.UTF-8")
        .output()
        .context("starting to lint")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let faults: Vec<String> = said
        .lines()
        .filter(|line| is_fault(line))
        .map(str::to_owned)
        .collect();
    // A linter that breaks down finds nothing.
    if faults.is_empty() && !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Ok(vec![format!(
            "{:?} failed: {said}{errors}",
            command.get_program()
        )]);
    }
    Ok(faults)
}

/// `E: package: tag`, as lintian has it, or `package.arch: E: tag`, as rpmlint has it.
fn is_fault(line: &str) -> bool {
    let is_grave = |word: &str| word == "E:" || word == "W:";
    line.split(' ').take(2).any(is_grave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_known_by_their_letter() {
        for line in [
            "E: nmstate-ipsec: embedded-library libyaml [usr/bin/nmstate-ipsec]",
            "W: nmstate-ipsec: copyright-without-copyright-notice",
            "nmstate-ipsec.x86_64: E: non-standard-dir-perm /etc/nmstate-ipsec/certs 700",
            "nmstate-ipsec.spec:147: E: hardcoded-library-path in %{_prefix}/lib",
        ] {
            assert!(is_fault(line), "{line}");
        }
        for line in [
            "N: 14 hints overridden (14 warnings)",
            "I: nmstate-ipsec: hm",
            "checks: 26, packages: 5",
            "",
        ] {
            assert!(!is_fault(line), "{line}");
        }
    }
}
