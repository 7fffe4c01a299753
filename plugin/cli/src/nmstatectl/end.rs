//! `commit` and `rollback`.

use nmstate_ipsec_core::daemon_api::TransactionError;

use super::Refusal;
use crate::{
    checkpoint,
    command::Fault,
    daemon,
    transaction::{self, End},
};

/// Ends what waits for it and prints, as upstream does, the checkpoint that was named.
///
/// # Errors
/// Nothing waits, or not everything could be undone.
pub(super) async fn run(end: End, path: String) -> Result<String, Refusal> {
    let Some(daemon) = daemon::find().await? else {
        eprintln!("{}", daemon::ALONE);
        return of_networkmanager(end, path).await;
    };
    // There is one checkpoint at most that covers the host, so one that is named is the daemon's if the daemon has one.
    let is_there = path.is_empty() || checkpoint::all().await?.contains(&path);
    if !is_there {
        return of_networkmanager(end, path).await;
    }
    match transaction::with(&daemon, end).await {
        Ok(()) => Ok(path),
        // It may be somebody else's, upstream's command's for one.
        Err(TransactionError::WrongTime(_)) => of_networkmanager(end, path).await,
        Err(error) => Err(Fault::from(error).into()),
    }
}

async fn of_networkmanager(end: End, path: String) -> Result<String, Refusal> {
    transaction::checkpoint(end, &path).await?;
    Ok(path)
}
