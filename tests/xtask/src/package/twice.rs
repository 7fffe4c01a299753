//! Whether the same source gives the same bytes: everything is built again in another directory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Workshop, files_ending};
use crate::tally::Tally;

/// Builds again what `first` has built, and compares. It compiles everything, which takes some minutes.
pub(super) fn compare(first: &Workshop, rpm: bool, deb: bool) -> Result<Tally> {
    let second = Workshop::new(first.results.join("again"), false)?;
    second.build(rpm, deb)?;
    let mut tally = Tally::default();
    for ending in ["rpm", "deb"] {
        for path in files_ending(&first.results, ending)? {
            let name = path.file_name().context("a package without a name")?;
            let is_same = is_same(&path, &second.results.join(name))?;
            let verdict = if is_same { "ok" } else { "FAILED" };
            println!("{}: the same bytes twice: {verdict}", name.display());
            tally.add(Tally::of(is_same));
        }
    }
    if tally.failed > 0 {
        println!("what differs is in {}", second.results.display());
    } else {
        fs::remove_dir_all(&second.results).context("removing the second build")?;
    }
    Ok(tally)
}

fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    Ok(read(one)? == read(other)?)
}
