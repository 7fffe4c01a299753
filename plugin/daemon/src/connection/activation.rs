//! One wish to have a connection up, and what is being done about it.

use std::{sync::Arc, time::Duration};

use nmstate_ipsec_core::profile::Profile;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{addresses::Deprecated, client::Client};

/// What pluto was given so lately is what would be given it now.
const FRESH: Duration = Duration::from_secs(30);

/// One wish to have the connection up.
#[derive(Debug)]
pub(super) struct Activation {
    /// Told apart from others by this.
    pub(super) number: u64,
    /// What is to be up.
    pub(super) profile: Arc<Profile>,
    /// Who wants it.
    pub(super) client: Client,
    /// Since when: NetworkManager's limit counts from there.
    pub(super) since: Instant,
    /// A transaction had pluto take it, and nobody has asked for it yet; tells whether the host's addresses have changed since.
    pub(super) ahead: Option<watch::Receiver<Deprecated>>,
    watch: JoinHandle<()>,
}

impl Activation {
    /// A wish of this moment; `withdraw` is called when `client` leaves the bus before the wish is dropped.
    pub(super) fn begin(
        number: u64,
        profile: Profile,
        client: Client,
        withdraw: impl FnOnce() + Send + 'static,
    ) -> Self {
        let watched = client.clone();
        let watch = tokio::spawn(async move {
            match watched.gone().await {
                Ok(()) => withdraw(),
                Err(error) => tracing::warn!("failed to watch the client of a connection: {error}"),
            }
        });
        Self {
            number,
            profile: Arc::new(profile),
            client,
            since: Instant::now(),
            ahead: None,
            watch,
        }
    }

    /// Whether a transaction had pluto take it, and nobody has asked for it yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Whether a transaction had pluto take what is asked for here. A guard is set when somebody asks.
    pub(super) fn is_ahead_of(&self, asked: &Self) -> bool {
        self.is_ahead() && !asked.profile.is_guarded && self.profile == asked.profile
    }

    /// Whether pluto would be given the same now as it was for a transaction.
    pub(super) fn is_fresh(&self) -> bool {
        let is_as_it_was =
            |addresses: &watch::Receiver<_>| addresses.has_changed().is_ok_and(|changed| !changed);
        self.ahead.as_ref().is_some_and(is_as_it_was) && self.since.elapsed() < FRESH
    }
}

impl Drop for Activation {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Work in the background, given up when dropped; a program that it runs is killed then.
#[derive(Debug)]
pub(super) struct Background(pub(super) JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}
