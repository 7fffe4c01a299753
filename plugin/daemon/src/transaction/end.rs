//! The end of a transaction: for good, or as if it had never been.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use nmstate_ipsec_core::{daemon_api::TransactionError, networkmanager::ManagerProxy};
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

use super::{NETWORKMANAGER_TIME_OUT, Open, Prepared, STATE_DIR, Transactions, journal::Record, undo};
use crate::{client::Client, connection::Listener};

/// How long nmstate may take for the rest of a document.
const PREPARED_TIME_OUT: Duration = Duration::from_secs(900);

impl Transactions {
    /// Ends a transaction of which nothing but the journal is left.
    pub(super) async fn settle(&self) -> Result<(), TransactionError> {
        let unsettled = |why: String| {
            TransactionError::Failed(format!(
                "an interrupted transaction could not be put back from the journal in {STATE_DIR}: {why}; \
                 see to the profiles and remove it"
            ))
        };
        let record = match self.journal.read() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(error) => return Err(unsettled(error.to_string())),
        };
        if record.is_committed {
            self.end(&record).await;
            return Ok(());
        }
        tracing::warn!("a transaction was interrupted; putting everything back as it was");
        let remains = self.undo(&record).await;
        if remains.is_empty() {
            return Ok(());
        }
        Err(unsettled(remains.join("; ")))
    }

    /// Undoes what waits for its commit when its checkpoint has gone.
    pub(super) async fn give_up_after(self: Arc<Self>, checkpoint: String) {
        if let Err(error) = self.gone(&checkpoint).await {
            tracing::error!("failed to watch NetworkManager's checkpoint {checkpoint}: {error}");
        }
        // Who has its turn may be about to commit it.
        let _turn = self.turn.write().await;
        let open = self
            .open
            .lock()
            .await
            .take_if(|open| open.record.checkpoint == checkpoint);
        if let Some(Open { record, _watch }) = open {
            tracing::warn!("nobody has committed in time; putting everything back as it was");
            self.undo(&record).await;
        }
    }

    /// Undoes what was prepared when whoever prepared it leaves the bus.
    pub(super) async fn give_up_without(self: Arc<Self>, client: Client) {
        match tokio::time::timeout(PREPARED_TIME_OUT, client.gone()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("failed to watch whoever prepared a transaction: {error}"),
            Err(_) => tracing::error!("whoever prepared a transaction does not go on with it; others wait"),
        }
        if let Some(Prepared {
            record, turn, _watch, ..
        }) = self.prepared_by(&client).await
        {
            tracing::warn!("whoever prepared a transaction has left; putting everything back as it was");
            self.undo(&record).await;
            drop(turn);
        }
    }

    /// Waits until NetworkManager no longer has the checkpoint.
    async fn gone(&self, checkpoint: &str) -> zbus::Result<()> {
        // Only a proxy that keeps properties hears of their changes.
        let manager = ManagerProxy::new(&self.profiles.bus).await?;
        let mut changes = manager.receive_checkpoints_changed().await;
        let has_it = |known: Vec<OwnedObjectPath>| known.iter().any(|known| known.as_str() == checkpoint);
        let mut is_there = has_it(manager.checkpoints().await?);
        while is_there {
            let Some(change) = changes.next().await else {
                return Err(zbus::Error::Failure("the bus was closed".into()));
            };
            is_there = has_it(change.get().await?);
        }
        Ok(())
    }

    /// The commit is the moment when the disk has it.
    pub(super) async fn commit_record(&self, mut record: Record) -> Result<(), TransactionError> {
        let committed = if record.is_own_checkpoint {
            self.commit_own(&record).await
        } else {
            self.commit_with_nmstate(&mut record).await
        };
        let Err(why) = committed else { return Ok(()) };
        let remains = self.undo(&record).await;
        Err(TransactionError::Failed(if remains.is_empty() {
            format!("{why}; everything is as it was")
        } else {
            let remains = remains.join("; ");
            format!("{why}; not yet as it was, which is tried again when NetworkManager is there: {remains}")
        }))
    }

    /// Whoever dies once this is written, NetworkManager must not put its part back: only the checkpoint and the journal are yet
    /// to go.
    async fn commit_with_nmstate(&self, record: &mut Record) -> Result<(), String> {
        record.is_committed = true;
        self.journal
            .write(record)
            .map_err(|error| format!("failed to write the journal in {STATE_DIR}: {error}"))?;
        self.end(record).await;
        Ok(())
    }

    /// A checkpoint of our own has nothing that NetworkManager has to put back. Once we have ended it, the journal alone can
    /// undo this, and makes it last by going too. One that has ended by itself has taken new profiles along.
    async fn commit_own(&self, record: &Record) -> Result<(), String> {
        let destroy = async {
            let checkpoint = ObjectPath::try_from(record.checkpoint.as_str())?;
            let manager = self.profiles.manager().await?;
            manager.checkpoint_destroy(&checkpoint).await
        };
        let destroyed: zbus::Result<()> = destroy.await;
        destroyed.map_err(|error| {
            format!(
                "NetworkManager's checkpoint cannot be ended, as after its time-out or a restart: {error}"
            )
        })?;
        self.journal.remove().map_err(|error| {
            // It may have gone all the same, and undoing needs it.
            if let Err(error) = self.journal.write(record) {
                tracing::error!("failed to write the journal in {STATE_DIR}: {error}");
            }
            format!("failed to remove the journal in {STATE_DIR}: {error}")
        })
    }

    pub(super) async fn end(&self, record: &Record) {
        if let Err(error) = undo::end_checkpoint(&self.profiles, record, false).await {
            // NetworkManager must not roll back what was committed: without it the journal stays for another try.
            return tracing::error!(
                "failed to end NetworkManager's checkpoint {}: {error}",
                record.checkpoint
            );
        }
        self.forget();
    }

    pub(super) async fn undo(&self, record: &Record) -> Vec<String> {
        for entry in &record.entries {
            self.autoconnect.withdraw(&entry.uuid);
            self.registry.leave(&entry.uuid, Listener::Transaction);
        }
        if let Err(error) = self.profiles.networkmanager(NETWORKMANAGER_TIME_OUT).await {
            tracing::error!("not undoing the transaction yet: {error}");
            return vec![error.to_string()];
        }
        let remains = self.put_everything_back(record).await;
        if remains.is_empty() {
            self.forget();
        }
        remains
    }

    pub(super) fn forget(&self) {
        if let Err(error) = self.journal.remove() {
            tracing::error!("failed to remove the journal in {STATE_DIR}: {error}");
        }
    }
}
