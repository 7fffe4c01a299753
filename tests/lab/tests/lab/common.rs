//! What many stories do: right's side of a connection, documents, and questions to the wire.

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::world::{LEFT_V4, RIGHT_V4, World};

/// The connection that stories declare on left.
pub(crate) const INTERFACE: &str = "hosta_conn";

const PSK: &str = "a pre-shared key of the laboratory";

/// Host to host in transport mode with a pre-shared key; of all connections it is negotiated the quickest.
pub(crate) const PSK_DOCUMENT: &str = "\
interfaces:
- name: hosta_conn
  type: ipsec
  libreswan:
    left: 192.0.2.251
    leftid: left.example.org
    leftmodecfgclient: false
    right: 192.0.2.252
    rightid: right.example.org
    rightsubnet: 192.0.2.252/32
    psk: a pre-shared key of the laboratory
    ikev2: insist
    type: transport
";

/// right's side of [`PSK_DOCUMENT`].
const PSK_PEER: [&str; 7] = [
    "left=192.0.2.252",
    "leftid=@right.example.org",
    "right=192.0.2.251",
    "rightid=@left.example.org",
    "authby=secret",
    "ikev2=insist",
    "type=transport",
];

/// right's side of every connection that authenticates with certificates.
const CERTIFICATE_PEER: [&str; 6] = [
    "leftcert=right_server",
    "leftid=%fromcert",
    "leftrsasigkey=%cert",
    "rightid=%fromcert",
    "rightrsasigkey=%cert",
    "ikev2=insist",
];

/// Has right expect what [`PSK_DOCUMENT`] declares.
pub(crate) fn expect_psk(world: &World) -> Result<()> {
    world.right().set_psk(PSK)?;
    world.right().add_connection("peer", &PSK_PEER)
}

/// Has right expect left with a certificate; `further` are lines of an ipsec.conf.
pub(crate) fn expect_certificate(world: &World, further: &[&str]) -> Result<()> {
    expect_certificate_at(
        world,
        &[&["left=192.0.2.252", "right=192.0.2.251"], further].concat(),
    )
}

/// The same with the addresses among `further`.
pub(crate) fn expect_certificate_at(world: &World, further: &[&str]) -> Result<()> {
    world
        .right()
        .add_connection("peer", &[&CERTIFICATE_PEER, further].concat())
}

/// `transport.yaml` or `tunnel.yaml` with its placeholders filled in.
pub(crate) fn policy(name: &str, protected: &str) -> Result<Document> {
    Document::example(
        name,
        &[
            ("<hostname>", "left"),
            ("<interface_name>", INTERFACE),
            ("<cluster_node>", "left.example.org"),
            ("<external_host>", "right.example.org"),
            ("<external_address>", protected),
        ],
    )
}

/// `remove.yaml` with its placeholders filled in.
pub(crate) fn removal() -> Result<Document> {
    Document::example(
        "remove",
        &[
            ("<name>", "remove"),
            ("<node_name>", "left"),
            ("<tunnel_name>", INTERFACE),
        ],
    )
}

/// Removes the connection with `remove.yaml` and sees that nothing is left of it.
pub(crate) fn removes(world: &World) -> Result<()> {
    world
        .left()
        .apply(&removal()?)
        .context("removing the connection")?;
    leaves_no_trace(world)
}

/// Neither left's kernel, nor NetworkManager, nor pluto knows of the connection.
pub(crate) fn leaves_no_trace(world: &World) -> Result<()> {
    let left = world.left();
    left.await_empty_kernel()?;
    let profiles = left
        .command(["nmcli", "-t", "-f", "NAME,TYPE", "connection"])
        .run()?;
    ensure!(
        !profiles.contains(":vpn"),
        "NetworkManager still has a VPN profile:\n{profiles}"
    );
    let status = left.whack(["--status"]).run()?;
    ensure!(
        !status.contains(INTERFACE),
        "pluto still knows of {INTERFACE}:\n{status}"
    );
    Ok(())
}

/// What goes to right crosses the wire encrypted only.
pub(crate) fn is_encrypted(world: &World) -> Result<()> {
    is_encrypted_to(world, RIGHT_V4, (LEFT_V4, RIGHT_V4))
}

/// What goes from left to `address` crosses the wire encrypted only, between the two `ends` of the tunnel.
pub(crate) fn is_encrypted_to(world: &World, address: &str, ends: (&str, &str)) -> Result<()> {
    let capture = world.capture()?;
    world.left().ping(address)?;
    let captured = capture.stop()?;
    let (left, right) = ends;
    ensure!(
        captured.esp(left, right)? >= 3,
        "too few ESP packets from {left} to {right}"
    );
    ensure!(
        captured.esp(right, left)? >= 3,
        "too few ESP packets from {right} to {left}"
    );
    let open = captured.in_the_open()?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    Ok(())
}
