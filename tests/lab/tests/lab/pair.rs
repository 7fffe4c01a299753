//! Each host in a guest of its own, with a cable between them.

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::world::{LEFT_V4, Pair, RIGHT_V4};

/// The documented transport policy between two machines.
pub(crate) fn transport(pair: &Pair) -> Result<()> {
    connect(pair)?;
    ensure!(
        pair.left().spis()? == pair.right().spis()?,
        "the hosts do not have the same SAs"
    );
    Ok(())
}

fn connect(pair: &Pair) -> Result<()> {
    let options = [
        "left=192.0.2.252",
        "leftcert=right_server",
        "leftid=%fromcert",
        "leftrsasigkey=%cert",
        "right=192.0.2.251",
        "rightid=%fromcert",
        "rightrsasigkey=%cert",
        "ikev2=insist",
        "type=transport",
    ];
    pair.right().add_connection("peer", &options)?;
    let document = Document::example(
        "transport",
        &[
            ("<hostname>", "left"),
            ("<interface_name>", "hosta_conn"),
            ("<cluster_node>", "left.example.org"),
            ("<external_host>", "right.example.org"),
            ("<external_address>", RIGHT_V4),
        ],
    )?;
    pair.left().apply(&document).context("applying the document")?;
    is_encrypted(pair)
}

fn is_encrypted(pair: &Pair) -> Result<()> {
    let capture = pair.capture()?;
    pair.left().ping(RIGHT_V4)?;
    let captured = capture.stop()?;
    ensure!(
        captured.esp(LEFT_V4, RIGHT_V4)? >= 3,
        "too few ESP packets from left to right"
    );
    ensure!(
        captured.esp(RIGHT_V4, LEFT_V4)? >= 3,
        "too few ESP packets from right to left"
    );
    let open = captured.clear_text(LEFT_V4, RIGHT_V4)?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    Ok(())
}
