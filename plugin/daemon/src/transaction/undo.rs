//! Undoing a transaction, wherever it was interrupted: what is as it was already is left alone, so that it can be done
//! again and again.

use futures_util::{StreamExt, stream};
use zbus::zvariant::ObjectPath;

use super::{
    base,
    journal::{Entry, Record},
    profiles::Profiles,
};

/// Most profiles that are put back at once.
const AT_ONCE: usize = 16;

/// Puts everything back as the record has it: NetworkManager's part, if there is one, then the profiles and what was up.
/// Returns what could not be put back; it does not stop at that.
pub(super) async fn undo(profiles: &Profiles, record: &Record) -> Vec<String> {
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
        if let Err(error) = put_back {
            let uuid = &record.entries[index].uuid;
            tracing::error!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to put the profile back as it was: {error}");
            remains.push(format!("the profile {uuid} could not be put back: {error}"));
        }
    }
    remains
}

/// Ends NetworkManager's checkpoint, by rolling back or for good. One that is not there has ended by itself.
pub(super) async fn end_checkpoint(
    profiles: &Profiles,
    record: &Record,
    rolls_back: bool,
) -> zbus::Result<()> {
    let Ok(path) = ObjectPath::try_from(record.checkpoint.as_str()) else {
        return Ok(());
    };
    let manager = profiles.manager().await?;
    if !manager
        .checkpoints()
        .await?
        .iter()
        .any(|known| known.as_str() == path.as_str())
    {
        return Ok(());
    }
    if rolls_back {
        manager.checkpoint_rollback(&path).await.map(drop)
    } else {
        manager.checkpoint_destroy(&path).await
    }
}

async fn put_back(profiles: &Profiles, entry: &Entry) -> zbus::Result<()> {
    let uuid = entry.uuid.as_str();
    if !entry.existed {
        return profiles.delete(uuid).await;
    }
    if profiles.find(uuid).await?.as_ref() != Some(&entry.settings) {
        // What is up may be of the other settings. It goes first: an interruption after this finds it down.
        profiles.take_down(uuid).await?;
        profiles.store(uuid, &entry.settings).await?;
    }
    if entry.was_active && profiles.activation(uuid).await?.is_none() {
        let base = base::device(&entry.settings).await;
        // That it comes up is for the peer to say, and it was so before.
        profiles.begin_up(uuid, base.as_deref()).await?;
    } else if !entry.was_active {
        profiles.take_down(uuid).await?;
    }
    Ok(())
}
