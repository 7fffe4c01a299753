//! `nmstate-ipsec diff`: what apply would change.

use super::{Fault, apply, daemon, selected};
use crate::args::Diff;

pub(super) async fn run(arguments: Diff) -> Result<(), Fault> {
    let documents = selected::read(&arguments.documents)?;
    let daemon = daemon().await?;
    for document in &documents {
        let other = apply::other(document).await?;
        apply::look(&daemon, document, other.as_ref(), arguments.json).await?;
    }
    Ok(())
}
