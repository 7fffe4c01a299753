//! What cannot work fails with a reason, and leaves nothing half done.

use anyhow::{Result, ensure};
use lab::document::Document;
use lab::peer;
use lab::world::World;

use crate::common;

/// The peer has another pre-shared key.
pub(crate) fn wrong_psk(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    world.right().set_psk("another key than left has")?;
    fails(world, &Document::new(peer::PSK_DOCUMENT))
}

/// The document names a certificate that is not there.
pub(crate) fn missing_certificate(world: &World) -> Result<()> {
    peer::expect_certificate(world.right(), &["type=transport"])?;
    let document = peer::policy("transport", "192.0.2.252")?;
    fails(
        world,
        &Document::new(&document.text().replace("left_server", "no_such_certificate")),
    )
}

/// A tunnel that works is left alone when a further one fails.
pub(crate) fn beside_a_working_one(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    world.left().apply(&Document::new(peer::PSK_DOCUMENT))?;
    let before = world.left().spis()?;
    let further = "\
interfaces:
- name: hostb_conn
  type: ipsec
  libreswan:
    left: 192.0.2.251
    leftid: '%fromcert'
    leftcert: no_such_certificate
    right: 192.0.2.252
    rightid: '%fromcert'
    rightsubnet: 198.51.100.1/32
    ikev2: insist
";
    world.left().apply_expecting_failure(&Document::new(further))?;
    ensure!(
        world.left().spis()? == before,
        "the working connection's SAs have changed"
    );
    common::is_encrypted(world)
}

fn fails(world: &World, document: &Document) -> Result<()> {
    let left = world.left();
    left.apply_expecting_failure(document)?;
    common::leaves_no_trace(world)
}
