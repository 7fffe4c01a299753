//! Connections with an XFRM interface: `ipsec-interface` as yes, as a number, and as no.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::image::Image;
use lab::world::{LEFT_V4, RIGHT_V4, World};
use serde_json::{Value, json};

use super::{Kind, NEGOTIATION, carries, made_of, ping, routes, told_of};
use crate::told;

/// A strict reverse path filter: packets whose answers would leave by another device are dropped. With it left does
/// not answer right's address resolution while right itself is behind the device, so that right is told the answer;
/// between hosts with a router between them there is no such question.
const STRICT_SCRIPT: &str = "
sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.net0.rp_filter=1 net.ipv4.conf.default.rp_filter=1
ip -n right neighbour replace 192.0.2.251 lladdr \"$(cat /sys/class/net/net0/address)\" dev net0 nud permanent
";

/// A device is there with the connection, under the name that NetworkManager is told, and all traffic takes it.
pub(crate) fn devices(world: &World) -> Result<()> {
    world.left().shell(STRICT_SCRIPT).run()?;
    without_device(world)?;
    to_a_subnet(world)?;
    to_the_peer(world).context("host to host through a device")
}

fn without_device(world: &World) -> Result<()> {
    let kind = Kind {
        profile: Kind::psk(
            "no-device",
            "ikev2=insist, rightsubnet=198.51.100.0/24, ipsec-interface=no",
        ),
        peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
        traffic: &[(LEFT_V4, "198.51.100.1")],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: made_of(world, &["198.51.100.0/24 via 192.0.2.252 dev net0"]),
    };
    kind.is_expected(world)?;
    kind.comes_up(world)?;
    ensure!(devices_of(world)?.is_empty(), "there is a device");
    kind.goes(world)
}

/// Number 1 is what `yes` means.
fn to_a_subnet(world: &World) -> Result<()> {
    let kind = Kind {
        profile: Kind::psk(
            "device-1",
            "ikev2=insist, rightsubnet=198.51.100.0/24, ipsec-interface=yes",
        ),
        peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
        traffic: &[(LEFT_V4, "198.51.100.1")],
        told: told_of_device(world, "ipsec1", Some("198.51.100.0/24"))?,
        routes: &["198.51.100.0/24 dev ipsec1"],
    };
    kind.is_expected(world)?;
    kind.comes_up(world)?;
    passes_through(world, "ipsec1", "198.51.100.1")?;
    kind.goes(world)?;
    await_no_device(world)
}

/// The peer itself behind the device: IKE goes around it, also when both ends renew their SAs, and all of it is
/// made again for a pluto that was restarted.
fn to_the_peer(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let mut told = told_of_device(world, "ipsec7", None)?;
    told["Config"]["mtu"] = json!(1300);
    let kind = Kind {
        profile: Kind::psk(
            "device-7",
            "ikev2=insist, ipsec-interface=7, mtu=1300, rightsubnet=192.0.2.252/32",
        ),
        peer: &["ikev2=insist"],
        traffic: &[(LEFT_V4, RIGHT_V4)],
        told,
        routes: &[
            "192.0.2.252 dev ipsec7",
            "from all to 192.0.2.252 fwmark 0x7 lookup 4500",
            "192.0.2.252 dev net0 proto static scope link",
        ],
    };
    kind.is_expected(world)?;
    kind.comes_up(world)?;
    let device = left.command(["ip", "link", "show", "ipsec7"]).run()?;
    ensure!(device.contains("mtu 1300"), "another MTU:\n{device}");
    passes_through(world, "ipsec7", RIGHT_V4)?;

    let name = pluto_name(world, "device-7")?;
    for (host, name) in [(left, name.as_str()), (right, "peer")] {
        let said = host
            .whack(["--name", name, "--rekey-ike"])
            .timeout(NEGOTIATION)
            .output()?
            .stdout;
        ensure!(
            said.contains("rekeyed IKE SA"),
            "the IKE SA is not renewed:\n{said}"
        );
    }
    left.shell("systemctl restart ipsec.service").run()?;
    wait_until("the tunnel is back", NEGOTIATION, || {
        let is_back = left.spis()?.len() == 2 && routes(world)?.contains("dev ipsec7");
        Ok(is_back.then_some(()))
    })?;
    carries(world, kind.traffic)?;
    kind.goes(world)?;
    await_no_device(world)?;
    let left_over = routes(world)?;
    ensure!(!left_over.contains("4500"), "rules are left behind:\n{left_over}");
    Ok(())
}

/// What is told of a connection with a device. Routes go into it without a next hop; the one to the peer itself is
/// no concern of NetworkManager's.
fn told_of_device(world: &World, device: &str, network: Option<&str>) -> Result<Value> {
    let has_ip4 = network.is_some() && world.image() == Image::Trixie;
    let config =
        json!({"gateway": told::number(RIGHT_V4)?, "tundev": device, "has-ip4": has_ip4, "has-ip6": false});
    let mut told = json!({"Config": config});
    if let Some(network) = network.filter(|_| has_ip4) {
        let routes = [told::route(network, "0.0.0.0", None)?];
        told["Ip4Config"] = json!({"routes": routes, "never-default": true});
    }
    Ok(told)
}

/// Pings go encrypted, and through the device: it counts them.
fn passes_through(world: &World, device: &str, destination: &str) -> Result<()> {
    let sent = || -> Result<u64> {
        let path = format!("/sys/class/net/{device}/statistics/tx_packets");
        Ok(world.left().command(["cat", &path]).run()?.trim().parse()?)
    };
    let before = sent()?;
    carries(world, &[(LEFT_V4, destination)])?;
    ensure!(sent()? >= before + 3, "{device} has not carried the pings");
    ping(world, LEFT_V4, destination)
}

fn devices_of(world: &World) -> Result<String> {
    world.left().command(["ip", "link", "show", "type", "xfrm"]).run()
}

fn await_no_device(world: &World) -> Result<()> {
    wait_until("the device is gone", Duration::from_secs(20), || {
        Ok(devices_of(world)?.is_empty().then_some(()))
    })
}

/// The name of the connection in left's pluto.
fn pluto_name(world: &World, profile: &str) -> Result<String> {
    let status = world.left().whack(["--status"]).run()?;
    let mut names = status
        .split('"')
        .filter(|word| word.starts_with(&format!("{profile}-")));
    Ok(names
        .next()
        .context("pluto does not know the connection")?
        .to_owned())
}
