//! `service`: the files of a directory are applied, each once.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Refusal,
    apply::{self, Options},
    input,
};

/// What files of desired state end with.
const DESIRED: [&str; 2] = ["yml", "yaml"];
/// What is put in its place when a file was applied.
const APPLIED: &str = "applied";
const CONFIGURATION: &str = "nmstate.conf";

/// NetworkManager takes its name on the bus before it is ready, and tells of neither.
const READY: Duration = Duration::from_secs(2);

/// What `nmstate.conf` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Configuration {
    /// Files stay where they are, and a copy tells what was applied.
    keeps_files: bool,
    overrides: bool,
}

/// Applies the files that were not applied yet, in the order of their names. One that fails is logged, and the others are
/// applied all the same.
///
/// # Errors
/// The directory cannot be read.
pub(super) async fn run(dir: &Path) -> Result<String, Refusal> {
    let configuration = configuration(&dir.join(CONFIGURATION))?;
    if !dir.exists() {
        log::info!("{} does not exist, skipping", dir.display());
        return Ok(String::new());
    }
    let files = pending(dir, configuration.keeps_files)?;
    if files.is_empty() {
        log::info!(
            "No new nmstate config(end with .yml or .yaml) found in config folder {}",
            dir.display()
        );
        return Ok(String::new());
    }
    tokio::time::sleep(READY).await;
    let options = Options {
        override_iface: configuration.overrides,
        ..Options::default()
    };
    for (file, text) in files {
        let desired = text.replace('\u{A0}', " ");
        // Upstream goes no further after a file that it cannot read.
        input::parse(&desired)?;
        match apply::text(&desired, &file.display().to_string(), &options).await {
            Ok(_) => {
                log::info!("Applied nmstate config: {}", file.display());
                note(&file, &text, configuration.keeps_files);
            }
            Err(refusal) => log::error!("Failed to apply state file {}: {refusal}", file.display()),
        }
    }
    Ok(String::new())
}

/// Files to apply with their texts. Of those that stay, one is to be applied again when it has changed.
fn pending(dir: &Path, keeps_files: bool) -> Result<Vec<(PathBuf, String)>, Refusal> {
    let mut desired: BTreeMap<PathBuf, String> = BTreeMap::new();
    for entry in dir.read_dir()? {
        let path = entry?.path();
        let is_desired = path
            .extension()
            .is_some_and(|extension| DESIRED.iter().any(|known| extension == *known));
        if !is_desired {
            continue;
        }
        let other = DESIRED.map(|extension| path.with_extension(extension));
        if other.iter().all(|path| path.exists()) {
            let name = path.with_extension("");
            let name = name.display();
            return Err(Refusal::new(format!(
                "Conflict YAML file {name}.yml and {name}.yaml"
            )));
        }
        let text = fs::read_to_string(&path)?;
        let is_applied = keeps_files
            && fs::read_to_string(path.with_extension(APPLIED)).is_ok_and(|applied| applied == text);
        if !is_applied {
            desired.insert(path, text);
        }
    }
    Ok(desired.into_iter().collect())
}

/// Notes that a file was applied.
fn note(file: &Path, text: &str, keeps_files: bool) {
    let applied = file.with_extension(APPLIED);
    let noted = if keeps_files {
        fs::write(&applied, text)
    } else {
        fs::rename(file, &applied)
    };
    if let Err(error) = noted {
        log::error!(
            "Failed to note in {} that it was applied: {error}",
            applied.display()
        );
    }
}

fn configuration(path: &Path) -> Result<Configuration, Refusal> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|fault| {
            Refusal::new(format!(
                "Failed to read configuration from {}: {fault}",
                path.display()
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Configuration::default()),
        Err(error) => Err(error.into()),
    }
}

/// Reads the two truth values of `[service]`, all that the file has so far; other sections and keys are for others.
fn parse(text: &str) -> Result<Configuration, String> {
    let mut configuration = Configuration::default();
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key.trim(), value.trim()),
            None if line.is_empty() => continue,
            None => {
                return Err(format!(
                    "line {} is neither a section nor 'key = value'",
                    index + 1
                ));
            }
        };
        let setting = match (section, key) {
            ("service", "keep_state_file_after_apply") => &mut configuration.keeps_files,
            ("service", "override_iface") => &mut configuration.overrides,
            _ => continue,
        };
        *setting = value
            .parse()
            .map_err(|_| format!("line {}: {key} is true or false", index + 1))?;
    }
    Ok(configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read() {
        let text = "# of nmstate\n[service]\nkeep_state_file_after_apply = true # keep\noverride_iface=false\n[other]\na = \"b\"\n";
        let expected = Configuration {
            keeps_files: true,
            overrides: false,
        };
        assert_eq!(parse(text).unwrap(), expected);
        assert!(
            parse("[service]\noverride_iface = yes\n")
                .unwrap_err()
                .contains("line 2")
        );
        assert!(parse("service\n").is_err());
    }

    #[test]
    fn files_are_applied_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        file("b.yml", "two");
        file("a.yaml", "one");
        file("c.txt", "none");
        let names = |keeps_files| -> Vec<String> {
            let files = pending(dir.path(), keeps_files).unwrap();
            files.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(names(false), ["one", "two"]);
        note(&dir.path().join("a.yaml"), "one", true);
        assert_eq!(names(true), ["two"]);
        file("a.yaml", "changed");
        assert_eq!(names(true), ["changed", "two"]);
        note(&dir.path().join("b.yml"), "two", false);
        assert_eq!(names(true), ["changed"]);
        file("a.yml", "again");
        assert!(pending(dir.path(), true).unwrap_err().text.contains("Conflict"));
    }
}
