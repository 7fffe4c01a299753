//! Guards of other kinds of connections, at boot, and beside somebody who empties the kernel's rules.

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::peer::{self, INTERFACE, PSK};
use lab::profile::Profile;
use lab::world::{BEHIND_V4, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, World};

use super::{answers_again, await_rules, held_back, stays_closed, switch, under_ping, up};
use crate::common;

const ENDS: &str = "left=192.0.2.251, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
     leftmodecfgclient=no, ikev2=insist";

/// Without the tunnel packets would go this way, in clear. It is the last choice, so that the tunnel's own routes win.
const WAY_IN_CLEAR: &str = "ip route replace 198.51.100.0/24 via 192.0.2.252 metric 4000";

/// A host behind left, in a namespace of its own.
const OFFICE_SCRIPT: &str = "
ip netns add office
ip link add office0 type veth peer name eth0 netns office
ip address add 10.1.0.1/24 dev office0
ip link set office0 up
ip -n office address add 10.1.0.2/24 dev eth0
ip -n office link set eth0 up
ip -n office route add default via 10.1.0.1
sysctl -qw net.ipv4.ip_forward=1
";

fn profile(name: &str, further: &str) -> Profile {
    Profile::new(name, &format!("{ENDS}, {further}")).secret("pskvalue", PSK)
}

/// Tunnel mode between subnets: what left forwards is held back as what it sends, and nothing else is.
pub(crate) fn subnets(world: &World) -> Result<()> {
    let left = world.left();
    left.shell(OFFICE_SCRIPT).run()?;
    left.shell(WAY_IN_CLEAR).run()?;
    let further = [
        "ikev2=insist",
        "leftsubnet=198.51.100.0/24",
        "rightsubnet=10.1.0.0/24",
    ];
    peer::expect_psk_with(world.right(), &further)?;
    let profile = profile("guarded", "leftsubnet=10.1.0.0/24, rightsubnet=198.51.100.0/24");
    profile.add(left)?;
    let office = |world: &World| {
        let ping = ["ping", "-n", "-c", "5", "-i", "0.1", "-w", "3", BEHIND_V4];
        world.agent().command(ping).netns("office").output()
    };
    let capture = world.capture()?;
    office(world)?;
    let open = capture.stop()?.clear_text("10.1.0.2", BEHIND_V4)?;
    ensure!(
        !open.is_empty(),
        "nothing leaves in clear without a guard: the story shows nothing"
    );

    // From the moment on in which the profile says so, without a try to bring it up.
    switch(left, "guarded", "on")?;
    let capture = world.capture()?;
    ensure!(!office(world)?.success(), "pings are answered without a tunnel");
    let captured = capture.stop()?;
    let open = captured.in_the_open()?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    ensure!(held_back(left)? >= 5, "the pings were not held back");
    left.ping(RIGHT_V4)
        .context("what is not the tunnel's is held back")?;

    up(left, "guarded")?;
    let capture = world.capture()?;
    ensure!(
        office(world)?.success(),
        "pings are not answered through the tunnel"
    );
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))?;
    profile.delete(left)?;
    await_rules(left, false)
}

/// A connection with a device: what is routed into the device passes, and what leaves elsewhere without it does not.
pub(crate) fn device(world: &World) -> Result<()> {
    let left = world.left();
    left.shell(WAY_IN_CLEAR).run()?;
    peer::expect_psk_with(world.right(), &["ikev2=insist", "leftsubnet=198.51.100.0/24"])?;
    let profile = profile("device", "rightsubnet=198.51.100.0/24, ipsec-interface=yes");
    profile.add(left)?;
    switch(left, "device", "on")?;
    up(left, "device")?;
    let through = || common::is_encrypted_to(world, BEHIND_V4, (LEFT_V4, RIGHT_V4));
    through()?;
    stays_closed(world, BEHIND_V4, |world| {
        let flush = "ip xfrm policy flush; ip xfrm state flush";
        world.left().shell(flush).run().map(drop)
    })
    .context("the kernel's tables were emptied")?;
    answers_again(left, "device", BEHIND_V4)?;
    through()?;
    stays_closed(world, BEHIND_V4, |world| {
        world.left().shell("ip link delete ipsec1").run().map(drop)
    })
    .context("the device was deleted")?;
    answers_again(left, "device", BEHIND_V4)?;
    through()?;
    stays_closed(world, BEHIND_V4, |world| profile.down(world.left()))
        .context("the connection was taken down")?;
    profile.delete(left)?;
    await_rules(left, false)
}

/// Host to host over IPv6: neighbours are found while everything else is held back.
pub(crate) fn ipv6(world: &World) -> Result<()> {
    let left = world.left();
    let further = ["left=2001:db8:2::252", "right=2001:db8:2::251", "type=transport"];
    peer::expect_certificate_at(world.right(), &further)?;
    let document = peer::policy("transport", RIGHT_V6)?
        .text()
        .replace("/32", "/128")
        .replace("left.example", "left6.example")
        .replace("right.example", "right6.example");
    left.apply(&Document::new(&document))?;
    switch(left, INTERFACE, "on")?;
    let encrypted = || common::is_encrypted_to(world, RIGHT_V6, (LEFT_V6, RIGHT_V6));
    encrypted()?;
    let forget = "ip -6 neighbour flush dev net0; ip -n right -6 neighbour flush dev net0";
    stays_closed(world, RIGHT_V6, |world| {
        let left = world.left();
        left.command(["nmcli", "connection", "down", INTERFACE]).run()?;
        left.shell(forget).run().map(drop)
    })?;
    ensure!(held_back(left)? > 0, "nothing was held back");
    left.shell(forget).run()?;
    up(left, INTERFACE).context("IKE does not find its neighbour")?;
    encrypted()?;
    left.command(["nmcli", "connection", "delete", INTERFACE]).run()?;
    await_rules(left, false)
}

/// Somebody empties the kernel's rules: a service that is restarted has the guard set again, and so has the next try.
pub(crate) fn flushed(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    switch(left, INTERFACE, "on")?;
    left.shell("systemctl start nmstate-ipsec-guard.service nftables.service")
        .run()?;
    for verb in ["restart", "reload"] {
        left.command(["systemctl", verb, "nftables.service"]).run()?;
        await_rules(left, true).with_context(|| format!("after nftables.service was made to {verb}"))?;
    }
    stays_closed(world, RIGHT_V4, |world| {
        world.left().command(["nft", "flush", "ruleset"]).run().map(drop)
    })
    .context("while the tunnel is up nothing depends on the guard")?;
    left.shell("ip xfrm policy flush; ip xfrm state flush").run()?;
    await_rules(left, true).context("after the tunnel was lost")?;
    super::comes_back(world)?;
    common::removes(world)?;
    await_rules(left, false)
}

/// What leaves in clear without a guard when the daemon and pluto are killed together, and nothing with one.
pub(crate) fn nobody_lives(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    switch(left, INTERFACE, "on")?;
    let gone = "systemctl stop nmstate-ipsecd.path; systemctl stop nmstate-ipsecd.service ipsec.service; \
         ip xfrm policy flush; ip xfrm state flush";
    let captured = under_ping(world, RIGHT_V4, |world| world.left().shell(gone).run().map(drop))?;
    let open = captured.in_the_open()?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    await_rules(left, true)?;
    left.shell("systemctl start ipsec.service nmstate-ipsecd.path nmstate-ipsecd.service")
        .run()?;
    super::comes_back(world)
}
