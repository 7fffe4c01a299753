//! Connections whose peer does not answer are tried further: it may be the next host that the same document is rolled out
//! to, and then it is the one that calls, or answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    base,
    profiles::{Ended, Profiles},
    steps::PEER_SILENT,
};
use crate::{connection::Registry, history::now};

/// Each try lasts as long as `vpn.timeout`, and between two of them pluto does not know the connection and refuses the
/// peer: the pause is short.
const PAUSE: Duration = Duration::from_secs(1);

/// How a peer refuses that runs but does not know the connection yet (RFC 7296, 2.21.1: the answer is not
/// authenticated). What it refuses for good, it refuses again, ever more rarely.
const NOT_READY: &str = "proposal-refused";

/// The longest pause where NetworkManager does not even begin, as without a base device.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Codes of reasons that pass by themselves; what the peer has refused it refuses again.
const PASSING: [&str; 4] = [PEER_SILENT, "no-route", "name-unresolved", "pluto-down"];

/// What is being tried, by UUID.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<HashMap<String, Background>>);

/// Work that ends with its owner.
#[derive(Debug)]
pub(super) struct Background(JoinHandle<()>);

impl Background {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Retries {
    /// Tries the connection until it is up, is refused, is taken down or has gone.
    pub(super) fn begin(&self, registry: &Arc<Registry>, profiles: &Profiles, uuid: &str) {
        let (registry, profiles, uuid) = (registry.clone(), profiles.clone(), uuid.to_owned());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(
            uuid.clone(),
            Background::spawn(async move { keep_trying(&registry, &profiles, &uuid).await }),
        );
    }

    /// Leaves the connection to others.
    pub(super) fn end(&self, uuid: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(uuid);
    }
}

async fn keep_trying(registry: &Registry, profiles: &Profiles, uuid: &str) {
    let mut pause = PAUSE;
    loop {
        let since = now();
        match one(profiles, uuid).await {
            Ok(Some(Ended::Failed)) => {
                let failures = registry.history().kept();
                let last = failures
                    .into_iter()
                    .rfind(|failure| failure.uuid == uuid && failure.time >= since);
                match last {
                    Some(failure) if failure.code == NOT_READY => pause = (pause * 2).min(LONGEST_PAUSE),
                    Some(failure) if !PASSING.contains(&failure.code.as_str()) => {
                        return tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "not trying the connection further: {}", failure.text);
                    }
                    _ => pause = PAUSE,
                }
            }
            // It is up, somebody took it down, or it has gone.
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "NetworkManager does not try the connection: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        registry.tries().wait(uuid, pause).await;
    }
}

/// One try, or the one that is going on; nothing if there is no such profile.
async fn one(profiles: &Profiles, uuid: &str) -> zbus::Result<Option<Ended>> {
    let activation = match profiles.activation(uuid).await? {
        Some(activation) => activation,
        None => {
            let Some((path, settings)) = profiles.without_secrets(uuid).await? else {
                return Ok(None);
            };
            let base = base::device(&settings).await;
            profiles
                .begin_up(&path, profiles.base(base.as_deref()).await)
                .await?
        }
    };
    profiles.end_of(&activation).await.map(Some)
}
