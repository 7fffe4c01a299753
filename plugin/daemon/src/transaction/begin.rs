//! The beginning of a transaction: what there is to do, and that it can be undone.

use std::{collections::HashSet, fs, io};

use nmstate_ipsec_core::{
    daemon_api::{ApplyOptions, Declaration, TransactionError},
    plan::{self, Action, Step},
};

use super::{
    Transactions,
    journal::{Entry, Record},
    refused, steps, time_out, undo, unwritten,
};
use crate::connection::Listener;

/// nmstate's own: new profiles and devices go when NetworkManager rolls back (`NM_CHECKPOINT_CREATE_FLAG_*`).
const DELETE_NEW_CONNECTIONS: u32 = 0x2;
const DISCONNECT_NEW_DEVICES: u32 = 0x4;

/// What a transaction comes to.
pub(super) enum Begun {
    /// Nobody wants more than to know.
    Plan(Vec<Step>),
    /// Nothing changes: it is only seen to be so.
    Nothing(Vec<Step>),
    /// This is to be done, and can be undone.
    Work(Vec<Step>, Record),
}

impl Transactions {
    /// The steps, and the UUIDs of the profiles that the declarations are about.
    async fn plan(&self, declarations: &[Declaration]) -> Result<(Vec<Step>, Vec<String>), TransactionError> {
        self.judge_certificates(declarations).await?;
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
        let steps = planned.map_err(|error| TransactionError::InvalidDeclaration(error.to_string()))?;
        Ok((steps, stored.iter().map(plan::Stored::uuid).collect()))
    }

    /// Refuses a certificate that cannot be used now, before NetworkManager is asked for anything. One that is not in the
    /// database may be imported yet.
    async fn judge_certificates(&self, declarations: &[Declaration]) -> Result<(), TransactionError> {
        for declared in declarations.iter().filter(|declared| declared.state == "up") {
            let Some(nickname) = declared.data.get("leftcert") else {
                continue;
            };
            let validity = self.registry.certificates().validity(nickname).await;
            if let Some(reason) = validity.and_then(|validity| validity.fault(nickname)) {
                let text = format!("'{}' cannot be brought up: {reason}", declared.name);
                return Err(TransactionError::Failed(text));
            }
        }
        Ok(())
    }

    /// Finds out what there is to do, and makes sure that it can be undone. `base` is what was up before nmstate changed
    /// the devices under it: what has gone with them is to be up again.
    pub(super) async fn begin(
        &self,
        options: &ApplyOptions,
        declarations: &[Declaration],
        base: Option<&Record>,
    ) -> Result<Begun, TransactionError> {
        let (mut steps, known) = self.plan(declarations).await?;
        if options.dry_run {
            return Ok(Begun::Plan(steps));
        }
        // Also of those that are down at the moment and are to stay so: the transaction is about them now.
        for uuid in &known {
            self.autoconnect.withdraw(uuid);
        }
        let before = base.map_or(&[][..], |record| &record.entries);
        for entry in before {
            match steps.iter_mut().find(|step| step.uuid == entry.uuid) {
                Some(step) => step.was_active = true,
                None => steps.push(Step::again(&entry.settings)),
            }
        }
        // Without a commit somebody is going to end it, though nothing changes.
        if base.is_none() && options.commit && steps.iter().all(|step| step.action == Action::Keep) {
            return Ok(Begun::Nothing(steps));
        }
        // Of very many the others follow soon before it is their turn.
        steps::get_ready(&self.registry, &steps, 0);
        match self.make_undoable(options, base, &steps).await {
            Ok(record) => Ok(Begun::Work(steps, record)),
            Err(error) => {
                for step in &steps {
                    self.registry.leave(&step.uuid, Listener::Transaction);
                }
                Err(error)
            }
        }
    }

    /// Writes down how everything is that is going to be touched.
    async fn make_undoable(
        &self,
        options: &ApplyOptions,
        base: Option<&Record>,
        steps: &[Step],
    ) -> Result<Record, TransactionError> {
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
        Ok(record)
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
}

fn entry(step: &Step) -> Entry {
    Entry {
        uuid: step.uuid.clone(),
        existed: step.before.is_some(),
        settings: step.before.as_ref().map(plan::copy).unwrap_or_default(),
        was_active: step.was_active,
    }
}

/// A random UUID, as the kernel makes them (`random(4)`).
fn new_uuid() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim_end()
        .to_owned())
}
