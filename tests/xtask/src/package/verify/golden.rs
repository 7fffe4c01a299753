//! What packages are to be, in `packaging/golden`: written anew with `UPDATE_GOLDEN=1`, and then looked at.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use lab::host;

use super::Kind;

/// The texts of one kind of packages.
#[derive(Debug)]
pub(super) struct Golden {
    dir: PathBuf,
}

impl Golden {
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            dir: host::workspace_dir().join("packaging/golden").join(kind.ending()),
        }
    }

    /// The lines in which `text` and the one of that name differ.
    pub(super) fn compare(&self, name: &str, text: &str) -> Result<Vec<String>> {
        let path = self.dir.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(&self.dir).with_context(|| format!("making {}", self.dir.display()))?;
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("reading {}; UPDATE_GOLDEN=1 writes it", path.display()))?;
        let mut differences = differences(&expected, text);
        if !differences.is_empty() {
            differences.push(format!(
                "{} differs; UPDATE_GOLDEN=1 writes it anew",
                path.display()
            ));
        }
        Ok(differences)
    }
}

/// Lines that only one of two texts has.
fn differences(expected: &str, found: &str) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (expected.lines().collect(), found.lines().collect());
    let missing = old.difference(&new).map(|line| format!("missing: {line}"));
    let further = new.difference(&old).map(|line| format!("further: {line}"));
    missing.chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_by_lines() {
        assert_eq!(differences("a\nb\n", "b\na\n"), Vec::<String>::new());
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["missing: a", "further: c"]);
    }
}
