//! One wish to have a connection up, and what is being done about it.

use std::sync::Arc;

use nmstate_ipsec_core::profile::Profile;
use tokio::{task::JoinHandle, time::Instant};

use crate::client::Client;

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
            watch,
        }
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
