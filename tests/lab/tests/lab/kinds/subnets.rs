//! Subnets on either side, one or several.

use anyhow::Result;
use lab::image::Image;
use lab::world::{LEFT_V4, RIGHT_V4, World};
use serde_json::json;

use super::{Kind, OFFICE_SCRIPT, made_of, told_of};
use crate::told;

/// A second network behind right.
const FURTHER_SCRIPT: &str = "ip address add 203.0.113.1/32 dev behind";

/// Host to subnet, subnet to subnet, and several subnets in each way to write them.
pub(crate) fn subnets(world: &World) -> Result<()> {
    world.left().shell(OFFICE_SCRIPT).run()?;
    world.right().shell(FURTHER_SCRIPT).run()?;
    host_to_subnet(world)?;
    subnet_to_subnet(world)?;
    lists(world)?;
    if world.image() == Image::Trixie {
        selectors(world)?;
    }
    ipv6_in_ipv4(world)
}

fn host_to_subnet(world: &World) -> Result<()> {
    Kind {
        profile: Kind::psk("host-to-subnet", "ikev2=insist, rightsubnet=198.51.100.0/24"),
        peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
        traffic: &[(LEFT_V4, "198.51.100.1")],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: made_of(world, &["198.51.100.0/24 via 192.0.2.252 dev net0"]),
    }
    .is_as_expected(world)
}

fn subnet_to_subnet(world: &World) -> Result<()> {
    Kind {
        profile: Kind::psk(
            "subnet-to-subnet",
            "ikev2=insist, leftsubnet=10.1.0.0/24, rightsubnet=198.51.100.0/24",
        ),
        peer: &[
            "ikev2=insist",
            "leftsubnet=198.51.100.0/24",
            "rightsubnet=10.1.0.0/24",
        ],
        traffic: &[("10.1.0.2", "198.51.100.1")],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: made_of(world, &["198.51.100.0/24 via 192.0.2.252 dev net0"]),
    }
    .is_as_expected(world)
}

/// Two subnets on each side, so four pairs, each a connection of its own in pluto.
fn lists(world: &World) -> Result<()> {
    Kind {
        profile: Kind::psk(
            "lists",
            "ikev2=insist, leftsubnets=10.1.0.0/24\\,10.1.1.0/24, rightsubnets=198.51.100.0/24\\,203.0.113.0/24",
        ),
        peer: &[
            "ikev2=insist",
            "leftsubnets=198.51.100.0/24,203.0.113.0/24",
            "rightsubnets=10.1.0.0/24,10.1.1.0/24",
        ],
        traffic: &PAIRS,
        told: told_of(world, &["198.51.100.0/24", "203.0.113.0/24"], None)?,
        routes: made_of(world, &["198.51.100.0/24 via 192.0.2.252", "203.0.113.0/24 via 192.0.2.252"]),
    }
    .is_as_expected(world)
}

/// The same as one connection with several traffic selectors, which libreswan 4 cannot do.
fn selectors(world: &World) -> Result<()> {
    Kind {
        profile: Kind::psk(
            "selectors",
            "ikev2=insist, leftsubnet=10.1.0.0/24\\,10.1.1.0/24, rightsubnet=198.51.100.0/24\\,203.0.113.0/24",
        ),
        peer: &[
            "ikev2=insist",
            "leftsubnet=198.51.100.0/24,203.0.113.0/24",
            "rightsubnet=10.1.0.0/24,10.1.1.0/24",
        ],
        traffic: &PAIRS,
        told: told_of(world, &["198.51.100.0/24", "203.0.113.0/24"], None)?,
        routes: &["198.51.100.0/24 via 192.0.2.252", "203.0.113.0/24 via 192.0.2.252"],
    }
    .is_as_expected(world)
}

/// IPv6 subnets in a tunnel between IPv4 addresses; routes of IPv6 have no next hop then.
fn ipv6_in_ipv4(world: &World) -> Result<()> {
    let has_ip6 = world.image() == Image::Trixie;
    let config =
        json!({"gateway": told::number(RIGHT_V4)?, "tundev": "_none_", "has-ip4": false, "has-ip6": has_ip6});
    let everywhere = json!(vec![0; 16]);
    let network = told::v6("2001:db8:51::".parse()?);
    let ip6 = json!({"routes": [[network, 64, everywhere, 0]], "never-default": true});
    let told = match has_ip6 {
        true => json!({"Config": config, "Ip6Config": ip6}),
        false => json!({"Config": config}),
    };
    Kind {
        profile: Kind::psk(
            "ipv6-in-ipv4",
            "ikev2=insist, leftsubnet=2001:db8:10::/64, rightsubnet=2001:db8:51::/64",
        )
        .property("ipv6.method", "auto"),
        peer: &[
            "ikev2=insist",
            "leftsubnet=2001:db8:51::/64",
            "rightsubnet=2001:db8:10::/64",
        ],
        traffic: &[("2001:db8:10::2", "2001:db8:51::1")],
        told,
        routes: made_of(world, &["2001:db8:51::/64 dev net0"]),
    }
    .is_as_expected(world)
}

/// Every pair of the subnets on both sides.
const PAIRS: [(&str, &str); 4] = [
    ("10.1.0.2", "198.51.100.1"),
    ("10.1.0.2", "203.0.113.1"),
    ("10.1.1.2", "198.51.100.1"),
    ("10.1.1.2", "203.0.113.1"),
];
