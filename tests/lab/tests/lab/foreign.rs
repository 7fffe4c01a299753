//! What others have in pluto is theirs.

use anyhow::{Result, ensure};
use lab::document::Document;
use lab::peer;
use lab::world::{BEHIND_V4, World};

use crate::common;

/// A connection that somebody else brought up, as a cluster's network does, sees nothing of ours coming and
/// going.
pub(crate) fn connection_is_untouched(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let theirs = [
        "left=192.0.2.251",
        "leftid=@theirs.left",
        "right=192.0.2.252",
        "rightid=@theirs.right",
        "rightsubnet=198.51.100.1/32",
        "authby=secret",
        "ikev2=insist",
    ];
    for host in [left, right] {
        host.set_psk("a pre-shared key of the laboratory")?;
        host.add_connection("theirs", &theirs)?;
    }
    left.initiate("theirs")?;
    let before = left.spis()?;

    peer::expect_psk(world.right())?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    common::is_encrypted(world)?;
    left.apply(&peer::removal()?)?;
    ensure!(
        left.spis()? == before,
        "their SAs were {before:?} and are {:?}",
        left.spis()?
    );
    left.ping(BEHIND_V4)
}
