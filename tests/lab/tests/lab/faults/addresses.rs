//! This host has another address, or its device another name: the tunnel is where they are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::{Background, wait_until};
use lab::image::Image;
use lab::peer::{self, INTERFACE};
use lab::profile::Profile;
use lab::world::{BEHIND_V4, BEHIND_V6, Host, RIGHT_V4, RIGHT_V6, World};

use super::{ADAPTER_KILLED, PATIENCE, Tunnel::Returns};
use crate::{common, places};

/// dnsmasq gives no lease shorter than two minutes; it is renewed after half of that.
const RENEWAL: Duration = Duration::from_secs(60);

/// How long a temporary address is used for what is new, and how long it is there: in life a day and a week.
const PREFERRED: Duration = Duration::from_secs(40);
const VALID: Duration = Duration::from_secs(300);

/// How often the tunnel is seen to follow the host to its next temporary address.
const MOVES: usize = 2;

/// A lease that ends in another address, and a device that is called otherwise after it.
pub(crate) fn addresses(world: &World) -> Result<()> {
    let left = world.left();
    world
        .agent()
        .shell("ip -n wire address add 192.0.2.1/24 dev br0")
        .run()?;
    let server = leases(world, "192.0.2.100")?;
    left.shell("nmcli connection modify base ipv4.method auto ipv4.addresses '' ipv4.gateway ''; nmcli --wait 60 connection up base")
        .timeout(PATIENCE)
        .run()?;
    let profile = from_anywhere(world, TO_V4)?;
    comes_from(world, "192.0.2.100", TO_V4).context("the first lease")?;

    server.signal(15)?;
    server.wait(Duration::from_secs(30))?;
    let server = leases(world, "192.0.2.101")?;
    places::idle(RENEWAL);
    comes_from(world, "192.0.2.101", TO_V4).context("another lease")?;

    left.shell(
        "nmcli connection modify base connection.interface-name '' 802-3-ethernet.mac-address $(cat /sys/class/net/net0/address)
         ip link set net0 down; ip link set net0 name net9; ip link set net9 up",
    )
    .run()?;
    comes_from(world, "192.0.2.101", TO_V4).context("the device is called otherwise")?;
    server.signal(15)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Only the peer's net is reached. NetworkManager takes the connection of the default route for what a VPN is brought up on, and
/// where there is none it has to be told: a document's connection comes up, and one that was lost is back by itself.
pub(crate) fn no_default_route(world: &World) -> Result<()> {
    let left = world.left();
    left.shell(
        "nmcli connection modify base ipv4.gateway '' ipv6.gateway ''; nmcli device reapply net0
         for family in -4 -6; do while ip $family route delete default 2>/dev/null; do :; done; done",
    )
    .run()?;
    super::connect(world)?;
    super::told(
        world,
        "adapter killed, without a default route",
        Returns,
        ADAPTER_KILLED,
    )?;
    let routes = left
        .shell("ip -4 route show default; ip -6 route show default")
        .run()?;
    ensure!(routes.is_empty(), "there is a default route:\n{routes}");

    left.command(["nmcli", "connection", "down", INTERFACE]).run()?;
    let up = left.command(["nmcli", "connection", "up", INTERFACE]).output()?;
    ensure!(
        !up.success(),
        "NetworkManager finds one itself: the story shows nothing"
    );
    left.command(["nmstate-ipsec", "up", INTERFACE]).run()?;
    super::is_back(left)?;
    common::removes(world)
}

/// Privacy addresses (RFC 8981): the host makes itself another every day, and has the one before for old connections. The tunnel
/// comes from the one that new connections come from: they would go beside it.
pub(crate) fn privacy(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let router = dnsmasq(
        "net0",
        "router",
        &["--enable-ra", "--dhcp-range=2001:db8:2::,ra-only,64,1h"],
    );
    let router = right.command(router).spawn("/run/lab/router")?;
    let (preferred, valid) = (PREFERRED.as_secs(), VALID.as_secs());
    // A newer NetworkManager has properties for that, and overwrites what else the kernel was told.
    let lifetimes = match world.image() {
        Image::Bookworm => String::new(),
        Image::Trixie | Image::Selinux => {
            format!("ipv6.temp-preferred-lifetime {preferred} ipv6.temp-valid-lifetime {valid}")
        }
    };
    left.shell(&format!(
        "sysctl -q net.ipv6.conf.net0.max_desync_factor=0 \
             net.ipv6.conf.net0.temp_prefered_lft={preferred} net.ipv6.conf.net0.temp_valid_lft={valid}
         nmcli connection modify base ipv6.method auto ipv6.addresses '' ipv6.gateway '' ipv6.ip6-privacy 2 {lifetimes}
         nmcli --wait 60 connection up base",
    ))
    .timeout(PATIENCE)
    .run()?;
    let profile = from_anywhere(world, TO_V6)?;
    // On a busy machine one may be followed by the next while it is looked at.
    let comes_from_another_than = |last: &str| {
        let (mut seen, mut address) = (None, String::new());
        let comes = wait_until("the tunnel comes from a temporary address", PATIENCE, || {
            let listed = left.security_associations()?;
            let of_tunnel = |address: &String| listed.contains(&format!("src {address} dst {RIGHT_V6}"));
            let Some(found) = temporary(left)?.into_iter().find(of_tunnel) else {
                return Ok(None);
            };
            address = found;
            let pings = pings_from(world, &address, TO_V6);
            let is_right = address != last && pings.is_ok();
            seen = Some((address.clone(), pings.map_err(|error| format!("{error:#}"))));
            Ok(is_right.then_some(()))
        });
        comes.with_context(|| format!("{seen:?}"))?;
        Ok::<_, anyhow::Error>(address)
    };
    let mut address = comes_from_another_than("").context("the first address")?;
    for _ in 0..MOVES {
        places::idle(PREFERRED);
        address = comes_from_another_than(&address).context("the address is deprecated")?;
    }
    router.signal(15)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// The temporary addresses of left.
fn temporary(left: Host<'_>) -> Result<Vec<String>> {
    let listed = left
        .command(["ip", "-6", "-o", "address", "show", "dev", "net0", "temporary"])
        .run()?;
    let addresses = listed.lines().filter_map(|line| line.split_whitespace().nth(3));
    let addresses = addresses.filter_map(|address| Some(address.split_once('/')?.0.to_owned()));
    Ok(addresses.collect())
}

/// Serves one address.
fn leases(world: &World, address: &str) -> Result<Background> {
    let range = format!("--dhcp-range={address},{address},2m");
    let options = ["--dhcp-authoritative", "--dhcp-option=3,192.0.2.252", &range];
    world
        .agent()
        .command(dnsmasq("br0", address, &options))
        .netns("wire")
        .spawn(&format!("/run/lab/dnsmasq-{address}"))
}

/// A server on `device` that is no name server; its leases are kept under `name`.
fn dnsmasq(device: &str, name: &str, options: &[&str]) -> Vec<String> {
    let own = [
        "dnsmasq",
        "--keep-in-foreground",
        "--port=0",
        "--bind-interfaces",
        &format!("--interface={device}"),
        &format!("--dhcp-leasefile=/run/lab/leases-{name}"),
    ];
    own.iter().chain(options).map(|&word| word.to_owned()).collect()
}

/// The peer, and what is behind it.
type To = (&'static str, &'static str);
const TO_V4: To = (RIGHT_V4, BEHIND_V4);
const TO_V6: To = (RIGHT_V6, BEHIND_V6);

/// Has left's connection come from whatever address the default route has. Nobody but the keeper of connections brings it up: the
/// daemon runs once something happens.
fn from_anywhere(world: &World, (peer, behind): To) -> Result<Profile> {
    peer::expect_psk_from_anywhere(world.right(), peer, behind)?;
    let bits = if behind.contains(':') { 128 } else { 32 };
    let data = format!(
        "left=%defaultroute, leftid=@left.example.org, right={peer}, rightid=@right.example.org, ikev2=insist, \
         leftmodecfgclient=no, rightsubnet={behind}/{bits}"
    );
    let profile = Profile::new(peer::INTERFACE, &data)
        .secret("pskvalue", peer::PSK)
        .property("connection.autoconnect", "yes");
    profile.add(world.left())?;
    world.left().shell("nmcli device reapply net0").run()?;
    Ok(profile)
}

/// The tunnel comes from the address, and carries a ping.
fn comes_from(world: &World, address: &str, (peer, behind): To) -> Result<()> {
    let left = world.left();
    let mut said = String::new();
    let comes = wait_until("the tunnel comes from the address", PATIENCE, || {
        said = left.security_associations()?;
        let comes = said.contains(&format!("src {address} dst {peer}"));
        let ping = ["ping", "-n", "-c", "1", "-W", "1", behind];
        Ok((comes && left.command(ping).output()?.success()).then_some(()))
    });
    comes.with_context(|| format!("{address}:\n{said}"))?;
    pings_from(world, address, (peer, behind))
}

fn pings_from(world: &World, address: &str, (peer, behind): To) -> Result<()> {
    let capture = world.capture_at("right0")?;
    let pinged = world.left().ping(behind);
    let captured = capture.stop()?;
    pinged?;
    captured.ensure_encrypted((address, peer))
}
