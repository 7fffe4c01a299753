//! Changes that fail.

use anyhow::{Result, ensure};
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::world::World;

use super::{applied, refused};

/// A change that the peer refuses is undone, the old tunnel carries traffic again, and the reason comes first.
pub(crate) fn undone(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    applied(left, PSK_DOCUMENT, &[])?;

    let wrong = PSK_DOCUMENT.replace(peer::PSK, "another key than right has");
    let output = refused(world, INTERFACE, &wrong, &[])?;
    let first = output.stderr.lines().next().unwrap_or_default();
    ensure!(
        first.contains("192.0.2.252 refused our authentication")
            && first.contains("(authentication-refused)"),
        "another reason: {}",
        output.stderr
    );
    ensure!(
        !output.stderr.contains("another key than"),
        "the key is told: {}",
        output.stderr
    );

    let silent = PSK_DOCUMENT.replace("192.0.2.252", "192.0.2.99");
    let output = refused(
        world,
        INTERFACE,
        &silent,
        &["--require-established", "--wait", "10"],
    )?;
    ensure!(
        output.stderr.contains("(peer-silent)"),
        "another reason: {}",
        output.stderr
    );

    // A document that is not valid touches nothing: not even the SAs are others afterwards.
    let spis = left.spis()?;
    for (invalid, says) in [
        (PSK_DOCUMENT.replace("ikev2", "ikev3"), "hosta_conn"),
        (
            PSK_DOCUMENT.replace("192.0.2.252\n", "<external_host>\n"),
            "<external_host>",
        ),
        (
            PSK_DOCUMENT.replace("type: transport", "type: carriage"),
            "carriage",
        ),
    ] {
        let output = left.apply_ours(&lab::document::Document::new(&invalid), &[])?;
        ensure!(
            output.status == 2 && output.stderr.contains("policy.yaml:"),
            "{says}: ended with {:?}: {}",
            output.status,
            output.stderr
        );
    }
    ensure!(spis == left.spis()?, "an invalid document has touched the tunnel");
    Ok(())
}
