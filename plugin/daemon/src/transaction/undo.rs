//! Undoing a transaction, wherever it was interrupted: what is as it was already is left alone, so that it can be done
//! again and again.

use futures_util::{StreamExt, stream};
use nmstate_ipsec_core::plan;
use zbus::zvariant::ObjectPath;

use super::journal::{Entry, Record};
use crate::networkmanager::profiles::Profiles;

/// Most profiles that are put back at once.
const AT_ONCE: usize = 16;

/// Puts everything back as the record has it: NetworkManager's part, if there is one, then the profiles and what was up.
/// It does not stop at what cannot be put back.
pub(super) async fn undo(profiles: &Profiles, record: &Record) -> Undone {
    let mut to_bring_up = Vec::new();
    let mut remains: Vec<String> = end_checkpoint(profiles, record, !record.is_own_checkpoint)
        .await
        .err()
        .map(|error| format!("failed to roll the rest of the document back: {error}"))
        .into_iter()
        .collect();
    let mut running = stream::iter(0..record.entries.len())
        .map(|index| async move { (index, put_back(profiles, &record.entries[index]).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((index, put_back)) = running.next().await {
        let uuid = &record.entries[index].uuid;
        match put_back {
            Ok(false) => {}
            Ok(true) => to_bring_up.push(uuid.clone()),
            Err(error) => {
                tracing::error!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to put the profile back as it was: {error}");
                remains.push(format!("the profile {uuid} could not be put back: {error}"));
            }
        }
    }
    Undone { remains, to_bring_up }
}

/// What is left to do after undoing.
#[derive(Debug)]
pub(super) struct Undone {
    /// What could not be put back.
    pub(super) remains: Vec<String>,
    /// The UUIDs of connections that were up, and may not be any more.
    pub(super) to_bring_up: Vec<String>,
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

/// Puts one profile back, and tells whether it has to be brought up.
async fn put_back(profiles: &Profiles, entry: &Entry) -> zbus::Result<bool> {
    let uuid = entry.uuid.as_str();
    if !entry.existed {
        return profiles.delete(uuid).await.map(|()| false);
    }
    let now = profiles.find(uuid).await?;
    if now.as_ref() != Some(&entry.settings) {
        let is_same_tunnel = |now| plan::is_same_tunnel(now, &entry.settings);
        if !now.as_ref().is_some_and(is_same_tunnel) {
            // What is up may be of the other settings. It goes first: an interruption after this finds it down.
            profiles.take_down(uuid).await?;
        }
        profiles.store(uuid, &entry.settings).await?;
    }
    if !entry.was_active {
        return profiles.take_down(uuid).await.map(|()| false);
    }
    // Whoever brings it up finds out whether it is.
    Ok(true)
}
