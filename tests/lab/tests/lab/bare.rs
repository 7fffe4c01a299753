//! libreswan by itself: what fails here is the lab's fault, or libreswan's.

use anyhow::{Result, ensure};
use lab::world::{LEFT_V4, RIGHT_V4, World};

/// A transport-mode connection with a pre-shared key, from nothing to nothing.
pub(crate) fn transport(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let options = [
        "left=192.0.2.251",
        "right=192.0.2.252",
        "authby=secret",
        "type=transport",
        "ikev2=insist",
    ];
    for host in [left, right] {
        host.set_psk("a pre-shared key of the laboratory")?;
        host.add_connection("bare", &options)?;
    }

    let capture = world.capture()?;
    left.initiate("bare")?;
    left.ping(RIGHT_V4)?;
    right.ping(LEFT_V4)?;
    let captured = capture.stop()?;
    ensure!(
        captured.esp(LEFT_V4, RIGHT_V4)? >= 6,
        "too few ESP packets from left to right"
    );
    ensure!(
        captured.esp(RIGHT_V4, LEFT_V4)? >= 6,
        "too few ESP packets from right to left"
    );
    let open = captured.clear_text(LEFT_V4, RIGHT_V4)?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );

    for host in [left, right] {
        host.whack(["--delete", "--name", "bare"]).run()?;
        host.await_empty_kernel()?;
    }

    // What a capture of clear text looks like, so that its absence above means something.
    let capture = world.capture()?;
    left.ping(RIGHT_V4)?;
    let captured = capture.stop()?;
    ensure!(
        !captured.clear_text(LEFT_V4, RIGHT_V4)?.is_empty(),
        "a ping without IPsec was not seen"
    );
    ensure!(
        captured.esp(LEFT_V4, RIGHT_V4)? == 0,
        "ESP was seen after the connection was removed"
    );
    Ok(())
}
