//! `nft(8)`: rules into the kernel, one transaction each, and counters out of it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use nmstate_ipsec_core::{
    command::{Command, CommandError},
    profile::Uuid,
};
use serde_json::Value;

use super::rules::{self, TABLE};

/// How long nft may take; a change takes a few milliseconds.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Most bytes of counters that are read: some 150 bytes each.
const COUNTERS_LIMIT: usize = 1 << 20;

/// The program.
#[derive(Debug, Clone)]
pub(super) struct Nft(PathBuf);

/// Why the kernel does not have what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    /// There is no nft, or it says what is wrong.
    #[error("{}", chain(.0))]
    Command(#[from] CommandError),
    /// What nft says is not what it should.
    #[error("nft lists counters in a form that is not known: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// What failed and why, in one line.
fn chain(error: &CommandError) -> String {
    match error {
        CommandError::Start { source, .. } => format!("{error}: {source}; is nftables installed?"),
        CommandError::Exchange { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}

impl Nft {
    pub(super) fn new(program: &Path) -> Self {
        Self(program.to_owned())
    }

    /// Has the kernel do everything that `script` says, or nothing of it.
    pub(super) async fn load(&self, script: &str) -> Result<(), NftError> {
        let nft = Command::new(&self.0, TIME_OUT).args(["-f", "-"]).input(script);
        nft.run().await?.success()?;
        Ok(())
    }

    /// How many packets every guard has held back, of all that the kernel has.
    pub(super) async fn counters(&self) -> Result<HashMap<Uuid, u64>, NftError> {
        let list = ["-j", "list", "counters", "table", "inet", TABLE];
        let output = Command::new(&self.0, TIME_OUT)
            .args(list)
            .keep(COUNTERS_LIMIT)
            .run()
            .await?;
        // The table comes with the first guard and goes with the last.
        if !output.succeeded() && output.stderr.contains("No such file or directory") {
            return Ok(HashMap::new());
        }
        Ok(parse(&output.success()?.stdout)?)
    }
}

fn parse(text: &str) -> Result<HashMap<Uuid, u64>, serde_json::Error> {
    let listed: Value = serde_json::from_str(text)?;
    let counter = |entry: &Value| {
        let counter = entry.get("counter")?;
        let uuid = rules::of_name(counter.get("name")?.as_str()?)?;
        Some((uuid, counter.get("packets")?.as_u64()?))
    };
    let entries = listed.get("nftables").and_then(Value::as_array);
    Ok(entries.into_iter().flatten().filter_map(counter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_connection() {
        // As nft 1.0.6 prints them.
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, {"counter": {"family": "inet", "name": "guard-6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11", "table": "nmstate_ipsec", "handle": 2, "packets": 7, "bytes": 588}}, {"counter": {"family": "inet", "name": "other", "table": "nmstate_ipsec", "handle": 3, "packets": 1, "bytes": 84}}]}"#;
        let uuid: Uuid = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11".parse().unwrap();
        assert_eq!(parse(text).unwrap(), HashMap::from([(uuid, 7)]));
        assert!(parse("").is_err() && parse("{}").unwrap().is_empty());
    }
}
