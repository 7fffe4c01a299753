//! Host names are looked up again.

use std::time::Duration;

use anyhow::Result;
use lab::agent::wait_until;
use lab::peer;
use lab::profile::Profile;
use lab::world::{LEFT_V4, RIGHT_V4, World};

/// The look-up follows a change of address at once, the rest is a negotiation.
const TIMEOUT: Duration = Duration::from_secs(60);

/// right's second address.
const SECOND: &str = "192.0.2.253";

/// The name of the peer leads to another address, and left hears of a change: the tunnel goes where the name leads.
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
    wait_until("the tunnel leads to the second address", TIMEOUT, || {
        let associations = left.security_associations()?;
        let leads = associations.contains(&format!("src {LEFT_V4} dst {SECOND}"));
        Ok((leads && !associations.contains("dst 192.0.2.252")).then_some(()))
    })?;
    let capture = world.capture()?;
    left.ping("198.51.100.1")?;
    capture.stop()?.ensure_encrypted((LEFT_V4, SECOND))?;
    profile.delete(left)?;
    profile.ensure_gone(left)
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
    wait_until("the tunnel comes from the other address", TIMEOUT, || {
        let associations = left.security_associations()?;
        let comes = associations.contains(&format!("src {ANOTHER} dst {RIGHT_V4}"));
        Ok((comes && !associations.contains(LEFT_V4)).then_some(()))
    })?;
    let capture = world.capture()?;
    left.ping("198.51.100.1")?;
    capture.stop()?.ensure_encrypted((ANOTHER, RIGHT_V4))?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}
