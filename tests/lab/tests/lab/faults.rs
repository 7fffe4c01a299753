//! Faults: whatever happens to the host, the peer or the link, the connection is back without anybody's help. Each is
//! told under a ping without pause; how long that took, and what left in clear meanwhile, is printed. With a guard nothing
//! leaves in clear.

mod addresses;
mod clocks;
mod many;
mod peers;
mod reboot;
mod watch;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE};
use lab::world::{Host, LEFT_V4, RIGHT_V4, World};

use crate::common;
pub(crate) use addresses::{addresses, no_default_route, privacy};
pub(crate) use clocks::{clock, disk};
pub(crate) use many::fifty;
pub(crate) use peers::{peer_returns, peers, refusal, silence, two_of_ours};
pub(crate) use reboot::power_cut;
use watch::Watch;

/// After whatever happened, the connection has that long to come back by itself.
const PATIENCE: Duration = Duration::from_secs(180);

/// The same where many tries have failed: the longest pause between two of them, and a negotiation.
const LONG_PATIENCE: Duration = Duration::from_secs(420);

/// Shell functions of the faults.
const FUNCTIONS: &str = r#"
# Kills the main process of a unit and waits until systemd has another one.
kill_unit() {
    local before=$(systemctl show -P MainPID "$1") now
    systemctl kill --kill-whom=main --signal=KILL "$1"
    for _ in $(seq 600); do
        now=$(systemctl show -P MainPID "$1")
        [ "$now" != "$before" ] && [ "$now" != 0 ] && return
        sleep 0.1
    done
    return 1
}
"#;

/// What becomes of the tunnel.
#[derive(Clone, Copy, PartialEq)]
enum Tunnel {
    /// It stays, with the same SAs.
    Stays,
    /// It goes, and comes back.
    Returns,
    /// The same, and meanwhile what is sent leaves in clear without a guard.
    IsOpen,
}

use Tunnel::{IsOpen, Returns, Stays};

/// NetworkManager takes that for the end of the connection.
pub(crate) const ADAPTER_KILLED: &str =
    "pid=$(pgrep -f '^/usr/libexec/nm-libreswan-service '); kill -KILL $pid
timeout 60 sh -c \"while kill -0 $pid 2>/dev/null; do sleep 0.1; done\"";

/// What happens on left: a name for the table, what becomes of the tunnel, and a script.
const ON_LEFT: &[(&str, Tunnel, &str)] = &[
    ("NetworkManager restarted", Stays, "systemctl restart NetworkManager.service"),
    ("NetworkManager killed", Stays, "kill_unit NetworkManager.service"),
    ("ipsec.service restarted", IsOpen, "systemctl restart ipsec.service"),
    ("ipsec.service killed", IsOpen, "kill_unit ipsec.service"),
    (
        "ipsec.service stopped, and started after 3 s", IsOpen,
        "systemctl stop ipsec.service; sleep 3; systemctl start ipsec.service",
    ),
    ("kernel's SAs and policies flushed", Returns, "ip xfrm policy flush; ip xfrm state flush"),
    ("adapter killed", Returns, ADAPTER_KILLED),
    ("daemon killed", Stays, "kill_unit nmstate-ipsecd.service"),
    (
        "updown helper killed while pluto negotiates", Returns,
        "systemctl restart ipsec.service
         timeout 6 strace -f -q -e trace=execve -P /usr/libexec/nm-libreswan-service-helper -e inject=execve:signal=KILL \
             -o /run/lab/helpers -p $(cat /run/pluto/pluto.pid) >&2 || :
         grep -q 'killed by SIGKILL' /run/lab/helpers || { echo 'no helper was met' >&2; exit 1; }",
    ),
    (
        "base device taken down and brought up", Returns,
        "nmcli device down net0 >&2; sleep 1; nmcli device up net0 >&2",
    ),
    (
        "base device removed and made again", Returns,
        "ip link delete net0
         timeout 60 sh -c 'while nmcli -t -f DEVICE device | grep -q ^net0; do sleep 0.1; done'
         ip -n wire link add left0 type veth peer name net0 netns 1
         ip -n wire link set left0 master br0 up",
    ),
    // NetworkManager 1.42 ends with the bus as if it had been told to, and systemd leaves it at that. The tunnel stays.
    (
        "system bus restarted", Returns,
        "before=$(systemctl show -P MainPID NetworkManager)
         systemctl restart dbus.service
         timeout 30 sh -c \"while [ \\$(systemctl show -P MainPID NetworkManager) = $before ]; do sleep 0.2; done\"
         timeout 15 sh -c 'until systemctl is-active --quiet NetworkManager; do sleep 0.2; done' ||
             { ping -n -c 3 192.0.2.252 >&2; systemctl start NetworkManager.service; }",
    ),
];

/// What happens to this host, without a guard.
pub(crate) fn on_left(world: &World) -> Result<()> {
    connect(world)?;
    for (what, tunnel, script) in ON_LEFT {
        let seen = told(world, what, *tunnel, script)?;
        eprintln!("{}: {what}: {seen}", world.image());
        ensure!(
            *tunnel != IsOpen || !seen.open.is_empty(),
            "{what}: nothing was in clear; does docs/architecture.md say what passes?"
        );
    }
    common::removes(world)
}

/// The same with one.
pub(crate) fn on_left_guarded(world: &World) -> Result<()> {
    connect(world)?;
    guard(world.left())?;
    for (what, tunnel, script) in ON_LEFT {
        let seen = told(world, what, *tunnel, script)?;
        eprintln!("{}: {what}, guarded: {seen}", world.image());
        seen.ensure_closed(what)?;
    }
    common::removes(world)
}

fn guard(left: Host<'_>) -> Result<()> {
    let guard = ["nmstate-ipsec", "guard", INTERFACE, "on"];
    left.command(guard).run().map(drop)
}

/// Tells one fault of this host.
fn told(world: &World, what: &str, tunnel: Tunnel, script: &str) -> Result<watch::Seen> {
    let before = world.left().spis()?;
    let watch = Watch::begin(world).with_context(|| what.to_owned())?;
    let happened = world
        .left()
        .shell(&format!("{FUNCTIONS}{script}"))
        .timeout(PATIENCE)
        .run()
        .and_then(|_| is_back(world.left()));
    let seen = watch.end();
    happened.with_context(|| what.to_owned())?;
    let seen = seen.with_context(|| what.to_owned())?;
    if tunnel == Stays {
        ensure!(before == world.left().spis()?, "{what}: the SAs are others");
        seen.ensure_closed(what)?;
    }
    common::is_encrypted(world).with_context(|| what.to_owned())?;
    Ok(seen)
}

/// Brings the connection up.
fn connect(world: &World) -> Result<()> {
    bring_up(world.left(), world.right())?;
    common::is_encrypted(world)
}

/// The same between any two hosts.
fn bring_up(left: Host<'_>, right: Host<'_>) -> Result<()> {
    peer::expect_psk(right)?;
    let applied = left.apply_ours(&Document::new(peer::PSK_DOCUMENT), &[])?;
    ensure!(
        applied.success(),
        "applying: {}{}",
        applied.stdout,
        applied.stderr
    );
    Ok(())
}

/// Waits until everybody says that the connection is up, and it carries a ping.
pub(crate) fn is_back(left: Host<'_>) -> Result<()> {
    is_back_within(left, PATIENCE)
}

fn is_back_within(left: Host<'_>, patience: Duration) -> Result<()> {
    let states = "nmcli -t -f NAME,STATE connection show --active; nmstate-ipsec status | head -n 1";
    let wanted = [format!("{INTERFACE}:activated"), format!("{INTERFACE}: up for ")];
    let mut said = String::new();
    let back = wait_until("the connection is back", patience, || {
        said = left.shell(states).output()?.stdout;
        let is_up = wanted
            .iter()
            .all(|wanted| said.lines().any(|line| line.starts_with(wanted.as_str())));
        let ping = ["ping", "-n", "-c", "1", "-W", "1", RIGHT_V4];
        Ok((is_up && left.spis()?.len() >= 2 && left.command(ping).output()?.success()).then_some(()))
    });
    back.with_context(|| format!("it is said:\n{said}"))
}

/// The two ends, as captures know them.
const ENDS: (&str, &str) = (LEFT_V4, RIGHT_V4);
