//! `nmstate-ipsec apply`: documents, one transaction each.

use nmstate::{NetworkPolicy, NetworkState};
use nmstate_ipsec_core::daemon_api::{ApplyOptions, TransactionsProxy};

use serde_json::json;

use super::{Fault, progress::Progress, selected};
use crate::{
    alone,
    args::Apply,
    daemon, declarations,
    difference::{self, Difference},
    document::Document,
    report, transaction, unchanged,
};

pub(super) async fn run(arguments: Apply) -> Result<(), Fault> {
    let documents = selected::read(&arguments.documents)?;
    // Before anything is touched, whatever can be known to be wrong is.
    let mut others = Vec::new();
    for document in &documents {
        others.push(other(document).await?);
    }
    let Some(daemon) = daemon::find().await? else {
        return alone::apply(&arguments, &documents, others).await;
    };
    let mut progress = Progress::new(&arguments);
    for (document, other) in documents.iter().zip(others) {
        if arguments.dry_run {
            look(&daemon, document, other.as_ref(), arguments.json).await?;
        } else {
            one(&arguments, &mut progress, &daemon, document, other).await?;
        }
    }
    Ok(())
}

/// Applies documents that are about connections alone.
pub(super) async fn all(
    arguments: &Apply,
    daemon: &TransactionsProxy<'static>,
    documents: &[Document],
) -> Result<(), Fault> {
    let mut progress = Progress::new(arguments);
    for document in documents {
        one(arguments, &mut progress, daemon, document, None).await?;
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
    let planned = daemon.apply(&options, &declarations::of(document)).await?;
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
    let options = ApplyOptions {
        checkpoint: String::new(),
        commit: !arguments.no_commit,
        time_out: arguments.timeout,
        wait: arguments.wait,
        require_established: arguments.require_established,
        verify: !arguments.no_verify,
        dry_run: false,
    };
    let other = match other {
        Some(state) if unchanged::is_there(&state).await => None,
        other => other,
    };
    let applying = other.clone();
    let declarations = declarations::of(document);
    progress.sending(&declarations);
    let work = transaction::carry_out(daemon, other, &declarations, options);
    let applied = progress
        .during(daemon.inner().connection(), &declarations, work)
        .await
        .map_err(|broken| broken.into_fault(document))?;
    if let (true, true, Some(state)) = (applied.done, !arguments.no_commit, &applying) {
        unchanged::remember(state).await;
    }
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

/// Refuses connections that nobody could carry out: with expressions that are not filled in, or another name than their
/// interface's.
///
/// # Errors
/// The first of them.
pub(crate) fn plain_connections(document: &Document) -> Result<(), Fault> {
    let invalid = |text: String| Fault::Input(format!("{document}: {text}"));
    for interface in &document.state.ipsec {
        let name = &interface.name;
        let libreswan = interface.libreswan.as_ref();
        if libreswan.is_some_and(|libreswan| libreswan.is_template) {
            return Err(invalid(format!(
                "'{name}' has an expression over the policy's captures, which connections cannot have; write the value out"
            )));
        }
        if interface
            .profile_name
            .as_ref()
            .is_some_and(|called| called != name)
        {
            return Err(invalid(format!(
                "'{name}' has a profile-name, but nmstate and nmcli know an ipsec interface by its profile's name alone; \
                 leave it out, or call the interface so"
            )));
        }
    }
    Ok(())
}

/// Everything that is not ipsec, as nmstate reads it.
pub(super) async fn other(document: &Document) -> Result<Option<NetworkState>, Fault> {
    let invalid = |error: &dyn std::fmt::Display| Fault::Input(format!("{document}: {error}"));
    plain_connections(document)?;
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
