//! Transactions: connections as a document declares them, all of them or none.
//!
//! NetworkManager's own checkpoints restore neither a changed VPN profile nor an active VPN, so that is done here: before
//! anything is touched, the [`journal`] has every profile as it was. Whatever ends a transaction before its commit (a
//! failure, its caller's death, this daemon's, a time-out, a loss of power) ends in [`undo`].

mod base;
mod journal;
mod profiles;
mod proxies;
mod retry;
mod steps;
mod undo;

use std::{collections::HashSet, fs, io, path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt;
use nmstate_ipsec_core::{
    daemon_api::{Applied, ApplyOptions, Declaration, Outcome, TransactionError},
    plan::{self, Action, Step},
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use zbus::{Connection, zvariant::OwnedObjectPath};

use crate::{client::Client, connection::Registry};
use journal::{Entry, Journal, Record};
use profiles::Profiles;
use retry::{Background, Retries};
use undo::Undone;

/// Where the journal is (`StateDirectory=` of the unit).
pub const STATE_DIR: &str = "/var/lib/nmstate-ipsec";

/// nmstate's own: new profiles and devices go when NetworkManager rolls back (`NM_CHECKPOINT_CREATE_FLAG_*`).
const DELETE_NEW_CONNECTIONS: u32 = 0x2;
const DISCONNECT_NEW_DEVICES: u32 = 0x4;

/// How long NetworkManager may take to come back before undoing is put off until it does.
const NETWORKMANAGER_TIME_OUT: Duration = Duration::from_secs(30);

/// Seconds until a transaction is undone that nobody commits; nmstate's default.
const TIME_OUT: u32 = 60;

/// All transactions of this daemon, one at a time.
#[derive(Debug)]
pub struct Transactions {
    registry: Arc<Registry>,
    profiles: Profiles,
    journal: Journal,
    retries: Retries,
    /// Held by the transaction that is going on.
    turn: Arc<Mutex<()>>,
    /// What was prepared, and waits for its caller to go on.
    prepared: Mutex<Option<Prepared>>,
    /// What was applied, and waits for its commit.
    open: Mutex<Option<Open>>,
}

/// A transaction whose caller is busy with the rest of the document.
#[derive(Debug)]
struct Prepared {
    record: Record,
    client: Client,
    turn: OwnedMutexGuard<()>,
    /// Undoes it when the caller leaves the bus.
    _watch: Background,
}

/// What was applied and waits for its commit.
#[derive(Debug)]
struct Open {
    record: Record,
    /// Undoes it when the checkpoint has gone.
    _watch: Background,
}

impl Transactions {
    /// No transaction yet; the journal is in `state_dir`.
    pub fn new(registry: Arc<Registry>, bus: Connection, state_dir: &Path) -> Self {
        Self {
            registry,
            profiles: Profiles(bus),
            journal: Journal::new(state_dir),
            retries: Retries::default(),
            turn: Arc::default(),
            prepared: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Ends what an earlier daemon left open, now and whenever NetworkManager comes onto the bus: its checkpoints are gone
    /// then, and nobody is there to commit. Transactions wait for that.
    pub async fn replay(&self) {
        loop {
            self.settle_all().await;
            if let Err(error) = self.profiles.networkmanager_came().await {
                return tracing::error!("failed to watch for NetworkManager: {error}");
            }
        }
    }

    async fn settle_all(&self) {
        let _turn = self.turn.lock().await;
        *self.open.lock().await = None;
        if let Err(error) = self.settle().await {
            tracing::error!("{error}");
        }
    }

    /// Keeps in mind what is up, before `client` has nmstate change devices under it.
    ///
    /// # Errors
    /// Those of the D-Bus method; nothing has changed then.
    pub async fn prepare(self: &Arc<Self>, client: &Client) -> Result<(), TransactionError> {
        let turn = self.begin_turn().await?;
        let checkpoints = self.profiles.checkpoints().await.map_err(refused)?;
        let active = self.profiles.active_profiles().await.map_err(refused)?;
        let entries = active.into_iter().map(|(uuid, settings)| Entry {
            uuid,
            existed: true,
            settings,
            was_active: true,
        });
        let record = Record::prepared(checkpoints, entries.collect());
        self.journal.write(&record).map_err(unwritten)?;
        let _watch = Background::spawn(self.clone().give_up_without(client.clone()));
        *self.prepared.lock().await = Some(Prepared {
            record,
            client: client.clone(),
            turn,
            _watch,
        });
        Ok(())
    }

    /// Carries `declarations` out for `client`.
    ///
    /// # Errors
    /// Those of the D-Bus method; nothing has changed then, and what was prepared is undone.
    pub async fn apply(
        self: &Arc<Self>,
        options: ApplyOptions,
        declarations: Vec<Declaration>,
        client: &Client,
    ) -> Result<Applied, TransactionError> {
        let prepared = self.prepared_by(client).await;
        let (_turn, base) = match prepared {
            Some(Prepared { turn, mut record, .. }) => {
                record.checkpoint.clone_from(&options.checkpoint);
                (turn, Some(record))
            }
            None => (self.begin_turn().await?, None),
        };
        let begun = self.begin(&options, &declarations, base.as_ref()).await;
        let (steps, record) = match begun {
            Ok(Begun::Work(steps, record)) => (steps, record),
            Ok(Begun::Nothing(steps)) => {
                let outcomes = steps::carry_out(&self.registry, &self.profiles, &steps, &options).await;
                self.try_further(&outcomes);
                return Ok(came_of(outcomes));
            }
            Ok(Begun::Plan(steps)) => return Ok(done(steps.iter().map(steps::outcome).collect())),
            Err(error) => {
                if let Some(record) = &base {
                    self.undo(record).await;
                }
                return Err(error);
            }
        };
        let outcomes = tokio::select! {
            outcomes = steps::carry_out(&self.registry, &self.profiles, &steps, &options) => Some(outcomes),
            _ = client.gone() => None,
            () = self.prolong(&record, &options) => None,
        };
        let Some(outcomes) = outcomes.as_ref().filter(|outcomes| is_done(outcomes)).cloned() else {
            // Whoever left does not read this.
            return Ok(failed(outcomes.unwrap_or_default(), self.undo(&record).await));
        };
        self.try_further(&outcomes);
        if options.commit {
            self.commit_record(record).await?;
        } else {
            let _watch = Background::spawn(self.clone().give_up_after(record.checkpoint.clone()));
            *self.open.lock().await = Some(Open { record, _watch });
        }
        Ok(done(outcomes))
    }

    /// Makes what was applied without commit last.
    ///
    /// # Errors
    /// There is nothing to commit, or the disk refuses.
    pub async fn commit(&self) -> Result<(), TransactionError> {
        let open = self.open.lock().await.take().ok_or_else(nothing_open)?;
        self.commit_record(open.record).await
    }

    /// Undoes what `client` has prepared, or what was applied without commit, and returns what could not be undone.
    ///
    /// # Errors
    /// There is nothing to undo.
    pub async fn rollback(&self, client: &Client) -> Result<Vec<String>, TransactionError> {
        if let Some(prepared) = self.prepared_by(client).await {
            return Ok(self.undo(&prepared.record).await);
        }
        let open = self.open.lock().await.take().ok_or_else(nothing_open)?;
        Ok(self.undo(&open.record).await)
    }

    /// Waits for whoever is at it. Nothing is open then.
    async fn begin_turn(&self) -> Result<OwnedMutexGuard<()>, TransactionError> {
        let turn = self.turn.clone().lock_owned().await;
        if self.open.lock().await.is_some() {
            let text = "another transaction waits for its commit; commit it or roll it back first";
            return Err(TransactionError::WrongTime(text.into()));
        }
        self.settle().await?;
        Ok(turn)
    }

    async fn prepared_by(&self, client: &Client) -> Option<Prepared> {
        let mut prepared = self.prepared.lock().await;
        prepared.take_if(|prepared| prepared.client.is_same(client))
    }

    /// Ends a transaction of which nothing but the journal is left.
    async fn settle(&self) -> Result<(), TransactionError> {
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

    /// Finds out what there is to do, and makes sure that it can be undone. `base` is what was up before nmstate changed
    /// the devices under it: what has gone with them is to be up again.
    async fn begin(
        &self,
        options: &ApplyOptions,
        declarations: &[Declaration],
        base: Option<&Record>,
    ) -> Result<Begun, TransactionError> {
        let mut steps = self.plan(declarations).await?;
        if options.dry_run {
            return Ok(Begun::Plan(steps));
        }
        let before = base.map_or(&[][..], |record| &record.entries);
        for entry in before {
            match steps.iter_mut().find(|step| step.uuid == entry.uuid) {
                Some(step) => step.was_active = true,
                None => steps.push(Step::again(&entry.settings)),
            }
        }
        if base.is_none() && steps.iter().all(|step| step.action == Action::Keep) {
            return Ok(Begun::Nothing(steps));
        }
        for step in &steps {
            self.retries.end(&step.uuid);
        }
        let checkpoint = match base {
            Some(_) => options.checkpoint.clone(),
            None => self.own_checkpoint(options).await?,
        };
        let touched = steps
            .iter()
            .filter(|step| base.is_some() || step.action != Action::Keep);
        let record = Record::new(checkpoint, base.is_none(), touched.map(entry).collect());
        if let Err(error) = self.journal.write(&record) {
            let _ = undo::end_checkpoint(&self.profiles, &record, false).await;
            return Err(unwritten(error));
        }
        Ok(Begun::Work(steps, record))
    }

    async fn own_checkpoint(&self, options: &ApplyOptions) -> Result<String, TransactionError> {
        let flags = DELETE_NEW_CONNECTIONS | DISCONNECT_NEW_DEVICES;
        let manager = self.profiles.manager().await.map_err(refused)?;
        match manager.checkpoint_create(&[], time_out(options), flags).await {
            Ok(path) => Ok(path.to_string()),
            Err(error) => Err(TransactionError::Failed(format!(
                "NetworkManager made no checkpoint: {error}; is another change waiting for its commit?"
            ))),
        }
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
    async fn give_up_after(self: Arc<Self>, checkpoint: String) {
        if let Err(error) = self.gone(&checkpoint).await {
            tracing::error!("failed to watch NetworkManager's checkpoint {checkpoint}: {error}");
        }
        let open = self
            .open
            .lock()
            .await
            .take_if(|open| open.record.checkpoint == checkpoint);
        if let Some(Open { record, _watch }) = open {
            tracing::warn!("nobody has committed in time; putting everything back as it was");
            let _turn = self.turn.lock().await;
            self.undo(&record).await;
        }
    }

    /// Undoes what was prepared when whoever prepared it leaves the bus.
    async fn give_up_without(self: Arc<Self>, client: Client) {
        if let Err(error) = client.gone().await {
            tracing::error!("failed to watch whoever prepared a transaction: {error}");
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

    fn try_further(&self, outcomes: &[Outcome]) {
        for pending in outcomes.iter().filter(|outcome| outcome.state == "pending") {
            self.retries.begin(&self.registry, &self.profiles, &pending.uuid);
        }
    }

    async fn undo(&self, record: &Record) -> Vec<String> {
        for entry in &record.entries {
            self.retries.end(&entry.uuid);
        }
        if let Err(error) = self.profiles.networkmanager(NETWORKMANAGER_TIME_OUT).await {
            tracing::error!("not undoing the transaction yet: {error}");
            return vec![error.to_string()];
        }
        let Undone { remains, to_bring_up } = undo::undo(&self.profiles, record).await;
        // Not all that they need may be there at once, as after a restart of NetworkManager.
        for uuid in to_bring_up {
            self.retries.begin(&self.registry, &self.profiles, &uuid);
        }
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

/// What a transaction comes to.
enum Begun {
    /// Nobody wants more than to know.
    Plan(Vec<Step>),
    /// Nothing changes: it is only seen to be so.
    Nothing(Vec<Step>),
    /// This is to be done, and can be undone.
    Work(Vec<Step>, Record),
}

fn came_of(outcomes: Vec<Outcome>) -> Applied {
    if is_done(&outcomes) {
        done(outcomes)
    } else {
        failed(outcomes, Vec::new())
    }
}

fn unwritten(error: io::Error) -> TransactionError {
    TransactionError::Failed(format!("failed to write the journal in {STATE_DIR}: {error}"))
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
