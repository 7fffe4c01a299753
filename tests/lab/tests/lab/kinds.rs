//! Every kind of connection, brought up and taken down with nmcli, several in one world one after the other.

mod subnets;

pub(crate) use subnets::subnets;

use anyhow::{Context, Result, ensure};
use lab::peer::{self, PSK};
use lab::profile::Profile;
use lab::world::{LEFT_V4, RIGHT_V4, World};
use serde_json::Value;

use crate::told;

/// The ends and ids of the connections whose peer is [`peer::expect_psk_with`].
const ENDS: &str = "left=192.0.2.251, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
     leftmodecfgclient=no";

/// The namespace of a host behind left, whose packets left forwards.
const OFFICE: &str = "office";

/// A subnet behind left: one host in a namespace of its own, with two IPv4 addresses and an IPv6 address.
const OFFICE_SCRIPT: &str = "
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
        peer::expect_psk_with(world.right(), self.peer)?;
        self.passes(world)
            .with_context(|| format!("the connection {name}"))
    }

    fn passes(&self, world: &World) -> Result<()> {
        let left = world.left();
        let monitor = world.monitor_bus()?;
        self.profile.up(left)?;
        told::ensure_told(&monitor.stop()?, &self.told)?;
        let routes = || left.shell("ip route; ip -6 route").run();
        let held = routes()?;
        for route in self.routes {
            ensure!(held.contains(route), "left has no route {route}:\n{held}");
        }
        carries(world, self.traffic)?;
        self.profile.delete(left)?;
        self.profile.ensure_gone(left)?;
        let held = routes()?;
        for route in self.routes {
            ensure!(!held.contains(route), "left still has the route {route}:\n{held}");
        }
        let right = world.right();
        right.await_empty_kernel()?;
        right.whack(["--name", "peer", "--delete"]).output().map(drop)
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
    captured.ensure_encrypted((LEFT_V4, RIGHT_V4))
}

/// Three pings from an address of left or of the host behind it; every one is answered.
fn ping(world: &World, source: &str, destination: &str) -> Result<()> {
    let options = ["-n", "-c", "3", "-i", "0.2", "-W", "3", "-I", source, destination];
    let command = world.agent().command(["ping"].into_iter().chain(options));
    let is_in_office = source.starts_with("10.1.") || source.starts_with("2001:db8:10:");
    let command = if is_in_office {
        command.netns(OFFICE)
    } else {
        command
    };
    let said = command
        .run()
        .with_context(|| format!("pinging {destination} from {source}"))?;
    ensure!(said.contains(" 0% packet loss"), "pings were lost:\n{said}");
    Ok(())
}
