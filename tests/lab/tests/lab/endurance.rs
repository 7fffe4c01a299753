//! A connection endures: rekeys, quick changes of mind, the loss of its profile, its base, its neighbours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer;
use lab::world::{BEHIND_V4, Host, LEFT_V4, RIGHT_V4, World};

use crate::common;
use crate::profile::Profile;

const REKEYS: &str = include_str!("endurance/rekeys.sh");
const HUNDRED: &str = include_str!("endurance/hundred.sh");

/// How long a condition may take that needs no more than a negotiation.
const PATIENCE: Duration = Duration::from_secs(60);

const SIGINT: i32 = 2;

/// From host to host, what [`peer::PSK_PEER`] expects.
const HOST: Profile = Profile {
    id: "host",
    uuid: "e0d0a0ce-0000-4000-8000-000000000001",
    data: "rightsubnet=192.0.2.252/32\ntype=transport\n",
    psk: peer::PSK,
};

/// To an address behind right.
const BESIDE: Profile = Profile {
    id: "beside",
    uuid: "be51de00-0000-4000-8000-000000000002",
    data: "rightsubnet=198.51.100.1/32\n",
    psk: peer::PSK,
};

/// What somebody else's connection leads to.
const BEHIND_OF_THEIRS: &str = "198.51.100.2";

/// Twenty IKE and twenty child rekeys from each end leave one pair of SAs. IKE rekeys lose no packet. A child rekey may
/// lose one at most: libreswan's responder sends on the new SA as soon as it has answered, and the initiator can receive
/// on it only when it has read the answer, which takes a good part of the interval between two packets here.
pub(crate) fn rekeys(world: &World) -> Result<()> {
    connect(world)?;
    let (left, right) = (world.left(), world.right());
    world
        .agent()
        .put("/run/lab/rekeys.sh", 0o600, REKEYS.as_bytes())?;
    let (ours, theirs) = (
        (left, "/run/pluto", HOST.pluto_name()),
        (right, "/run/right", "peer".to_owned()),
    );
    for kind in ["ike", "child"] {
        let ping = left
            .command(["ping", "-n", "-i", "0.2", RIGHT_V4])
            .spawn("/run/lab/ping")?;
        for (host, run, name) in [&ours, &theirs] {
            host.command(["bash", "-eu", "/run/lab/rekeys.sh", run, name, kind, "20"])
                .timeout(Duration::from_secs(300))
                .run()
                .with_context(|| format!("rekeying {name}"))?;
        }
        ping.signal(SIGINT)?;
        ping.wait(PATIENCE)?;
        let said = world.agent().get(&ping.stdout)?;
        let longest = longest_gap(&String::from_utf8_lossy(&said))?;
        let most = u32::from(kind == "child");
        ensure!(
            longest <= most,
            "{kind} rekeys: {longest} packets in a row were lost"
        );
    }
    is_one_connection(left)?;
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );
    common::is_encrypted(world)
}

/// Activated and deactivated a hundred times without waiting, so that old and new activations overlap, it is there once,
/// and after the last deactivation not at all. So it is after an active profile was deleted.
pub(crate) fn quick_succession(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    HOST.load(world)?;
    let left = world.left();
    let accepted = left
        .shell(HUNDRED)
        .env("PROFILE", HOST.uuid)
        .timeout(Duration::from_secs(400))
        .run()?;
    let accepted: u32 = accepted
        .trim()
        .parse()
        .with_context(|| format!("reading {accepted:?}"))?;
    ensure!(
        accepted >= 50,
        "NetworkManager took only {accepted} of a hundred activations"
    );
    common::await_state(left, HOST.id, "activated")?;
    is_one_connection(left)?;
    common::is_encrypted(world)?;
    left.command(["nmcli", "connection", "down", HOST.id]).run()?;
    nothing_is_left(left)?;

    left.command(["nmcli", "connection", "up", HOST.id]).run()?;
    left.ping(RIGHT_V4)?;
    left.command(["nmcli", "connection", "delete", HOST.id]).run()?;
    nothing_is_left(left)
}

/// Brought up as a secondary of another connection, it comes and goes with that one.
pub(crate) fn secondary(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    HOST.load(world)?;
    let left = world.left();
    let device = [
        "type",
        "dummy",
        "ifname",
        "dummy7",
        "con-name",
        "primary",
        "autoconnect",
        "no",
    ];
    let settings = [
        "ipv4.method",
        "manual",
        "ipv4.addresses",
        "203.0.113.7/24",
        "connection.secondaries",
        HOST.uuid,
    ];
    let add = [&["nmcli", "connection", "add"], &device[..], &settings[..]].concat();
    left.command(add).run()?;
    for _ in 0..2 {
        left.command(["nmcli", "connection", "up", "primary"]).run()?;
        common::await_state(left, HOST.id, "activated")?;
        common::is_encrypted(world)?;
        left.command(["nmcli", "connection", "down", "primary"]).run()?;
        nothing_is_left(left)?;
    }
    Ok(())
}

/// Two of our connections and a foreign one between the same ends with the same ids share an IKE SA. Whichever of ours
/// goes, and however, the others carry traffic again within one negotiation.
pub(crate) fn neighbours(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    expect_neighbours(right)?;
    connect(world)?;
    BESIDE.load(world)?;
    left.command(["nmcli", "connection", "up", BESIDE.id]).run()?;
    bring_theirs_up(left)?;
    let status = left.whack(["--status"]).run()?;
    let shared = status
        .lines()
        .filter(|line| line.contains("ESTABLISHED_IKE_SA"))
        .count();
    ensure!(shared == 1, "the connections have {shared} IKE SAs:\n{status}");
    let everybody = [RIGHT_V4, BEHIND_V4, BEHIND_OF_THEIRS];
    everybody
        .into_iter()
        .try_for_each(|address| carries(world, address))?;

    left.command(["nmcli", "connection", "down", HOST.id]).run()?;
    for address in [BEHIND_V4, BEHIND_OF_THEIRS] {
        carries(world, address).context("after the owner of the IKE SA was taken down")?;
    }
    left.command(["nmcli", "connection", "up", HOST.id]).run()?;
    left.command(["nmcli", "connection", "down", BESIDE.id]).run()?;
    for address in [RIGHT_V4, BEHIND_OF_THEIRS] {
        carries(world, address).context("after another one was taken down")?;
    }
    left.command(["nmcli", "connection", "up", BESIDE.id]).run()?;

    left.command(["systemctl", "kill", "--signal=KILL", "ipsec.service"])
        .run()?;
    for address in [RIGHT_V4, BEHIND_V4] {
        carries(world, address).context("after pluto was killed")?;
    }
    // pluto has forgotten theirs, and whoever brought it up does so again.
    bring_theirs_up(left)?;
    everybody
        .into_iter()
        .try_for_each(|address| carries(world, address))
}

fn expect_neighbours(right: Host<'_>) -> Result<()> {
    right
        .shell(&format!("ip address add {BEHIND_OF_THEIRS}/32 dev behind"))
        .run()?;
    for address in [BEHIND_V4, BEHIND_OF_THEIRS] {
        let subnet = format!("leftsubnet={address}/32");
        right.add_connection(
            &format!("peer-{address}"),
            &[&peer::PSK_PEER[..], &["ikev2=insist", &subnet]].concat(),
        )?;
    }
    Ok(())
}

/// Somebody else's connection, with a secret of its own.
fn bring_theirs_up(left: Host<'_>) -> Result<()> {
    left.set_psk(peer::PSK)?;
    let subnet = format!("rightsubnet={BEHIND_OF_THEIRS}/32");
    let options = [
        "left=192.0.2.251",
        "leftid=@left.example.org",
        "right=192.0.2.252",
        "rightid=@right.example.org",
        "authby=secret",
        "ikev2=insist",
        &subnet,
    ];
    left.add_connection("theirs", &options)?;
    left.initiate("theirs")
}

/// Waits until what goes to the address crosses the wire encrypted, and is answered.
fn carries(world: &World, address: &str) -> Result<()> {
    let mut last = None;
    let what = format!("packets to {address} are encrypted");
    let carried = wait_until(&what, PATIENCE, || {
        // An answer alone says little: without a policy the packets go in clear, and are answered.
        let tried = world
            .left()
            .ping(address)
            .and_then(|()| common::is_encrypted_to(world, address, (LEFT_V4, RIGHT_V4)));
        let Err(error) = tried else {
            return Ok(Some(()));
        };
        last = Some(error);
        // A record that was given up would go on in the file of the next one.
        world.agent().command(["pkill", "-x", "tcpdump"]).output()?;
        Ok(None)
    });
    match (carried, last) {
        (Err(late), Some(error)) => Err(error.context(late)),
        (carried, _) => carried,
    }
}

fn connect(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    HOST.load(world)?;
    world
        .left()
        .command(["nmcli", "connection", "up", HOST.id])
        .run()?;
    common::is_encrypted(world)
}

/// How many packets in a row were not answered at most, between the first answer and the last.
fn longest_gap(said: &str) -> Result<u32> {
    let number = |line: &str| {
        line.split_once(" icmp_seq=")?
            .1
            .split(' ')
            .next()?
            .parse::<u32>()
            .ok()
    };
    let answered: Vec<u32> = said.lines().filter_map(number).collect();
    ensure!(
        answered.len() > 50,
        "only {} packets were answered",
        answered.len()
    );
    let gaps = answered
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0] + 1));
    Ok(gaps.max().unwrap_or_default())
}

/// One pair of SAs, one process, one connection in pluto, and NetworkManager calls it activated.
fn is_one_connection(left: Host<'_>) -> Result<()> {
    wait_until("one plugin is left", PATIENCE, || {
        let running = left
            .command(["pgrep", "-f", "^/usr/libexec/nm-libreswan-service "])
            .output()?
            .stdout;
        Ok((running.lines().count() == 1).then_some(()))
    })?;
    let spis = left.spis()?;
    ensure!(spis.len() == 2, "there is not one pair of SAs: {spis:?}");
    let status = left.whack(["--status"]).run()?;
    let known = status
        .lines()
        .filter(|line| line.contains("oriented; ") || line.contains(" host: "))
        .count();
    let ours = format!("\"{}\":", HOST.pluto_name());
    ensure!(
        status.contains(&ours) && known == 1,
        "pluto knows {known} connections:\n{status}"
    );
    common::await_state(left, HOST.id, "activated")
}

/// Neither a process, nor SAs, nor a connection in pluto, nor a secret on the disk. What right has is not looked at: of a
/// negotiation that was given up half-way it hears nothing.
fn nothing_is_left(left: Host<'_>) -> Result<()> {
    wait_until("the plugin is gone", PATIENCE, || {
        let running = left
            .command(["pgrep", "-f", "^/usr/libexec/nm-libreswan-service "])
            .output()?
            .stdout;
        Ok(running.is_empty().then_some(()))
    })?;
    left.await_empty_kernel()?;
    let status = left.whack(["--status"]).run()?;
    ensure!(
        !status.contains(&HOST.pluto_name()),
        "pluto still knows the connection:\n{status}"
    );
    let secrets = left
        .command(["find", "/etc/ipsec.d", "-name", "*nmstate-ipsec-*"])
        .run()?;
    ensure!(secrets.is_empty(), "secrets are left on the disk: {secrets}");
    Ok(())
}
