//! Every kind of connection, brought up and taken down with nmcli, several in one world one after the other.

mod devices;
mod ikev1;
mod keys;
mod paths;
mod subnets;

pub(crate) use devices::devices;
pub(crate) use ikev1::ikev1;
pub(crate) use keys::{further_keys, raw_keys};
pub(crate) use paths::{TRANSLATION_SCRIPT, nat, on_demand};
pub(crate) use subnets::subnets;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::image::Image;
use lab::peer::{self, PSK};
use lab::profile::Profile;
use lab::world::{LEFT_V4, RIGHT_V4, World};
use serde_json::{Value, json};

use crate::told;

/// The ends and ids of the connections whose peer is [`peer::expect_psk_with`].
const ENDS: &str = "left=192.0.2.251, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
     leftmodecfgclient=no";

/// Renewing SAs and starting pluto take seconds in a guest.
const NEGOTIATION: Duration = Duration::from_secs(60);

/// The namespace of a host behind left, whose packets left forwards.
const OFFICE: &str = "office";

/// A subnet behind left: one host in a namespace of its own, with two IPv4 addresses and an IPv6 address.
pub(crate) const OFFICE_SCRIPT: &str = "
ip netns add office
ip link add office0 type veth peer name eth0 netns office
ip address add 10.1.0.1/24 dev office0
ip address add 10.1.1.1/24 dev office0
ip address add 2001:db8:10::1/64 dev office0 nodad
ip link set office0 up
ip -n office address add 10.1.0.2/24 dev eth0
ip -n office address add 10.1.1.2/24 dev eth0
ip -n office address add 2001:db8:10::2/64 dev eth0 nodad
ip -n office link set eth0 up
ip -n office route add default via 10.1.0.1
ip -n office route add default via 2001:db8:10::1
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
";

/// What is told of a connection without a device whose routes lead to `networks` from `source`, if one is set.
/// NetworkManager 1.42 takes no routes without an address.
fn told_of(world: &World, networks: &[&str], source: Option<&str>) -> Result<Value> {
    let gateway = told::number(RIGHT_V4)?;
    let has_ip4 = world.image() == Image::Trixie;
    let config = json!({"gateway": gateway, "tundev": "_none_", "has-ip4": has_ip4, "has-ip6": false});
    if !has_ip4 {
        return Ok(json!({"Config": config}));
    }
    let routes: Result<Vec<Value>> = networks
        .iter()
        .map(|network| told::route(network, RIGHT_V4, source))
        .collect();
    let ip4 = json!({"internal-gateway": gateway, "routes": routes?, "never-default": true});
    Ok(json!({"Config": config, "Ip4Config": ip4}))
}

/// The routes that NetworkManager makes of it.
fn made_of<'a>(world: &World, routes: &'a [&'a str]) -> &'a [&'a str] {
    if world.image() == Image::Trixie {
        routes
    } else {
        &[]
    }
}

/// A connection with all that is to be seen of it.
struct Kind<'a> {
    profile: Profile,
    /// right's side, lines of an ipsec.conf beside the ends, the ids and the pre-shared key.
    peer: &'a [&'a str],
    /// Sources and destinations of the traffic that it is for.
    traffic: &'a [(&'a str, &'a str)],
    /// What NetworkManager is told, by signal.
    told: Value,
    /// Routes that left has while it is up, and only then.
    routes: &'a [&'a str],
}

impl<'a> Kind<'a> {
    /// A connection with a pre-shared key; `further` follows [`ENDS`] in its `vpn.data`.
    fn psk(name: &str, further: &str) -> Profile {
        Profile::new(name, &format!("{ENDS}, {further}")).secret("pskvalue", PSK)
    }

    /// Brings it up, sees everything that is to be seen of it, and takes it down without a trace.
    fn is_as_expected(&self, world: &World) -> Result<()> {
        let name = self.profile.name();
        self.passes(world)
            .with_context(|| format!("the connection {name}"))
    }

    /// Has right expect it.
    fn is_expected(&self, world: &World) -> Result<()> {
        peer::expect_psk_with(world.right(), self.peer)
    }

    fn passes(&self, world: &World) -> Result<()> {
        self.is_expected(world)?;
        self.comes_up(world)?;
        carries(world, self.traffic)?;
        self.goes(world)
    }

    /// Brings it up; NetworkManager is told what is expected, and makes the routes of it.
    fn comes_up(&self, world: &World) -> Result<()> {
        let monitor = world.monitor_bus()?;
        self.profile.up(world.left())?;
        told::ensure_told(&monitor.stop()?, &self.told)?;
        let held = routes(world)?;
        for route in self.routes {
            ensure!(held.contains(route), "left has no route {route}:\n{held}");
        }
        Ok(())
    }

    /// Deletes it; neither host has anything of it then.
    fn goes(&self, world: &World) -> Result<()> {
        let (left, right) = (world.left(), world.right());
        self.profile.delete(left)?;
        self.profile.ensure_gone(left)?;
        let held = routes(world)?;
        for route in self.routes {
            ensure!(!held.contains(route), "left still has the route {route}:\n{held}");
        }
        // libreswan 4 keeps a trap for what is gone until it is told to forget the connection.
        right.whack(["--name", "peer", "--delete"]).output()?;
        right.await_empty_kernel()
    }
}

/// Sends pings from each source to its destination, and sees them encrypted on the wire.
fn carries(world: &World, traffic: &[(&str, &str)]) -> Result<()> {
    let capture = world.capture()?;
    for (source, destination) in traffic {
        ping(world, source, destination)?;
    }
    let captured = capture.stop()?;
    let ends = [(LEFT_V4, RIGHT_V4), (RIGHT_V4, LEFT_V4)];
    for (from, to) in ends {
        let count = captured.esp(from, to)?;
        ensure!(
            count >= 3 * traffic.len(),
            "only {count} ESP packets from {from} to {to} for {} times three pings",
            traffic.len()
        );
    }
    let open = captured.in_the_open()?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    Ok(())
}

/// left's routes of both families, and those that lead around devices.
fn routes(world: &World) -> Result<String> {
    world
        .left()
        .shell("ip route; ip -6 route; ip rule; ip route show table 4500 2>/dev/null || true")
        .run()
}

/// Three answered pings from an address of left or of the host behind it.
pub(crate) fn ping(world: &World, source: &str, destination: &str) -> Result<()> {
    // With a deadline ping waits for as many answers as were asked for, however late a busy guest sends them.
    let options = [
        "-n",
        "-c",
        "3",
        "-i",
        "0.2",
        "-w",
        "20",
        "-I",
        source,
        destination,
    ];
    let command = world.agent().command(["ping"].into_iter().chain(options));
    let command = if ["10.1.0.2", "10.1.1.2", "2001:db8:10::2"].contains(&source) {
        command.netns(OFFICE)
    } else {
        command
    };
    command
        .run()
        .with_context(|| format!("pinging {destination} from {source}"))
        .map(drop)
}
