//! `nmstate-ipsec diff`: what apply would change.

use super::{Fault, apply, daemon, selected};
use crate::{args::Diff, declarations, report};

pub(super) async fn run(arguments: Diff) -> Result<(), Fault> {
    let documents = selected::read(&arguments.documents)?;
    let daemon = daemon().await?;
    for document in &documents {
        // What apply would refuse is no change.
        apply::other(document).await?;
        let declarations = declarations::of(&document.state);
        let options = apply::dry_run();
        let planned = daemon.apply(&options, &declarations).await?;
        report::planned(document, &planned, arguments.json);
    }
    Ok(())
}
