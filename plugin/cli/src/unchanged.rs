//! Whether there is anything for nmstate to do. Its own way of doing nothing asks NetworkManager and the kernel for
//! everything three times and more, and takes a checkpoint.
//!
//! That everything is as declared now does not say that it will be after a reboot: somebody may have made it so without
//! NetworkManager, or changed a profile since. So nmstate is spared only what it has applied since the host was started,
//! with NetworkManager's profiles as they were after that.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use nmstate::NetworkState;
use nmstate_ipsec_core::{
    networkmanager::{SettingsConnectionProxy, SettingsProxy, at, is_libreswan, text},
    profile::Settings,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zbus::Connection;

/// What was applied since the host was started: a line of two digests each, of what was declared and of the profiles.
const DIR: &str = "/run/nmstate-ipsec";
const FILE: &str = "applied";

/// So many are kept; a host has a few policies.
const KEPT: usize = 32;

/// Whether `wanted` was applied, and nothing has changed since: what cannot be found out is no.
pub(crate) async fn is_there(wanted: &NetworkState) -> bool {
    let Ok(record) = fs::read_to_string(Path::new(DIR).join(FILE)) else {
        return false;
    };
    let Some(declared) = digest_of(wanted) else {
        return false;
    };
    let is_known = |profiles: &str| {
        let line = format!("{declared} {profiles}");
        record.lines().any(|known| known == line)
    };
    if !record.contains(&declared) || !profiles().await.is_ok_and(|profiles| is_known(&profiles)) {
        return false;
    }
    let mut current = NetworkState::new();
    // Without them nmstate would take every secret for a change.
    current.set_include_secrets(true);
    let Ok(current) = current.retrieve_async().await else {
        return false;
    };
    wanted.gen_diff(current).is_ok_and(|differs| is_nothing(&differs))
}

/// Keeps in mind that `wanted` was applied for good. What cannot be kept is applied the next time.
pub(crate) async fn remember(wanted: &NetworkState) {
    let (Some(declared), Ok(profiles)) = (digest_of(wanted), profiles().await) else {
        return;
    };
    if let Err(error) = write(Path::new(DIR), &declared, &profiles) {
        eprintln!(
            "note: {DIR} cannot be written, so that the same document is applied as a whole the next time: {error}"
        );
    }
}

fn write(dir: &Path, declared: &str, profiles: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (path, new) = (dir.join(FILE), dir.join(format!("{FILE}.{}", std::process::id())));
    let record = fs::read_to_string(&path).unwrap_or_default();
    let others = record.lines().filter(|line| !line.starts_with(declared));
    let mut lines: Vec<String> = others.map(ToOwned::to_owned).collect();
    lines.drain(..lines.len().saturating_sub(KEPT - 1));
    lines.push(format!("{declared} {profiles}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all((lines.join("\n") + "\n").as_bytes())?;
    fs::rename(new, path)
}

fn is_nothing(differs: &NetworkState) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    match serde_json::to_value(differs) {
        Ok(Value::Object(parts)) => parts.values().all(is_empty),
        _ => false,
    }
}

fn digest_of(wanted: &NetworkState) -> Option<String> {
    let text = serde_json::to_value(wanted).ok()?.to_string();
    Some(digest(&text))
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// A digest of every profile that is not libreswan's, without what NetworkManager notes in them.
async fn profiles() -> zbus::Result<String> {
    let bus = Connection::system().await?;
    let mut all = BTreeMap::new();
    for path in SettingsProxy::new(&bus).await?.list_connections().await? {
        let profile: SettingsConnectionProxy<'_> = at(&bus, path).await?;
        let settings = profile.get_settings().await?;
        if !is_libreswan(&settings) {
            let uuid = text(&settings, "connection", "uuid").to_owned();
            all.insert(uuid, (profile.flags().await?, in_order(&settings)));
        }
    }
    Ok(digest(&format!("{all:?}")))
}

fn in_order(settings: &Settings) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys = settings.iter().map(|(name, keys)| {
        let keys = keys.iter().filter(|(key, _)| *key != "timestamp");
        let keys = keys.map(|(key, value)| (key.clone(), value.to_string()));
        (name.clone(), keys.collect())
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> NetworkState {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_a_state_with_nothing_in_it_is_nothing() {
        assert!(is_nothing(&NetworkState::new()));
        // nmstate's way of taking all servers away.
        assert!(!is_nothing(&state(r#"{"dns-resolver": {"config": {}}}"#)));
        assert!(!is_nothing(&state(
            r#"{"interfaces": [{"name": "eth1", "type": "ethernet"}]}"#
        )));
    }

    #[test]
    fn one_line_is_kept_for_what_was_declared_and_not_too_many_in_all() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..KEPT + 3 {
            write(dir.path(), &format!("declared{number:02}"), "profiles").unwrap();
        }
        write(dir.path(), "declared20", "others").unwrap();
        let record = fs::read_to_string(dir.path().join(FILE)).unwrap();
        let lines: Vec<&str> = record.lines().collect();
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines.last(), Some(&"declared20 others"));
        assert!(!record.contains("declared20 profiles") && !record.contains("declared02 "));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
