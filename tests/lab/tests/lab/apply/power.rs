//! The power goes in the middle.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::world::{LEFT_V4, Pair, RIGHT_V4};

use super::{applied, is_same_profile, nothing_is_open, profile};

/// What a boot may take, and what comes up by itself after it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A change waits for a peer that does not answer, with its checkpoint open, when the host loses its power. After the boot
/// the old profile is there with its old secret, and the old tunnel carries traffic again without anybody's doing.
pub(crate) fn power_cut(pair: &Pair) -> Result<()> {
    let left = pair.left();
    peer::expect_psk(pair.right())?;
    applied(left, PSK_DOCUMENT, &[])?;
    let before = profile(left, INTERFACE)?;
    let silent = PSK_DOCUMENT
        .replace("192.0.2.252", "192.0.2.99")
        .replace(peer::PSK, "another key");
    let agent = pair.left_vm().agent();
    agent.put("/root/silent.yaml", 0o600, silent.as_bytes())?;
    let _running = left
        .shell("exec nmstate-ipsec apply --timeout 300 /root/silent.yaml")
        .spawn("/run/lab-apply")?;
    wait_until("the old tunnel is gone", PATIENCE, || {
        Ok(left.spis()?.is_empty().then_some(()))
    })?;
    ensure!(
        profile(left, INTERFACE)? != before,
        "nothing has changed yet that could be undone"
    );
    // What NetworkManager has written may be in memory only; lost or not, it is to be as before.
    pair.left_vm().power_cycle(PATIENCE)?;

    wait_until("the old tunnel is back", PATIENCE, || {
        Ok((left.spis()?.len() >= 2 && nothing_is_open(left).is_ok()).then_some(()))
    })?;
    let capture = pair.capture()?;
    left.ping(RIGHT_V4)?;
    capture
        .stop()?
        .ensure_encrypted((LEFT_V4, RIGHT_V4))
        .context("after the boot")?;
    is_same_profile(&before, &profile(left, INTERFACE)?)
}
