//! Undoing a transaction, wherever it was interrupted: what is as it was already is left alone, so that it can be done
//! again and again.

use futures_util::{StreamExt, stream};
use nmstate_ipsec_core::plan;
use zbus::zvariant::ObjectPath;

use super::{
    Transactions,
    journal::{Entry, Record},
};
use crate::{connection::Listener, networkmanager::profiles::Profiles};

/// Most profiles that are put back at once.
const AT_ONCE: usize = 16;

impl Transactions {
    /// Puts everything back as the record has it: NetworkManager's part, if there is one, then the profiles and what was up.
    /// It does not stop at what cannot be put back, and returns that.
    pub(super) async fn put_everything_back(&self, record: &Record) -> Vec<String> {
        let mut remains: Vec<String> = end_checkpoint(&self.profiles, record, !record.is_own_checkpoint)
            .await
            .err()
            .map(|error| format!("failed to roll the rest of the document back: {error}"))
            .into_iter()
            .collect();
        let mut running = stream::iter(0..record.entries.len())
            .map(|index| async move { (index, self.put_back(&record.entries[index]).await) })
            .buffer_unordered(AT_ONCE);
        while let Some((index, put_back)) = running.next().await {
            let uuid = &record.entries[index].uuid;
            if let Err(error) = put_back {
                tracing::error!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to put the profile back as it was: {error}");
                remains.push(format!("the profile {uuid} could not be put back: {error}"));
            }
        }
        remains
    }

    /// Puts one profile back. Whoever brings up what was up finds out whether it still is; not all that it needs may be there at
    /// once, as after a restart of NetworkManager.
    async fn put_back(&self, entry: &Entry) -> zbus::Result<()> {
        let (profiles, uuid) = (&self.profiles, entry.uuid.as_str());
        if !entry.existed {
            return profiles.delete(uuid).await;
        }
        let now = profiles.find(uuid).await?;
        if now.as_ref() != Some(&entry.settings) {
            let is_same_tunnel = |now| plan::is_same_tunnel(now, &entry.settings);
            if !now.as_ref().is_some_and(is_same_tunnel) {
                // What is up may be of the other settings. It goes first: an interruption after this finds it down.
                profiles.take_down(uuid).await?;
                if entry.was_active {
                    // Already now: what goes and nobody wants is let go of.
                    self.autoconnect.want(uuid);
                    self.registry.listen(&entry.settings, Listener::Transaction);
                }
            }
            if let Err(error) = profiles.store(uuid, &entry.settings).await {
                self.registry.leave(uuid, Listener::Transaction);
                return Err(error);
            }
            // Until NetworkManager has been asked for it and gets to asking.
            self.registry.call(uuid);
        }
        if entry.was_active {
            self.autoconnect.want(uuid);
            return Ok(());
        }
        profiles.take_down(uuid).await
    }
}

/// Ends NetworkManager's checkpoint, by rolling back or for good. One that is not there has ended by itself.
pub(super) async fn end_checkpoint(
    profiles: &Profiles,
    record: &Record,
    rolls_back: bool,
) -> zbus::Result<()> {
    let manager = profiles.manager().await?;
    if !rolls_back
        && let Ok(path) = ObjectPath::try_from(record.checkpoint.as_str())
        && manager.checkpoint_destroy(&path).await.is_ok()
    {
        return Ok(());
    }
    for checkpoint in profiles.checkpoints().await? {
        let is_ours = if record.is_prepared && record.checkpoint.is_empty() {
            !record.known.contains(&checkpoint)
        } else {
            record.checkpoint == checkpoint
        };
        let Some(path) = ObjectPath::try_from(checkpoint).ok().filter(|_| is_ours) else {
            continue;
        };
        if rolls_back {
            manager.checkpoint_rollback(&path).await?;
        } else {
            manager.checkpoint_destroy(&path).await?;
        }
    }
    Ok(())
}
