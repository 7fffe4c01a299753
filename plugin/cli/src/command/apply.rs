//! `nmstate-ipsec apply`: documents, one transaction each.

use nmstate::{NetworkPolicy, NetworkState};
use nmstate_ipsec_core::daemon_api::{ApplyOptions, TransactionsProxy};

use serde_json::json;

use super::{Fault, daemon, progress::Progress, selected};
use crate::{
    args::Apply,
    checkpoint, declarations,
    difference::{self, Difference},
    document::{Document, IpsecInterface},
    report,
};

pub(super) async fn run(arguments: Apply) -> Result<(), Fault> {
    let documents = selected::read(&arguments.documents)?;
    // Before anything is touched, whatever can be known to be wrong is.
    let mut others = Vec::new();
    for document in &documents {
        others.push(other(document).await?);
    }
    let mut progress = Progress::new(&arguments);
    let daemon = daemon().await?;
    for (document, other) in documents.iter().zip(others) {
        if arguments.dry_run {
            look(&daemon, document, other.as_ref(), arguments.json).await?;
        } else {
            one(&arguments, &mut progress, &daemon, document, other).await?;
        }
    }
    Ok(())
}

/// Shows what a document would change, and changes nothing.
pub(super) async fn look(
    daemon: &TransactionsProxy<'static>,
    document: &Document,
    other: Option<&NetworkState>,
    json: bool,
) -> Result<(), Fault> {
    let options = ApplyOptions {
        dry_run: true,
        ..ApplyOptions::default()
    };
    let planned = daemon.apply(&options, &declarations::of(&document.state)).await?;
    let others = match other {
        Some(other) => difference::of_other(document, other).await?,
        None => Vec::new(),
    };
    let difference = Difference {
        document,
        planned,
        others,
    };
    difference.show(json);
    Ok(())
}

async fn one(
    arguments: &Apply,
    progress: &mut Progress,
    daemon: &TransactionsProxy<'static>,
    document: &Document,
    other: Option<NetworkState>,
) -> Result<(), Fault> {
    let checkpoint = match other {
        Some(state) => {
            daemon.prepare().await?;
            progress.detail(&format!("{document}: nmstate applies what is not ipsec"));
            match apply_other(arguments, document, state).await {
                Ok(checkpoint) => {
                    progress.detail(&format!("{document}: nmstate has applied it, under {checkpoint}"));
                    checkpoint
                }
                Err(fault) => {
                    // nmstate has undone what it did; what went with a device is the daemon's to bring back.
                    for remains in daemon.rollback().await? {
                        eprintln!("{remains}");
                    }
                    return Err(fault);
                }
            }
        }
        None => String::new(),
    };
    let options = ApplyOptions {
        checkpoint,
        commit: !arguments.no_commit,
        time_out: arguments.timeout,
        wait: arguments.wait,
        require_established: arguments.require_established,
        verify: !arguments.no_verify,
        dry_run: false,
    };
    let declarations = declarations::of(&document.state);
    progress.sending(&declarations);
    let work = daemon.apply(&options, &declarations);
    let applied = progress
        .during(daemon.inner().connection(), &declarations, work)
        .await?;
    progress.compared(&applied.outcomes);
    progress.detail(&format!("{document}: done"));
    if !applied.done {
        if arguments.json {
            report::applied(document, &applied, true, true);
        }
        return Err(Fault::Failed(report::failure(document, &applied)));
    }
    report::applied(document, &applied, arguments.json, arguments.quiet);
    Ok(())
}

/// Everything that is not ipsec, as nmstate reads it.
pub(super) async fn other(document: &Document) -> Result<Option<NetworkState>, Fault> {
    let invalid = |error: &dyn std::fmt::Display| Fault::Input(format!("{document}: {error}"));
    let is_template = |interface: &IpsecInterface| {
        let libreswan = interface.libreswan.as_ref();
        libreswan.is_some_and(|libreswan| libreswan.is_template)
    };
    if let Some(interface) = document
        .state
        .ipsec
        .iter()
        .find(|interface| is_template(interface))
    {
        let name = &interface.name;
        return Err(invalid(&format!(
            "'{name}' has an expression over the policy's captures, which connections cannot have; write the value out"
        )));
    }
    let is_called_otherwise = |interface: &&IpsecInterface| {
        let called = interface.profile_name.as_ref();
        called.is_some_and(|called| *called != interface.name)
    };
    if let Some(interface) = document.state.ipsec.iter().find(is_called_otherwise) {
        let name = &interface.name;
        return Err(invalid(&format!(
            "'{name}' has a profile-name, but nmstate and nmcli know an ipsec interface by its profile's name alone; leave \
             it out, or call the interface so"
        )));
    }
    let Some(state) = &document.state.other else {
        return Ok(None);
    };
    let Some(capture) = &document.capture else {
        let state = serde_json::from_value(state.clone());
        return state.map(Some).map_err(|error| invalid(&error));
    };
    let policy = json!({"capture": capture, "desiredState": state});
    let mut policy: NetworkPolicy = serde_json::from_value(policy).map_err(|error| invalid(&error))?;
    let mut current = NetworkState::new();
    let current = current.retrieve_async().await;
    policy.current = Some(
        current
            .map_err(|error| Fault::Failed(format!("{document}: {error}")))?
            .clone(),
    );
    NetworkState::try_from(policy)
        .map(Some)
        .map_err(|error| invalid(&error))
}

/// Applies what is not ipsec with nmstate, under its own checkpoint, and returns that.
async fn apply_other(
    arguments: &Apply,
    document: &Document,
    mut state: NetworkState,
) -> Result<String, Fault> {
    let before = checkpoint::all().await?;
    state
        .set_commit(false)
        .set_verify_change(!arguments.no_verify)
        .set_timeout(arguments.timeout);
    // It undoes what it did when it fails.
    let applied = state.apply_async().await;
    applied.map_err(|error| Fault::Failed(format!("{document}: {error}")))?;
    let after = checkpoint::all().await?;
    let ours = after.into_iter().find(|checkpoint| !before.contains(checkpoint));
    ours.ok_or_else(|| {
        Fault::Failed(format!(
            "{document}: NetworkManager's checkpoint has gone; it has undone the document"
        ))
    })
}
