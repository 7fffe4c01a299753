//! Writes what the fuzz targets begin with: the corpus of hostile profiles, environments that pluto was seen to give, and
//! a dictionary for each target.

#[allow(dead_code, reason = "this needs a part")]
#[path = "../../hostile/invariants.rs"]
mod invariants;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nmstate_ipsec_core::connection::{KEYS, key_names};
use nmstate_ipsec_core::updown::FORWARDED;

/// Longest token of a dictionary.
const LONGEST: usize = 64;

fn main() -> io::Result<()> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    documents(own)?;
    profiles(own)?;
    environments(own)
}

fn documents(own: &Path) -> io::Result<()> {
    let mut tokens: BTreeSet<String> = key_names().map(|key| format!("\n    {key}: ")).collect();
    let words = [
        "- ",
        ": ",
        "---\n",
        "&a ",
        "*a",
        "!!str ",
        "<<: ",
        "interfaces:",
        "type: ipsec",
        "state: absent",
    ];
    tokens.extend(words.map(ToOwned::to_owned));
    let dirs = [
        "policy-examples",
        "plugin/cli/tests/bad",
        "plugin/cli/tests/check",
    ];
    for (number, dir) in dirs.iter().enumerate() {
        for file in fs::read_dir(own.join("../..").join(dir))? {
            let path = file?.path();
            let name = format!(
                "{number}-{}",
                path.file_name().unwrap_or_default().to_string_lossy()
            );
            if path.is_file() {
                write(own, "document", &name, &fs::read(&path)?)?;
            }
        }
    }
    dictionary(own, "document", &tokens)
}

fn profiles(own: &Path) -> io::Result<()> {
    let keys = KEYS.iter().flat_map(|key| [Some(key.name), key.alias]).flatten();
    let mut tokens: BTreeSet<String> = keys.map(|key| format!("\u{1e}data.{key}\u{1f}")).collect();
    for case in hostile::refused().iter().chain(&hostile::accepted()) {
        let records = case.records();
        tokens.extend(records.iter().map(|(_, value)| value.clone()));
        let pairs = records
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        write(own, "profile", &case.name, &invariants::input_of(pairs))?;
    }
    dictionary(own, "profile", &tokens)
}

fn environments(own: &Path) -> io::Result<()> {
    let mut tokens: BTreeSet<String> = FORWARDED
        .iter()
        .map(|name| format!("\u{1e}{name}\u{1f}"))
        .collect();
    for path in environment_files(&own.join("../../plugin/core/tests/fixtures"))? {
        let text = fs::read_to_string(&path)?;
        let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
        tokens.extend(pairs.iter().map(|(_, value)| (*value).to_owned()));
        let mut input = vec![0];
        input.extend(invariants::input_of(pairs));
        let name = path
            .components()
            .rev()
            .take(2)
            .map(|part| part.as_os_str().to_string_lossy());
        write(own, "updown", &name.collect::<Vec<_>>().join("-"), &input)?;
    }
    dictionary(own, "updown", &tokens)
}

fn environment_files(fixtures: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for version in fs::read_dir(fixtures)? {
        for file in fs::read_dir(version?.path())? {
            files.push(file?.path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "env"));
    Ok(files)
}

fn write(own: &Path, target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let dir = own.join("corpus").join(target);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(name), input)
}

fn dictionary(own: &Path, target: &str, tokens: &BTreeSet<String>) -> io::Result<()> {
    let short = tokens.iter().filter(|token| (1..=LONGEST).contains(&token.len()));
    let escaped = short.map(|token| {
        let bytes = token.bytes().map(|byte| format!("\\x{byte:02x}"));
        format!("\"{}\"\n", bytes.collect::<String>())
    });
    fs::write(own.join(format!("{target}.dict")), escaped.collect::<String>())
}
