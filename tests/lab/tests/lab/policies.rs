//! The documented policies, applied as they stand with upstream's nmstatectl.

use anyhow::{Context, Result};
use lab::document::Document;
use lab::peer;
use lab::world::{BEHIND_V4, LEFT_V4, RIGHT_V4, World};

use crate::common;

/// `transport.yaml`: host to host in transport mode, then `remove.yaml`.
pub(crate) fn transport(world: &World) -> Result<()> {
    peer::expect_certificate(world.right(), &["type=transport"])?;
    encrypts(world, &peer::policy("transport", RIGHT_V4)?, RIGHT_V4)
}

/// `tunnel.yaml`: a host behind right, in tunnel mode, then `remove.yaml`.
pub(crate) fn tunnel(world: &World) -> Result<()> {
    peer::expect_certificate(world.right(), &["leftsubnet=198.51.100.1/32", "type=tunnel"])?;
    encrypts(world, &peer::policy("tunnel", BEHIND_V4)?, BEHIND_V4)
}

/// `psk.yaml`: nmstate's own example; right assigns the address that left's traffic comes from.
pub(crate) fn psk(world: &World) -> Result<()> {
    let right = world.right();
    right.set_psk("psk_password")?;
    let options = [
        "left=192.0.2.252",
        "leftid=@srv-id.example.org",
        "leftsubnet=0.0.0.0/0",
        "right=192.0.2.251",
        "rightid=@cli-id.example.org",
        "authby=secret",
        "ikev2=insist",
        "rightaddresspool=203.0.113.100-203.0.113.110",
        "leftmodecfgserver=yes",
        "rightmodecfgclient=yes",
        "modecfgpull=yes",
    ];
    right.add_connection("peer", &options)?;
    encrypts(world, &Document::example("psk", &[])?, BEHIND_V4)
}

/// `e2e-host-to-host.yaml`: what OpenShift's end-to-end test applies.
pub(crate) fn e2e_host_to_host(world: &World) -> Result<()> {
    let further = ["type=transport", "ike=aes_gcm256-sha2_256", "esp=aes_gcm256"];
    peer::expect_certificate(world.right(), &further)?;
    let placeholders = [
        ("<node>", "left"),
        ("<node_address>", LEFT_V4),
        ("<peer_address>", RIGHT_V4),
    ];
    encrypts(
        world,
        &Document::example("e2e-host-to-host", &placeholders)?,
        RIGHT_V4,
    )
}

/// Applies the document, sees what goes to `address` encrypted, and removes the connection without a trace.
fn encrypts(world: &World, document: &Document, address: &str) -> Result<()> {
    world.left().apply(document).context("applying the document")?;
    common::is_encrypted_to(world, address, (LEFT_V4, RIGHT_V4))?;
    common::removes(world)
}
