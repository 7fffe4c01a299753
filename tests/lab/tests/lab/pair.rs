//! Each host in a guest of its own, with a cable between them.

use anyhow::{Context, Result, ensure};
use lab::peer;
use lab::world::{LEFT_V4, Pair, RIGHT_V4};

/// The documented transport policy between two machines.
pub(crate) fn transport(pair: &Pair) -> Result<()> {
    peer::expect_certificate(pair.right(), &["type=transport"])?;
    let document = peer::policy("transport", RIGHT_V4)?;
    pair.left().apply(&document).context("applying the document")?;
    let capture = pair.capture()?;
    pair.left().ping(RIGHT_V4)?;
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))?;
    ensure!(
        pair.left().spis()? == pair.right().spis()?,
        "the hosts do not have the same SAs"
    );
    Ok(())
}
