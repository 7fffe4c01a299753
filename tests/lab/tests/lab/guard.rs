//! Guards: what a connection encrypts does not leave in clear, whatever becomes of it; and nothing else is held back.

mod others;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE};
use lab::world::{Captured, Host, LEFT_V4, RIGHT_V4, World};
use serde_json::Value;

use crate::common;
pub(crate) use others::{device, flushed, ipv6, nobody_lives, subnets};

/// After whatever happened, the guard is there, or gone, within so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A moment in which pings would leave if nothing held them back.
const MOMENT: &str = "2";

/// pluto stopped and killed, the kernel's tables emptied, the connection taken down, all of it under ping: without a guard
/// something leaves in clear, with one nothing does. Traffic is back with the tunnel, and nothing is left of the guard in
/// the end.
pub(crate) fn lasting(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    common::is_encrypted(world)?;
    let down = |world: &World| {
        world
            .left()
            .command(["nmcli", "connection", "down", INTERFACE])
            .run()
            .map(drop)
    };
    let open = under_ping(world, RIGHT_V4, down)?.clear_text(LEFT_V4, RIGHT_V4)?;
    ensure!(
        !open.is_empty(),
        "without a guard nothing leaves in clear: the story shows nothing"
    );

    switch(left, INTERFACE, "on")?;
    up(left, INTERFACE)?;
    common::is_encrypted(world)?;
    type Disturbance = fn(&World) -> Result<()>;
    let disturbances: [(&str, Disturbance); 4] = [
        ("pluto was stopped", |world| {
            let left = world.left();
            left.command(["systemctl", "stop", "ipsec.service"]).run()?;
            common::await_state(left, INTERFACE, "activating")
        }),
        ("pluto was killed", |world| {
            let kill = ["systemctl", "kill", "--signal=KILL", "ipsec.service"];
            world.left().command(kill).run().map(drop)
        }),
        ("the kernel's tables were emptied", |world| {
            let flush = "ip xfrm policy flush; ip xfrm state flush";
            world.left().shell(flush).run().map(drop)
        }),
        ("the connection was taken down", down),
    ];
    for (what, disturbance) in disturbances {
        stays_closed(world, RIGHT_V4, disturbance).context(what)?;
        left.command(["systemctl", "start", "ipsec.service"]).run()?;
        if what.contains("taken down") {
            ensure!(held_back(left)? > 0, "no packet was held back");
            up(left, INTERFACE)?;
        }
        comes_back(world).context(what)?;
    }
    told_in_the_status(left)?;

    switch(left, INTERFACE, "off")?;
    await_rules(left, false)?;
    common::is_encrypted(world)?;
    switch(left, INTERFACE, "on")?;
    await_rules(left, true)?;
    left.command(["nmcli", "connection", "delete", INTERFACE]).run()?;
    await_rules(left, false).context("the profile was deleted")
}

/// The annotation of a policy guards what is in it, by the first packet; to apply it again changes nothing, also with what
/// upstream's command reads and writes in between.
pub(crate) fn by_policy(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let policy = policy("true");
    ensure_applied(left, &policy, "created, up")?;
    await_rules(left, true)?;
    common::is_encrypted(world)?;
    ensure_applied(left, &policy, "as declared, up")?;
    // A document that does not speak of guards leaves the guard alone, whoever applies it.
    ensure_applied(left, &Document::new(peer::PSK_DOCUMENT), "as declared, up")?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    let shown = left.command(["nmstatectl", "show", INTERFACE]).run()?;
    ensure!(shown.contains(RIGHT_V4), "upstream does not show it:\n{shown}");
    ensure!(is_on(left, INTERFACE)?, "the guard has gone");
    await_rules(left, true)?;
    let before = left.spis()?;
    ensure_applied(left, &self::policy("false"), "modified, up")?;
    await_rules(left, false)?;
    ensure!(before == left.spis()?, "the SAs are others");
    common::removes(world)
}

/// [`peer::PSK_DOCUMENT`] as a policy with the annotation.
fn policy(guard: &str) -> Document {
    let state: String = peer::PSK_DOCUMENT
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    Document::new(&format!(
        "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata:\n  name: guarded\n  annotations:\n    \
         ipsec.nmstate.io/guard: '{guard}'\nspec:\n  desiredState:\n{state}"
    ))
}

fn ensure_applied(left: Host<'_>, document: &Document, said: &str) -> Result<()> {
    let output = left.apply_ours(document, &[])?;
    ensure!(
        output.success() && output.stdout.contains(said),
        "apply should have said '{said}':\n{}{}",
        output.stdout,
        output.stderr
    );
    Ok(())
}

/// Has the profile guarded, or not, and waits until the kernel has that.
fn switch(left: Host<'_>, name: &str, word: &str) -> Result<()> {
    left.command(["nmstate-ipsec", "guard", name, word]).run()?;
    ensure!(
        is_on(left, name)? == (word == "on"),
        "the profile does not say '{word}'"
    );
    if word == "on" {
        await_rules(left, true)
    } else {
        Ok(())
    }
}

/// What the command tells of the profile.
fn is_on(left: Host<'_>, name: &str) -> Result<bool> {
    let told = left.command(["nmstate-ipsec", "guard", name, "--json"]).run()?;
    let told: Value = serde_json::from_str(&told)?;
    told["guard"].as_bool().context("guard is no truth value")
}

fn up(left: Host<'_>, name: &str) -> Result<()> {
    let command = left.command(["nmcli", "connection", "up", name]);
    command.timeout(Duration::from_secs(180)).run().map(drop)
}

/// Waits until the kernel and the disk have a guard, or nothing of any.
fn await_rules(left: Host<'_>, wanted: bool) -> Result<()> {
    let mut has = String::new();
    let awaited = wait_until("the guard is there, or gone", PATIENCE, || {
        let list = "nft list ruleset | grep -F nmstate_ipsec || true; ls /var/lib/nmstate-ipsec/guard 2>/dev/null || true";
        has = left.shell(list).run()?;
        let is_as_wanted = if wanted {
            has.contains("table inet nmstate_ipsec") && has.contains(".nft")
        } else {
            has.trim().is_empty()
        };
        Ok(is_as_wanted.then_some(()))
    });
    awaited.with_context(|| format!("wanted: {wanted}; there is:\n{has}"))
}

/// How many packets were held back.
fn held_back(left: Host<'_>) -> Result<u64> {
    let listed = left
        .command(["nft", "-j", "list", "counters", "table", "inet", "nmstate_ipsec"])
        .run()?;
    let listed: Value = serde_json::from_str(&listed)?;
    let counters = listed["nftables"].as_array().context("no list")?;
    Ok(counters
        .iter()
        .filter_map(|entry| entry["counter"]["packets"].as_u64())
        .sum())
}

fn told_in_the_status(left: Host<'_>) -> Result<()> {
    let status = left
        .command(["nmstate-ipsec", "status", INTERFACE, "--json"])
        .run()?;
    let status: Value = serde_json::from_str(&status)?;
    let connection = &status["connections"][0];
    ensure!(
        connection["guarded"] == true && connection["held-back"].as_u64() > Some(0),
        "the status does not tell of the guard:\n{status}"
    );
    Ok(())
}

/// Records the wire while `address` is pinged without pause, something happens, and a moment after it.
fn under_ping(world: &World, address: &str, happens: impl FnOnce(&World) -> Result<()>) -> Result<Captured> {
    let left = world.left();
    let capture = world.capture()?;
    // What is held back is an error to ping, which goes on.
    let ping = left
        .command(["ping", "-n", "-i", "0.05", address])
        .spawn("/run/lab/guard-ping")?;
    happens(world)?;
    left.command(["sleep", MOMENT]).run()?;
    ping.signal(2)?;
    ping.wait(PATIENCE)?;
    capture.stop()
}

/// Nothing leaves in clear whatever happens.
fn stays_closed(world: &World, address: &str, happens: impl FnOnce(&World) -> Result<()>) -> Result<()> {
    let open = under_ping(world, address, happens)?.in_the_open()?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    Ok(())
}

/// Waits until the connection is up again, and carries what it is for.
fn comes_back(world: &World) -> Result<()> {
    answers_again(world.left(), INTERFACE, RIGHT_V4)?;
    common::is_encrypted(world)
}

/// Waits until an address is reached again through the connection `name`. That it is activated says little: NetworkManager
/// may not have heard yet that it was lost.
fn answers_again(left: Host<'_>, name: &str, address: &str) -> Result<()> {
    wait_until("pings are answered again", PATIENCE, || {
        let ping = ["ping", "-n", "-c", "1", "-W", "1", address];
        Ok(left.command(ping).output()?.success().then_some(()))
    })?;
    common::await_state(left, name, "activated")
}
