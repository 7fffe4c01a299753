//! Transactions: connections as a document declares them, all of them or none.
//!
//! NetworkManager's own checkpoints restore neither a changed VPN profile nor an active VPN, so that is done here: before
//! anything is touched, the [`journal`] has every profile as it was. Whatever ends a transaction before its commit (a
//! failure, its caller's death, this daemon's, a time-out, a loss of power) ends in [`undo`].

mod base;
mod journal;
mod profiles;
mod proxies;
mod steps;
mod undo;

use std::{collections::HashSet, fs, io, path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt;
use nmstate_ipsec_core::{
    daemon_api::{Applied, ApplyOptions, Declaration, Outcome, TransactionError},
    plan::{self, Action, Step},
};
use tokio::{sync::Mutex, task::JoinHandle};
use zbus::{Connection, zvariant::OwnedObjectPath};

use crate::{client::Client, connection::Registry};
use journal::{Entry, Journal, Record};
use profiles::Profiles;

/// Where the journal is (`StateDirectory=` of the unit).
pub const STATE_DIR: &str = "/var/lib/nmstate-ipsec";

/// nmstate's own: new profiles and devices go when NetworkManager rolls back (`NM_CHECKPOINT_CREATE_FLAG_*`).
const DELETE_NEW_CONNECTIONS: u32 = 0x2;
const DISCONNECT_NEW_DEVICES: u32 = 0x4;

/// Seconds until a transaction is undone that nobody commits; nmstate's default.
const TIME_OUT: u32 = 60;

/// All transactions of this daemon, one at a time.
#[derive(Debug)]
pub struct Transactions {
    registry: Arc<Registry>,
    profiles: Profiles,
    journal: Journal,
    open: Mutex<Option<Open>>,
}

/// What was applied and waits for its commit.
#[derive(Debug)]
struct Open {
    record: Record,
    /// Undoes it when the checkpoint has gone.
    watch: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Transactions {
    /// No transaction yet; the journal is in `state_dir`.
    pub fn new(registry: Arc<Registry>, bus: Connection, state_dir: &Path) -> Self {
        Self {
            registry,
            profiles: Profiles(bus),
            journal: Journal::new(state_dir),
            open: Mutex::default(),
        }
    }

    /// Ends what an earlier daemon left open: nobody is there to commit it. Transactions wait for that.
    pub async fn replay(&self) {
        let _turn = self.open.lock().await;
        let record = match self.journal.read() {
            Ok(Some(record)) => record,
            Ok(None) => return,
            Err(error) => {
                return tracing::error!(
                    "failed to read the journal in {STATE_DIR}: {error}; profiles of an interrupted transaction stay as they are"
                );
            }
        };
        if record.is_committed {
            self.end(&record).await;
        } else {
            tracing::warn!("a transaction was interrupted; putting everything back as it was");
            self.undo(&record).await;
        }
    }

    /// Carries `declarations` out for `client`.
    ///
    /// # Errors
    /// Those of the D-Bus method; nothing has changed then.
    pub async fn apply(
        self: &Arc<Self>,
        options: ApplyOptions,
        declarations: Vec<Declaration>,
        client: &Client,
    ) -> Result<Applied, TransactionError> {
        let mut open = self.open.lock().await;
        if open.is_some() {
            let text = "another transaction waits for its commit; commit it or roll it back first";
            return Err(TransactionError::WrongTime(text.into()));
        }
        let steps = self.plan(&declarations).await?;
        if options.dry_run {
            return Ok(done(steps.iter().map(steps::outcome).collect()));
        }
        let is_idle = steps.iter().all(|step| step.action == Action::Keep);
        if is_idle && options.checkpoint.is_empty() {
            let outcomes = steps::carry_out(&self.registry, &self.profiles, &steps, &options).await;
            return Ok(if is_done(&outcomes) {
                done(outcomes)
            } else {
                failed(outcomes, Vec::new())
            });
        }
        let record = self.begin(&options, &steps).await?;
        let outcomes = tokio::select! {
            outcomes = steps::carry_out(&self.registry, &self.profiles, &steps, &options) => Some(outcomes),
            _ = client.gone() => None,
            () = self.prolong(&record, &options) => None,
        };
        let Some(outcomes) = outcomes.as_ref().filter(|outcomes| is_done(outcomes)).cloned() else {
            // Whoever left does not read this.
            return Ok(failed(outcomes.unwrap_or_default(), self.undo(&record).await));
        };
        if options.commit {
            self.commit_record(record).await?;
        } else {
            let watch = tokio::spawn(self.clone().watch(record.checkpoint.clone()));
            *open = Some(Open { record, watch });
        }
        Ok(done(outcomes))
    }

    /// Makes what was applied without commit last.
    ///
    /// # Errors
    /// There is nothing to commit, or the disk refuses.
    pub async fn commit(&self) -> Result<(), TransactionError> {
        let mut open = self.open.lock().await;
        let record = open.take().ok_or_else(nothing_open)?.into_record();
        self.commit_record(record).await
    }

    /// Undoes what was applied without commit, and returns what could not be undone.
    ///
    /// # Errors
    /// There is nothing to undo.
    pub async fn rollback(&self) -> Result<Vec<String>, TransactionError> {
        let mut open = self.open.lock().await;
        let record = open.take().ok_or_else(nothing_open)?.into_record();
        Ok(self.undo(&record).await)
    }

    async fn plan(&self, declarations: &[Declaration]) -> Result<Vec<Step>, TransactionError> {
        let names: HashSet<&str> = declarations.iter().map(|wanted| wanted.name.as_str()).collect();
        let stored = self.profiles.named(&names).await.map_err(refused)?;
        let mut faults = None;
        let planned = plan::plan(declarations, &stored, || {
            new_uuid().unwrap_or_else(|error| {
                faults = Some(error);
                String::new()
            })
        });
        if let Some(error) = faults {
            return Err(TransactionError::Failed(format!(
                "failed to make a UUID: {error}"
            )));
        }
        planned.map_err(|error| TransactionError::InvalidDeclaration(error.to_string()))
    }

    /// Makes sure that everything can be undone.
    async fn begin(&self, options: &ApplyOptions, steps: &[Step]) -> Result<Record, TransactionError> {
        let is_own = options.checkpoint.is_empty();
        let checkpoint = if is_own {
            let flags = DELETE_NEW_CONNECTIONS | DISCONNECT_NEW_DEVICES;
            let manager = self.profiles.manager().await.map_err(refused)?;
            let made = manager.checkpoint_create(&[], time_out(options), flags).await;
            made.map_err(|error| {
                TransactionError::Failed(format!(
                    "NetworkManager made no checkpoint: {error}; is another change waiting for its commit?"
                ))
            })?
            .to_string()
        } else {
            options.checkpoint.clone()
        };
        let touched = steps.iter().filter(|step| step.action != Action::Keep);
        let record = Record::new(checkpoint, is_own, touched.map(entry).collect());
        if let Err(error) = self.journal.write(&record) {
            let _ = undo::end_checkpoint(&self.profiles, &record, false).await;
            return Err(TransactionError::Failed(format!(
                "failed to write the journal in {STATE_DIR}: {error}"
            )));
        }
        Ok(record)
    }

    /// Keeps NetworkManager from rolling back while we work; ends when that is no longer possible.
    async fn prolong(&self, record: &Record, options: &ApplyOptions) {
        let path = OwnedObjectPath::try_from(record.checkpoint.as_str());
        let (Ok(manager), Ok(path)) = (self.profiles.manager().await, path) else {
            return;
        };
        loop {
            if let Err(error) = manager
                .checkpoint_adjust_rollback_timeout(&path, time_out(options))
                .await
            {
                return tracing::error!("NetworkManager's checkpoint {path} has gone: {error}");
            }
            tokio::time::sleep(Duration::from_secs(u64::from(time_out(options)) / 2)).await;
        }
    }

    /// Undoes what waits for its commit when its checkpoint has gone.
    async fn watch(self: Arc<Self>, checkpoint: String) {
        if let Err(error) = self.gone(&checkpoint).await {
            tracing::error!("failed to watch NetworkManager's checkpoint {checkpoint}: {error}");
        }
        let mut open = self.open.lock().await;
        let Some(mut given_up) = open.take_if(|open| open.record.checkpoint == checkpoint) else {
            return;
        };
        tracing::warn!("nobody has committed in time; putting everything back as it was");
        // This task is the watch.
        given_up.watch = tokio::spawn(async {});
        self.undo(&given_up.into_record()).await;
    }

    async fn gone(&self, checkpoint: &str) -> zbus::Result<()> {
        let manager = self.profiles.manager().await?;
        let mut changes = manager.receive_checkpoints_changed().await;
        loop {
            if !manager
                .checkpoints()
                .await?
                .iter()
                .any(|known| known.as_str() == checkpoint)
            {
                return Ok(());
            }
            if changes.next().await.is_none() {
                return Err(zbus::Error::InputOutput(Arc::new(
                    io::ErrorKind::NotConnected.into(),
                )));
            }
        }
    }

    /// The commit is the moment when the disk has it; from then on only the checkpoint and the journal are yet to go.
    async fn commit_record(&self, mut record: Record) -> Result<(), TransactionError> {
        record.is_committed = true;
        if let Err(error) = self.journal.write(&record) {
            self.undo(&record).await;
            return Err(TransactionError::Failed(format!(
                "failed to write the journal in {STATE_DIR}: {error}; everything is as it was"
            )));
        }
        self.end(&record).await;
        Ok(())
    }

    async fn end(&self, record: &Record) {
        if let Err(error) = undo::end_checkpoint(&self.profiles, record, false).await {
            // NetworkManager must not roll back what was committed: without it the journal stays for another try.
            return tracing::error!(
                "failed to end NetworkManager's checkpoint {}: {error}",
                record.checkpoint
            );
        }
        self.forget();
    }

    async fn undo(&self, record: &Record) -> Vec<String> {
        let remains = undo::undo(&self.profiles, record).await;
        if remains.is_empty() {
            self.forget();
        }
        remains
    }

    fn forget(&self) {
        if let Err(error) = self.journal.remove() {
            tracing::error!("failed to remove the journal in {STATE_DIR}: {error}");
        }
    }
}

impl Open {
    fn into_record(mut self) -> Record {
        let nothing = Record::new(String::new(), true, Vec::new());
        std::mem::replace(&mut self.record, nothing)
    }
}

fn entry(step: &Step) -> Entry {
    Entry {
        uuid: step.uuid.clone(),
        existed: step.before.is_some(),
        settings: step.before.as_ref().map(plan::copy).unwrap_or_default(),
        was_active: step.was_active,
    }
}

fn is_done(outcomes: &[Outcome]) -> bool {
    outcomes
        .iter()
        .all(|outcome| !outcome.state.is_empty() && outcome.state != "failed")
}

fn done(outcomes: Vec<Outcome>) -> Applied {
    Applied {
        done: true,
        outcomes,
        remains: Vec::new(),
    }
}

fn failed(outcomes: Vec<Outcome>, remains: Vec<String>) -> Applied {
    Applied {
        done: false,
        outcomes,
        remains,
    }
}

fn time_out(options: &ApplyOptions) -> u32 {
    if options.time_out == 0 {
        TIME_OUT
    } else {
        options.time_out
    }
}

fn nothing_open() -> TransactionError {
    TransactionError::WrongTime(
        "nothing waits for a commit; it was committed, or undone at its time-out".into(),
    )
}

fn refused(error: zbus::Error) -> TransactionError {
    TransactionError::Failed(format!(
        "NetworkManager does not say which profiles it has: {error}"
    ))
}

/// A random UUID, as the kernel makes them (`random(4)`).
fn new_uuid() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim_end()
        .to_owned())
}
