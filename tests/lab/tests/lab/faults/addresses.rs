//! This host has another address, or its device another name: the tunnel is where they are.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::{Background, wait_until};
use lab::peer;
use lab::profile::Profile;
use lab::world::{BEHIND_V4, RIGHT_V4, World};

use super::PATIENCE;
use crate::places;

/// dnsmasq gives no lease shorter than two minutes; it is renewed after half of that.
const RENEWAL: Duration = Duration::from_secs(60);

/// left's connection, from whatever address the default route has.
const DATA: &str = "left=%defaultroute, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
     ikev2=insist, leftmodecfgclient=no, rightsubnet=198.51.100.1/32";

/// A lease that ends in another address, and a device that is called otherwise after it.
pub(crate) fn addresses(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    peer::expect_psk_from_anywhere(right)?;
    world
        .agent()
        .shell("ip -n wire address add 192.0.2.1/24 dev br0")
        .run()?;
    let server = leases(world, "192.0.2.100")?;
    left.shell("nmcli connection modify base ipv4.method auto ipv4.addresses '' ipv4.gateway ''; nmcli --wait 60 connection up base")
        .timeout(PATIENCE)
        .run()?;
    let profile = Profile::new(peer::INTERFACE, DATA)
        .secret("pskvalue", peer::PSK)
        .property("connection.autoconnect", "yes");
    profile.add(left)?;
    // Nobody but the keeper of connections brings it up: the daemon runs once something happens.
    left.shell("nmcli device reapply net0").run()?;
    comes_from(world, "192.0.2.100").context("the first lease")?;

    server.signal(15)?;
    server.wait(Duration::from_secs(30))?;
    let server = leases(world, "192.0.2.101")?;
    places::idle(RENEWAL);
    comes_from(world, "192.0.2.101").context("another lease")?;

    left.shell(
        "nmcli connection modify base connection.interface-name '' 802-3-ethernet.mac-address $(cat /sys/class/net/net0/address)
         ip link set net0 down; ip link set net0 name net9; ip link set net9 up",
    )
    .run()?;
    comes_from(world, "192.0.2.101").context("the device is called otherwise")?;
    server.signal(15)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Serves one address.
fn leases(world: &World, address: &str) -> Result<Background> {
    let range = format!("--dhcp-range={address},{address},2m");
    let lease_file = format!("--dhcp-leasefile=/run/lab/leases-{address}");
    let serve = [
        "dnsmasq",
        "--keep-in-foreground",
        "--port=0",
        "--interface=br0",
        "--bind-interfaces",
        "--dhcp-authoritative",
        "--dhcp-option=3,192.0.2.252",
        &range,
        &lease_file,
    ];
    world
        .agent()
        .command(serve)
        .netns("wire")
        .spawn(&format!("/run/lab/dnsmasq-{address}"))
}

/// The tunnel comes from the address, and carries a ping.
fn comes_from(world: &World, address: &str) -> Result<()> {
    let left = world.left();
    let mut said = String::new();
    let comes = wait_until("the tunnel comes from the address", PATIENCE, || {
        said = left.security_associations()?;
        let comes = said.contains(&format!("src {address} dst {RIGHT_V4}"));
        let ping = ["ping", "-n", "-c", "1", "-W", "1", BEHIND_V4];
        Ok((comes && left.command(ping).output()?.success()).then_some(()))
    });
    comes.with_context(|| format!("{address}:\n{said}"))?;
    let capture = world.capture_at("right0")?;
    left.ping(BEHIND_V4)?;
    capture.stop()?.ensure_encrypted((address, RIGHT_V4))
}
