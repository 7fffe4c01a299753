//! A desired state as one transaction: nmstate's part under its checkpoint, the connections by the daemon under the same
//! one.

use std::fmt::Display;

use nmstate::{NetworkState, NmstateError};
use nmstate_ipsec_core::daemon_api::{
    Applied, ApplyOptions, Declaration, TransactionError, TransactionsProxy,
};

use crate::{checkpoint, command::Fault, daemon};

/// Why a transaction did not come to an end. Everything is as it was.
#[derive(Debug)]
pub(crate) enum Broken {
    /// nmstate refused its part, or could not carry it out.
    Nmstate(NmstateError),
    /// NetworkManager has rolled back before the daemon was asked.
    CheckpointGone,
    /// Anything else.
    Fault(Fault),
}

impl Broken {
    /// The same, said of a document.
    pub(crate) fn into_fault(self, document: &dyn Display) -> Fault {
        match self {
            Self::Nmstate(error) => Fault::Failed(format!("{document}: {error}")),
            Self::CheckpointGone => Fault::Failed(format!("{document}: {CHECKPOINT_GONE}")),
            Self::Fault(fault) => fault,
        }
    }
}

/// What is said of [`Broken::CheckpointGone`].
pub(crate) const CHECKPOINT_GONE: &str = "NetworkManager's checkpoint has gone; it has undone the document";

impl From<TransactionError> for Broken {
    fn from(error: TransactionError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Carries out `other`, which has no ipsec interface, and the declarations.
///
/// # Errors
/// Everything is as it was then, as it is if what comes back is not done.
pub(crate) async fn carry_out(
    daemon: &TransactionsProxy<'static>,
    other: Option<NetworkState>,
    declarations: &[Declaration],
    mut options: ApplyOptions,
) -> Result<Applied, Broken> {
    if let Some(state) = other {
        // What the daemon refuses is refused before nmstate touches a device.
        let look = ApplyOptions {
            dry_run: true,
            ..ApplyOptions::default()
        };
        daemon.apply(&look, declarations).await?;
        daemon.prepare().await?;
        match apply_other(state, &options).await {
            Ok(checkpoint) => options.checkpoint = checkpoint,
            Err(broken) => {
                // nmstate has undone what it did; what went with a device is the daemon's to bring back.
                for remains in daemon.rollback().await? {
                    eprintln!("{remains}");
                }
                return Err(broken);
            }
        }
    }
    Ok(daemon.apply(&options, declarations).await?)
}

/// Applies what is not ipsec with nmstate, under its own checkpoint, and returns that.
async fn apply_other(mut state: NetworkState, options: &ApplyOptions) -> Result<String, Broken> {
    let before = checkpoint::all().await?;
    state
        .set_commit(false)
        .set_verify_change(options.verify)
        .set_timeout(options.time_out);
    // It undoes what it did when it fails.
    state.apply_async().await.map_err(Broken::Nmstate)?;
    let after = checkpoint::all().await?;
    let ours = after.into_iter().find(|checkpoint| !before.contains(checkpoint));
    ours.ok_or(Broken::CheckpointGone)
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// For good.
    Commit,
    /// As if it had never been.
    Rollback,
}

/// Ends the transaction that waits for it. Where there is no daemon, NetworkManager's checkpoint is all of it.
///
/// # Errors
/// Nothing waits for its end, or not everything could be undone.
pub(crate) async fn end(end: End) -> Result<(), Fault> {
    match daemon::find().await? {
        Some(daemon) => with(&daemon, end).await?,
        None => {
            eprintln!("{}", daemon::ALONE);
            let ended = checkpoint(end, "").await;
            ended.map_err(|error| Fault::failed("failed to end NetworkManager's checkpoint", error))?;
        }
    }
    Ok(())
}

/// Has the daemon end the transaction that waits for it.
///
/// # Errors
/// Nothing does ([`TransactionError::WrongTime`]), or not everything could be undone.
pub(crate) async fn with(daemon: &TransactionsProxy<'static>, end: End) -> Result<(), TransactionError> {
    match end {
        End::Commit => daemon.commit().await,
        End::Rollback => match daemon.rollback().await?.as_slice() {
            [] => Ok(()),
            remains => Err(TransactionError::Failed(remains.join("\n"))),
        },
    }
}

/// Has NetworkManager end a checkpoint, or the one that there is.
///
/// # Errors
/// There is none, or NetworkManager refuses.
pub(crate) async fn checkpoint(end: End, path: &str) -> Result<(), NmstateError> {
    match end {
        End::Commit => NetworkState::checkpoint_commit_async(path).await,
        End::Rollback => NetworkState::checkpoint_rollback_async(path).await,
    }
}
