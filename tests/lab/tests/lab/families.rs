//! IPv6, and tunnels that carry the one family over the other.

use anyhow::Result;
use lab::document::Document;
use lab::peer;
use lab::world::{BEHIND_V4, BEHIND_V6, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, World};

use crate::common;

/// The transport policy between names that resolve to IPv6 addresses.
pub(crate) fn ipv6(world: &World) -> Result<()> {
    let further = ["left=2001:db8:2::252", "right=2001:db8:2::251", "type=transport"];
    peer::expect_certificate_at(world.right(), &further)?;
    let document = peer::policy("transport", "2001:db8:2::252")?
        .text()
        .replace("/32", "/128");
    let document = document
        .replace("left.example", "left6.example")
        .replace("right.example", "right6.example");
    world.left().apply(&Document::new(&document))?;
    common::is_encrypted_to(world, RIGHT_V6, (LEFT_V6, RIGHT_V6))?;
    common::removes(world)
}

/// An IPv6 host behind right, reached through IPv4.
pub(crate) fn six_in_four(world: &World) -> Result<()> {
    let ends = ["left: 192.0.2.251", "right: 192.0.2.252"];
    let subnets = ["2001:db8:2::251/128", "2001:db8:51::1/128"];
    tunnel(world, ends, subnets)?;
    common::is_encrypted_to(world, BEHIND_V6, (LEFT_V4, RIGHT_V4))?;
    common::removes(world)
}

/// An IPv4 host behind right, reached through IPv6.
pub(crate) fn four_in_six(world: &World) -> Result<()> {
    let ends = ["left: 2001:db8:2::251", "right: 2001:db8:2::252"];
    let subnets = ["192.0.2.251/32", "198.51.100.1/32"];
    tunnel(world, ends, subnets)?;
    common::is_encrypted_to(world, BEHIND_V4, (LEFT_V6, RIGHT_V6))?;
    common::removes(world)
}

/// Applies a tunnel between `ends` for traffic between `subnets`, left's first.
fn tunnel(world: &World, ends: [&str; 2], subnets: [&str; 2]) -> Result<()> {
    let [left, right] = ends.map(|end| end.replace(": ", "="));
    let (peer_left, peer_right) = (right.replace("right", "left"), left.replace("left", "right"));
    let leftsubnet = format!("leftsubnet={}", subnets[1]);
    let rightsubnet = format!("rightsubnet={}", subnets[0]);
    let further = [
        peer_left.as_str(),
        &peer_right,
        &leftsubnet,
        &rightsubnet,
        "type=tunnel",
    ];
    peer::expect_certificate_at(world.right(), &further)?;
    let document = format!(
        "\
interfaces:
- name: hosta_conn
  type: ipsec
  libreswan:
    {}
    leftid: '%fromcert'
    leftcert: left_server
    leftrsasigkey: '%cert'
    leftmodecfgclient: false
    leftsubnet: {}
    {}
    rightid: '%fromcert'
    rightrsasigkey: '%cert'
    rightsubnet: {}
    ikev2: insist
",
        ends[0], subnets[0], ends[1], subnets[1]
    );
    world.left().apply(&Document::new(&document)).map(drop)
}
