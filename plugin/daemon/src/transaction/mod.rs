//! Transactions: connections as a document declares them, all of them or none.
//!
//! NetworkManager's own checkpoints restore neither a changed VPN profile nor an active VPN, so that is done here: before
//! anything is touched, the journal has every profile as it was. Whatever ends a transaction before its commit (a
//! failure, its caller's death, this daemon's, a time-out, a loss of power) ends in undoing it.

mod background;
mod begin;
mod end;
mod journal;
mod steps;
mod undo;

use std::{io, path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt;
use nmstate_ipsec_core::daemon_api::{Applied, ApplyOptions, Declaration, Outcome, TransactionError};
use tokio::sync::{Mutex, OwnedRwLockWriteGuard, RwLock};
use zbus::{Connection, zvariant::OwnedObjectPath};

use crate::{
    autoconnect::{Autoconnect, Keeper},
    client::Client,
    connection::Registry,
    networkmanager::profiles::Profiles,
};
use background::Background;
use begin::Begun;
use journal::{Entry, Journal, Record};

/// Where the journal is (`StateDirectory=` of the unit).
pub const STATE_DIR: &str = "/var/lib/nmstate-ipsec";

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
    autoconnect: Autoconnect,
    /// Held by the transaction that is going on, and shared by whoever else brings something up.
    turn: Arc<RwLock<()>>,
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
    turn: OwnedRwLockWriteGuard<()>,
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
    /// No transaction yet; the journal is in `state_dir`. What is to be brought up later is told to the keeper, which is
    /// yet to run.
    pub fn new(registry: Arc<Registry>, bus: Connection, state_dir: &Path) -> (Self, Keeper) {
        let profiles = Profiles::new(bus, registry.activations());
        let turn = Arc::default();
        let (keeper, autoconnect) = Keeper::new(registry.clone(), profiles.clone(), Arc::clone(&turn));
        let transactions = Self {
            profiles,
            registry,
            journal: Journal::new(state_dir),
            autoconnect,
            turn,
            prepared: Mutex::default(),
            open: Mutex::default(),
        };
        (transactions, keeper)
    }

    /// Whoever brings connections up that are to be up.
    pub fn autoconnect(&self) -> &Autoconnect {
        &self.autoconnect
    }

    /// Ends what an earlier daemon left open, now and whenever NetworkManager comes onto the bus: its checkpoints are gone
    /// then, and nobody is there to commit. Transactions wait for that.
    pub async fn replay(&self) {
        // From the beginning: NetworkManager may come while the first look waits for it.
        let came = self.profiles.networkmanager_comes().await;
        let mut came = match came {
            Ok(came) => Box::pin(came),
            Err(error) => return tracing::error!("failed to watch for NetworkManager: {error}"),
        };
        loop {
            self.settle_all().await;
            if came.next().await.is_none() {
                return tracing::error!("failed to watch for NetworkManager: the bus was closed");
            }
        }
    }

    async fn settle_all(&self) {
        let _turn = self.turn.write().await;
        let checkpoints = self.profiles.checkpoints().await.unwrap_or_default();
        let mut open = self.open.lock().await;
        // It may have been applied under this NetworkManager, while its arrival waited for its turn.
        if open
            .as_ref()
            .is_some_and(|open| checkpoints.contains(&open.record.checkpoint))
        {
            return;
        }
        *open = None;
        drop(open);
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
        if !options.dry_run && declarations.iter().any(|declared| declared.state == "up") {
            let registry = Arc::clone(&self.registry);
            tokio::spawn(async move {
                let host = registry.host();
                host.networkmanager.wake_dispatcher(&host.bus).await;
            });
        }
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
                let outcomes = tokio::select! {
                    outcomes = steps::carry_out(&self.registry, &self.profiles, &steps, &options) => outcomes,
                    // Who has left does not read this, and others wait.
                    _ = client.gone() => return Ok(came_of(Vec::new())),
                };
                self.try_further(&outcomes);
                return Ok(came_of(outcomes));
            }
            Ok(Begun::Plan(steps)) => {
                if let Some(record) = &base {
                    self.undo(record).await;
                }
                return Ok(done(steps.iter().map(steps::outcome).collect()));
            }
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
    /// There is nothing to commit; its checkpoint has ended by itself, or the disk refuses, and it is undone then.
    pub async fn commit(&self) -> Result<(), TransactionError> {
        let _turn = self.turn.write().await;
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
        let _turn = self.turn.write().await;
        let open = self.open.lock().await.take().ok_or_else(nothing_open)?;
        Ok(self.undo(&open.record).await)
    }

    /// Waits for whoever is at it. Nothing is open then.
    async fn begin_turn(&self) -> Result<OwnedRwLockWriteGuard<()>, TransactionError> {
        let turn = self.turn.clone().write_owned().await;
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

    /// Keeps NetworkManager from rolling back while we work; ends when that is no longer possible.
    async fn prolong(&self, record: &Record, options: &ApplyOptions) {
        let path = OwnedObjectPath::try_from(record.checkpoint.as_str());
        let (Ok(manager), Ok(path)) = (self.profiles.manager().await, path) else {
            return;
        };
        // One of our own was made a moment ago.
        let mut is_fresh = record.is_own_checkpoint;
        loop {
            if std::mem::take(&mut is_fresh) {
                tokio::time::sleep(Duration::from_secs(u64::from(time_out(options)) / 2)).await;
            }
            if let Err(error) = manager
                .checkpoint_adjust_rollback_timeout(&path, time_out(options))
                .await
            {
                return tracing::error!("NetworkManager's checkpoint {path} has gone: {error}");
            }
            tokio::time::sleep(Duration::from_secs(u64::from(time_out(options)) / 2)).await;
        }
    }

    fn try_further(&self, outcomes: &[Outcome]) {
        for pending in outcomes.iter().filter(|outcome| outcome.state == "pending") {
            self.autoconnect.want(&pending.uuid);
        }
    }
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
