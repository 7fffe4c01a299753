//! pluto is not ours alone, forgets nothing by itself, and is not always there to be asked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer;
use lab::profile::Profile;
use lab::world::{BEHIND_V4, LEFT_V4, RIGHT_V4, World};

use crate::common;

/// What is done in the background has that long.
const TIMEOUT: Duration = Duration::from_secs(60);

const UUID: &str = "5b2b1ea8-0000-4000-8000-000000000001";

/// What pluto calls the profile `hosta_conn` with that UUID.
const NAME: &str = "hosta_conn-5b2b1ea8";

/// The connection that [`peer::expect_psk`] has right expect.
fn profile() -> Profile {
    let data = "left=192.0.2.251, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
                ikev2=insist, type=transport, leftmodecfgclient=no";
    Profile::new(peer::INTERFACE, data)
        .secret("pskvalue", peer::PSK)
        .property("connection.uuid", UUID)
}

/// Somebody else's connection that has the name of ours is neither replaced nor removed. What the plugin written in C
/// made of the same profile is taken over.
pub(crate) fn name_is_taken(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let theirs = [
        "left=192.0.2.251",
        "right=192.0.2.9",
        "authby=secret",
        "ikev2=insist",
    ];
    left.add_connection(NAME, &theirs)?;
    let before = left.whack(["--status"]).run()?;

    let profile = profile();
    profile.add(left)?;
    let output = profile.activate(left)?;
    ensure!(!output.success(), "the profile has come up: {}", output.stdout);
    let entry = common::last_reason(left, peer::INTERFACE)?;
    ensure!(entry["IPSEC_REASON"] == "name-taken", "another reason: {entry}");
    let of_theirs = |status: &str| -> Vec<String> {
        let lines = status.lines().filter(|line| line.contains(NAME));
        lines.map(str::to_owned).collect()
    };
    let after = left.whack(["--status"]).run()?;
    ensure!(
        of_theirs(&before) == of_theirs(&after),
        "their connection was and is:\n{before}\n{after}"
    );

    left.whack(["--name", NAME, "--delete"]).run()?;
    let of_the_c_plugin = [
        &theirs[..],
        &["leftupdown=/usr/libexec/nm-libreswan-service-helper"],
    ]
    .concat();
    left.add_connection(UUID, &of_the_c_plugin)?;
    let output = profile.activate(left)?;
    ensure!(
        output.success(),
        "the profile does not come up: {}",
        output.stderr
    );
    common::is_encrypted(world)?;
    let status = left.whack(["--status"]).run()?;
    ensure!(
        !status.contains(UUID),
        "pluto still has the connection of the C plugin:\n{status}"
    );
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Daemon and adapter are killed at once: what they leave in pluto and on the disk is taken away by the next daemon.
pub(crate) fn orphans_are_taken_away(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let profile = profile();
    profile.up(left)?;
    left.shell("pkill -KILL -x nm-libreswan-se; systemctl kill --signal=KILL nmstate-ipsecd.service")
        .run()?;
    wait_until("NetworkManager has given the connection up", TIMEOUT, || {
        let active = left
            .command(["nmcli", "-t", "-f", "NAME", "connection", "show", "--active"])
            .run()?;
        Ok((!active.contains(peer::INTERFACE)).then_some(()))
    })?;
    left.command(["systemctl", "start", "nmstate-ipsecd.service"])
        .run()?;
    left.await_empty_kernel()?;
    wait_until("the disk has no secret", TIMEOUT, || {
        Ok(profile.ensure_gone(left).is_ok().then_some(()))
    })
}

/// A connection is taken down while pluto hangs, and while it does not run: nothing is left, then or later.
pub(crate) fn hangs_and_stops(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let profile = profile();
    profile.up(left)?;
    left.command(["systemctl", "kill", "--signal=STOP", "ipsec.service"])
        .run()?;
    profile.down(left)?;
    left.await_empty_kernel()?;
    let secrets = "find /etc/ipsec.d -name '*nmstate-ipsec-*'";
    wait_until("the disk has no secret", TIMEOUT, || {
        Ok(left.shell(secrets).run()?.is_empty().then_some(()))
    })?;
    left.command(["systemctl", "kill", "--signal=CONT", "ipsec.service"])
        .run()?;
    wait_until("pluto knows nothing of it", TIMEOUT, || {
        Ok(profile.ensure_gone(left).is_ok().then_some(()))
    })?;

    let output = profile.activate(left)?;
    ensure!(
        output.success(),
        "the profile does not come up again: {}",
        output.stderr
    );
    common::is_encrypted(world)?;
    left.command(["systemctl", "stop", "ipsec.service"]).run()?;
    profile.down(left)?;
    profile.ensure_gone(left)?;
    left.command(["systemctl", "start", "ipsec.service"]).run()?;
    profile.ensure_gone(left)?;

    taken_down_slowly(world)?;

    // A trap that nobody's packets have met yet has no request id to be known by.
    left.shell("nmcli connection modify hosta_conn +vpn.data nm-connect-mode=ondemand")
        .run()?;
    let output = profile.activate(left)?;
    ensure!(output.success(), "the trap is not set: {}", output.stderr);
    ensure!(left.policies()?.contains("192.0.2.252/32"), "there is no trap");
    left.command(["systemctl", "kill", "--signal=STOP", "ipsec.service"])
        .run()?;
    profile.down(left)?;
    left.await_empty_kernel()?;
    left.command(["systemctl", "kill", "--signal=CONT", "ipsec.service"])
        .run()?;
    profile.ensure_gone(left)?;

    // Neither does a daemon know it that was restarted meanwhile: it finds it by the same packets.
    left.shell("nmcli connection modify hosta_conn +vpn.data nm-connect-mode=up")
        .run()?;
    let output = profile.activate(left)?;
    ensure!(
        output.success(),
        "the profile does not come up: {}",
        output.stderr
    );
    left.command(["systemctl", "kill", "--signal=STOP", "ipsec.service"])
        .run()?;
    left.command(["systemctl", "restart", "nmstate-ipsecd.service"])
        .run()?;
    wait_until("the plugin has registered with the daemon", TIMEOUT, || {
        let journal = left
            .command(["journalctl", "-b", "-o", "cat", "-u", "NetworkManager"])
            .run()?;
        Ok(journal.contains("has the connection again").then_some(()))
    })?;
    profile.down(left)?;
    left.await_empty_kernel()?;
    left.command(["systemctl", "kill", "--signal=CONT", "ipsec.service"])
        .run()?;
    profile.ensure_gone(left)
}

/// NetworkManager waits for its scripts before it takes a connection down, and says so meanwhile. The daemon, which looks
/// for pluto all the time, does not talk it out of it.
fn taken_down_slowly(world: &World) -> Result<()> {
    let (left, profile) = (world.left(), profile());
    let script = "/etc/NetworkManager/dispatcher.d/pre-down.d/slow";
    world.agent().put(script, 0o755, b"#!/bin/sh\nexec sleep 4\n")?;
    let output = profile.activate(left)?;
    ensure!(
        output.success(),
        "the profile does not come up: {}",
        output.stderr
    );
    left.command(["systemctl", "stop", "ipsec.service"]).run()?;
    wait_until("NetworkManager knows that it is lost", TIMEOUT, || {
        let state = left
            .command([
                "nmcli",
                "-t",
                "-f",
                "NAME,STATE",
                "connection",
                "show",
                "--active",
            ])
            .run()?;
        Ok(state.contains("hosta_conn:activating").then_some(()))
    })?;
    profile.down(left)?;
    wait_until("NetworkManager has taken it down", TIMEOUT, || {
        let active = left
            .command(["nmcli", "-t", "-f", "NAME", "connection", "show", "--active"])
            .run()?;
        Ok((!active.contains("hosta_conn")).then_some(()))
    })?;
    profile.ensure_gone(left)?;
    left.command(["rm", script]).run()?;
    left.command(["systemctl", "start", "ipsec.service"]).run()?;
    profile.ensure_gone(left)
}

/// A device that pluto made for a connection goes with it, also when pluto cannot take it away; one that somebody else
/// made stays.
pub(crate) fn devices_go(world: &World) -> Result<()> {
    let left = world.left();
    let profile = profile_with_device(world)?;
    let systemctl = |arguments: &[&str]| left.command([&["systemctl"], arguments].concat()).run();
    profile.add(left)?;
    comes_back(world, &profile)?;
    for cannot in [
        "hangs",
        "is killed and stays away",
        "hangs, and the device is not ours",
    ] {
        let is_theirs = cannot.ends_with("not ours");
        if is_theirs {
            left.shell("ip link add ipsec5 type xfrm dev net0 if_id 5")
                .run()?;
        }
        comes_up(world, &profile)?;
        if cannot.starts_with("hangs") {
            systemctl(&["kill", "--signal=STOP", "ipsec.service"])?;
        } else {
            // Whatever the unit does after pluto is not done: this is about what nobody else does.
            let nothing = "[Service]\nExecStopPost=\nRestart=no\n";
            left.shell("mkdir -p /run/systemd/system/ipsec.service.d; cat > /run/systemd/system/ipsec.service.d/lab.conf; systemctl daemon-reload")
                .stdin(nothing)
                .run()?;
            systemctl(&["kill", "--signal=KILL", "ipsec.service"])?;
            wait_until("pluto is gone", TIMEOUT, || {
                let state = left
                    .command(["systemctl", "is-active", "ipsec.service"])
                    .output()?
                    .stdout;
                Ok((state.trim() == "failed").then_some(()))
            })?;
            ensure!(!devices(world)?.is_empty(), "the device has gone by itself");
        }
        profile.down(left)?;
        left.await_empty_kernel()?;
        if !is_theirs {
            wait_until("the device is gone", TIMEOUT, || {
                Ok(devices(world)?.is_empty().then_some(()))
            })
            .with_context(|| format!("when pluto {cannot}"))?;
        }
        if cannot.starts_with("hangs") {
            systemctl(&["kill", "--signal=CONT", "ipsec.service"])?;
        } else {
            systemctl(&["start", "ipsec.service"])?;
        }
        profile
            .ensure_gone(left)
            .with_context(|| format!("when pluto {cannot}"))?;
    }
    ensure!(
        devices(world)?.contains("ipsec5"),
        "the device of somebody else is gone"
    );
    Ok(())
}

/// A device of ours that somebody else's connection has too stays with that, whatever befalls pluto, and what it carries
/// stays encrypted; one that nobody has any more goes with the last of ours.
pub(crate) fn devices_are_shared(world: &World) -> Result<()> {
    let left = world.left();
    let profile = profile_with_device(world)?;
    let right = world.right();
    let (theirs, foreign) = (
        [
            "left=192.0.2.252",
            "right=192.0.2.251",
            "leftid=@theirs.right",
            "rightid=@theirs.left",
            "authby=secret",
            "ikev2=insist",
            "leftsubnet=203.0.113.2/32",
        ],
        [
            "left=192.0.2.251",
            "right=192.0.2.252",
            "leftid=@theirs.left",
            "rightid=@theirs.right",
            "authby=secret",
            "ikev2=insist",
            "rightsubnet=203.0.113.2/32",
            "ipsec-interface=5",
        ],
    );
    right.add_connection("theirs", &theirs)?;
    left.set_psk(peer::PSK)?;
    profile.up(left)?;
    left.add_connection("foreign", &foreign)?;
    left.initiate("foreign")?;
    let spis = left.spis()?;

    left.command(["systemctl", "kill", "--signal=STOP", "ipsec.service"])
        .run()?;
    profile.down(left)?;
    wait_until("only the foreign one is left", TIMEOUT, || {
        Ok((left.spis()?.len() == 2).then_some(()))
    })?;
    left.command(["systemctl", "kill", "--signal=CONT", "ipsec.service"])
        .run()?;
    let status = left.whack(["--status"]).run()?;
    ensure!(
        status.contains("\"foreign\""),
        "the foreign connection is gone:\n{status}"
    );
    let kept = left.spis()?;
    ensure!(
        kept.iter().all(|spi| spis.contains(spi)),
        "the foreign SAs were among {spis:?} and are {kept:?}"
    );
    ensure!(
        devices(world)?.contains("ipsec5"),
        "the device of the foreign connection is gone"
    );

    // The device outlives the pluto that made it and the daemon that marked it.
    left.whack(["--name", "foreign", "--delete"]).run()?;
    comes_up(world, &profile)?;
    left.command(["systemctl", "restart", "nmstate-ipsecd.service"])
        .run()?;
    left.command(["systemctl", "kill", "--signal=KILL", "ipsec.service"])
        .run()?;
    wait_until("the connection is back", TIMEOUT, || {
        Ok((left.spis()?.iter().filter(|spi| !kept.contains(spi)).count() >= 2).then_some(()))
    })?;
    profile.down(left)?;
    profile.ensure_gone(left)?;
    wait_until("the device is gone", TIMEOUT, || {
        Ok(devices(world)?.is_empty().then_some(()))
    })
}

/// An address that this host does not have is refused with its reason, and a corrected profile comes up.
pub(crate) fn corrected(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let profile = profile();
    profile.add(left)?;
    let set = |address: &str| {
        let data = format!("left={address}");
        left.command([
            "nmcli",
            "connection",
            "modify",
            peer::INTERFACE,
            "+vpn.data",
            &data,
        ])
        .run()
    };
    set("192.0.2.99")?;
    let output = profile.activate(left)?;
    ensure!(!output.success(), "the profile has come up: {}", output.stdout);
    profile.ensure_gone(left)?;
    set(LEFT_V4)?;
    let output = profile.activate(left)?;
    ensure!(
        output.success(),
        "the corrected profile does not come up: {}",
        output.stderr
    );
    common::is_encrypted(world)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Without systemd the daemon starts pluto itself, and again when it was killed.
pub(crate) fn without_systemd(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.shell(
        "systemctl stop nmstate-ipsecd.service ipsec.service
        systemd-run --quiet --unit=alone unshare --mount sh -c 'mount -t tmpfs none /run/systemd; exec /usr/libexec/nmstate-ipsecd'",
    )
    .run()?;
    wait_until("the daemon is on the bus", TIMEOUT, || {
        let status = left
            .command(["busctl", "status", "org.nmstate.Ipsec1"])
            .output()?;
        Ok(status.success().then_some(()))
    })?;
    let profile = profile();
    profile.up(left)?;
    common::is_encrypted(world)?;
    let state = left
        .command(["systemctl", "is-active", "ipsec.service"])
        .output()?
        .stdout;
    ensure!(state.trim() == "inactive", "pluto is systemd's: {state}");

    let before = left.spis()?;
    left.shell("kill -KILL $(cat /run/pluto/pluto.pid)").run()?;
    wait_until("another pluto has brought the connection back", TIMEOUT, || {
        let after = left.spis()?;
        let is_new = after.len() == 2 && !after.iter().any(|spi| before.contains(spi));
        Ok(is_new.then_some(()))
    })?;
    common::await_state(left, peer::INTERFACE, "activated")?;
    common::is_encrypted(world)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// The profile with a device of number 5, to the network behind right, which is told to expect it.
fn profile_with_device(world: &World) -> Result<Profile> {
    let right = world.right();
    right.set_psk(peer::PSK)?;
    let options = ["leftsubnet=198.51.100.0/24", "ikev2=insist"];
    right.add_connection("peer", &[&peer::PSK_PEER[..], &options].concat())?;
    let data = "left=192.0.2.251, leftid=@left.example.org, right=192.0.2.252, rightid=@right.example.org, \
                ikev2=insist, leftmodecfgclient=no, rightsubnet=198.51.100.0/24, ipsec-interface=5";
    Ok(Profile::new("device", data).secret("pskvalue", peer::PSK))
}

/// Somebody removes the device under the tunnel: it comes back, and what is routed into it is encrypted again.
fn comes_back(world: &World, profile: &Profile) -> Result<()> {
    let left = world.left();
    comes_up(world, profile)?;
    left.command(["ip", "link", "del", "ipsec5"]).run()?;
    wait_until("the device is there again", TIMEOUT, || {
        Ok(devices(world)?.contains("ipsec5").then_some(()))
    })?;
    common::await_state(left, "device", "activated")?;
    common::is_encrypted_to(world, BEHIND_V4, (LEFT_V4, RIGHT_V4))?;
    profile.down(left)?;
    left.await_empty_kernel()
}

fn comes_up(world: &World, profile: &Profile) -> Result<()> {
    let output = profile.activate(world.left())?;
    ensure!(
        output.success(),
        "the profile does not come up: {}",
        output.stderr
    );
    world.left().ping("198.51.100.1")
}

fn devices(world: &World) -> Result<String> {
    world
        .left()
        .command(["ip", "-o", "link", "show", "type", "xfrm"])
        .run()
}

/// Two connections to one peer and a daemon that was restarted: the loss of the one is not hidden by the other.
pub(crate) fn adopted_ones_are_told_apart(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    right.set_psk(peer::PSK)?;
    let subnets = [("one", "198.51.100.1/32"), ("other", "192.0.2.252/32")];
    for (name, subnet) in subnets {
        let (ours, theirs) = (format!("rightid=@left.{name}"), format!("leftid=@right.{name}"));
        let subnet_line = format!("leftsubnet={subnet}");
        let ends = [
            "left=192.0.2.252",
            "right=192.0.2.251",
            "authby=secret",
            "ikev2=insist",
        ];
        right.add_connection(name, &[&ends[..], &[&ours, &theirs, &subnet_line]].concat())?;
        let data = format!(
            "left=192.0.2.251, leftid=@left.{name}, right=192.0.2.252, rightid=@right.{name}, ikev2=insist, \
             leftmodecfgclient=no, rightsubnet={subnet}"
        );
        Profile::new(name, &data).secret("pskvalue", peer::PSK).up(left)?;
    }
    left.command(["systemctl", "restart", "nmstate-ipsecd.service"])
        .run()?;
    wait_until("the daemon has both again", TIMEOUT, || {
        let journal = left
            .command(["journalctl", "-b", "-o", "cat", "-u", "NetworkManager"])
            .run()?;
        Ok((journal.matches("has the connection again").count() == 2).then_some(()))
    })?;

    let before = left.spis()?;
    left.shell("ip xfrm state list | awk '/^src/ {s=$2; d=$4} /spi/ {spi=$4; r=$6; if (!first) first=r; if (r == first) print s, d, spi}' | while read -r s d spi; do ip xfrm state delete src $s dst $d proto esp spi $spi; done")
        .run()?;
    let kept = left.spis()?;
    ensure!(kept.len() == 2, "not one pair but {kept:?} is left of {before:?}");
    wait_until("the lost pair is there again", TIMEOUT, || {
        Ok((left.spis()?.len() == 4).then_some(()))
    })?;
    let after = left.spis()?;
    ensure!(
        kept.iter().all(|spi| after.contains(spi)),
        "the other's SAs were {kept:?} of {before:?} and are {after:?}"
    );
    let capture = world.capture()?;
    left.ping("198.51.100.1")?;
    left.ping(RIGHT_V4)?;
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))
}
