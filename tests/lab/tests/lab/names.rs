//! Host names are looked up again.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::wait_until;
use lab::peer;
use lab::profile::Profile;
use lab::world::{LEFT_V4, RIGHT_V4, World};

use crate::places;

/// The look-up follows a change of address at once, the rest is a negotiation.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where nobody hears of a change, a minute passes until names are looked up again.
const UNHEARD: Duration = Duration::from_secs(120);

/// right's second address.
const SECOND: &str = "192.0.2.253";

/// The name of the peer leads to another address, and left hears of a change: the tunnel goes where the name leads. So it does
/// when nobody hears of anything.
pub(crate) fn moved(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    right.set_psk(peer::PSK)?;
    right.shell("ip address add 192.0.2.253/24 dev net0").run()?;
    right.whack(["--listen"]).run()?;
    for (name, address) in [("first", "left=192.0.2.252"), ("second", "left=192.0.2.253")] {
        let options = [
            address,
            "leftid=@right.example.org",
            "right=192.0.2.251",
            "rightid=@left.example.org",
            "leftsubnet=198.51.100.1/32",
            "authby=secret",
            "ikev2=insist",
        ];
        right.add_connection(name, &options)?;
    }
    left.shell("echo 192.0.2.252 moving.example.org >> /etc/hosts")
        .run()?;
    let data = "left=192.0.2.251, leftid=@left.example.org, right=moving.example.org, rightid=@right.example.org, \
                ikev2=insist, leftmodecfgclient=no, rightsubnet=198.51.100.1/32";
    let profile = Profile::new(peer::INTERFACE, data).secret("pskvalue", peer::PSK);
    profile.up(left)?;
    left.ping("198.51.100.1")?;

    left.shell(
        "sed -i s/^192.0.2.252.moving/192.0.2.253\\ moving/ /etc/hosts; ip address add 203.0.113.7/32 dev lo",
    )
    .run()?;
    leads(world, (LEFT_V4, SECOND), RIGHT_V4, TIMEOUT)?;
    left.shell("sed -i s/^192.0.2.253.moving/192.0.2.252\\ moving/ /etc/hosts")
        .run()?;
    places::beside(|| leads(world, (LEFT_V4, RIGHT_V4), SECOND, UNHEARD))
        .context("nobody has heard of it")?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// The tunnel leads from one address to another, nothing of it has the one `before`, and it carries a ping.
fn leads(world: &World, (from, to): (&str, &str), before: &str, time_out: Duration) -> Result<()> {
    let left = world.left();
    wait_until("the tunnel is between the new addresses", time_out, || {
        let associations = left.security_associations()?;
        let leads = associations.contains(&format!("src {from} dst {to}"));
        Ok((leads && !associations.contains(before)).then_some(()))
    })?;
    let capture = world.capture()?;
    left.ping("198.51.100.1")?;
    capture.stop()?.ensure_encrypted((from, to))
}

/// The address of left, from which the tunnel comes by way of the default route, is replaced by another: the tunnel follows.
pub(crate) fn address_changes(world: &World) -> Result<()> {
    const ANOTHER: &str = "192.0.2.250";
    let (left, right) = (world.left(), world.right());
    peer::expect_psk_from_anywhere(right, RIGHT_V4, "198.51.100.1")?;
    let data = "left=%defaultroute, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
                ikev2=insist, leftmodecfgclient=no, rightsubnet=198.51.100.1/32";
    let profile = Profile::new(peer::INTERFACE, data).secret("pskvalue", peer::PSK);
    profile.up(left)?;
    left.ping("198.51.100.1")?;

    left.shell("nmcli connection modify base ipv4.addresses 192.0.2.250/24; nmcli device reapply net0")
        .run()?;
    leads(world, (ANOTHER, RIGHT_V4), LEFT_V4, TIMEOUT)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}
