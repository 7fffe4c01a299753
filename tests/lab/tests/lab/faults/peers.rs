//! What happens to the peer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::install::Product;
use lab::peer::{self, INTERFACE};
use lab::world::{LEFT_V4, Pair, RIGHT_V4, World};

use super::{
    LONG_PATIENCE, PATIENCE, connect, guard, is_back, is_back_within,
    watch::{Seen, Watch, longest_pause, ping},
};
use crate::{common, places};

/// How long a peer is silent, or refuses, in the long stories.
const LONG: Duration = Duration::from_secs(600);
const REFUSES: Duration = Duration::from_secs(300);

/// How often both call at once: not every time do the calls cross.
const CROSSINGS: usize = 3;

/// The peer is restarted and forgets everything; before, it sends in clear, and is not heard.
pub(crate) fn peers(world: &World) -> Result<()> {
    connect(world)?;
    let right = world.right();
    let clear = "ip xfrm policy flush; ping -n -c 3 -i 0.2 -W 1";
    let pinged = right.shell(&format!("{clear} {LEFT_V4}")).output()?;
    ensure!(
        !pinged.success() && pinged.stdout.contains(" 0 received"),
        "what came in clear was answered: {}{}",
        pinged.stdout,
        pinged.stderr
    );
    restart_right(world)?;
    peer::expect_psk(right)?;
    is_back(world.left()).context("the peer is heard again")?;
    let seen = restart(world, "peer restarted")?;
    eprintln!("{}: peer restarted: {seen}", world.image());
    guard(world.left())?;
    let seen = restart(world, "peer restarted, guarded")?;
    eprintln!("{}: peer restarted, guarded: {seen}", world.image());
    seen.ensure_closed("peer restarted")?;
    common::removes(world)
}

/// Restarts the peer's pluto, and waits for the tunnel.
fn restart(world: &World, what: &str) -> Result<Seen> {
    let watch = Watch::begin_at(world, "left0")?;
    restart_right(world)?;
    peer::expect_psk(world.right())?;
    is_back(world.left()).context(what.to_owned())?;
    let seen = watch.end()?;
    common::is_encrypted(world).context(what.to_owned())?;
    Ok(seen)
}

fn restart_right(world: &World) -> Result<()> {
    let restart = "systemctl restart right-ipsec.service";
    // Units are of the guest, whatever namespace they are for.
    world.agent().shell(restart).run()?;
    wait_until("right listens", PATIENCE, || {
        let status = world.right().whack(["--status"]).output()?.stdout;
        Ok(status.contains("192.0.2.252").then_some(()))
    })
}

/// An authority that nobody knows.
const STRANGER: &str = "
cd /etc/lab-pki
openssl req -x509 -newkey rsa:2048 -nodes -keyout stranger.key -subj /O=Example/CN=Stranger -days 30 -out stranger.pem \
    -addext basicConstraints=critical,CA:TRUE 2>stranger.dots
";

/// The peer reboots; it comes back with another certificate; and with one that this host cannot trust, which is said, until it has
/// a right one again.
pub(crate) fn peer_returns(pair: &Pair) -> Result<()> {
    let (left, right) = (pair.left(), pair.right());
    peer::keep_expecting_certificate(right, &["type=transport"])?;
    let applied = left.apply_ours(&peer::policy("transport", RIGHT_V4)?, &[])?;
    ensure!(applied.success(), "applying: {}", applied.stderr);

    guard(left)?;
    let (capture, pings) = (pair.capture()?, ping(left, RIGHT_V4)?);
    let mut before = left.spis()?;
    let mut is_another = |what: &str, patience: Duration| -> Result<()> {
        is_back_within(left, patience).with_context(|| what.to_owned())?;
        let now = left.spis()?;
        ensure!(before != now, "{what}: the SAs are those of before");
        before = now;
        left.ping(RIGHT_V4)
    };
    pair.right_vm().power_cycle(LONG)?;
    // Its boot takes what it takes.
    wait_until("the peer's pluto is there", LONG, || {
        let is_active = ["systemctl", "is-active", "--quiet", "ipsec.service"];
        Ok(right.command(is_active).output()?.success().then_some(()))
    })?;
    is_another("the peer has rebooted", LONG_PATIENCE)?;

    peer::exchange_certificate(right, "ca")?;
    is_another("the peer has another certificate", PATIENCE)?;

    right.shell(STRANGER).timeout(PATIENCE).run()?;
    peer::exchange_certificate(right, "stranger")?;
    let mut said = String::new();
    wait_until(
        "it is said that the peer's certificate is not trusted",
        PATIENCE,
        || {
            said = left
                .command(["nmstate-ipsec", "status", INTERFACE])
                .output()?
                .stdout;
            Ok(said.contains("(certificate-untrusted)").then_some(()))
        },
    )
    .with_context(|| format!("it is said:\n{said}"))?;
    ensure!(left.spis()?.is_empty(), "there are SAs with a stranger");
    peer::exchange_certificate(right, "ca")?;
    is_another("the peer has a right certificate again", LONG_PATIENCE)?;
    pings.signal(9)?;
    let captured = capture.stop()?;
    eprintln!(
        "peer rebooted, and back with other certificates, guarded: outage {:.1} s, the boot included",
        longest_pause(&captured, RIGHT_V4, LEFT_V4)?.as_secs_f64()
    );
    let open = captured.clear_text_from(LEFT_V4, RIGHT_V4)?;
    ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
    Ok(())
}

/// The peer is silent for ten minutes, and comes back with nothing of what it had. The guard holds meanwhile.
pub(crate) fn silence(world: &World) -> Result<()> {
    connect(world)?;
    guard(world.left())?;
    let watch = Watch::begin_at(world, "left0")?;
    let wire = |state: &str| {
        let set = ["ip", "-n", "wire", "link", "set", "right0", state];
        world.agent().command(set).run().map(drop)
    };
    let before = world.left().spis()?;
    wire("down")?;
    world
        .agent()
        .shell("systemctl stop right-ipsec.service; ip netns exec right ip xfrm state flush; ip netns exec right ip xfrm policy flush")
        .run()?;
    places::idle(LONG);
    wire("up")?;
    restart_right(world)?;
    peer::expect_psk(world.right())?;
    is_back(world.left()).context("after ten minutes of silence")?;
    let seen = watch.end()?;
    eprintln!("{}: peer silent for ten minutes, guarded: {seen}", world.image());
    seen.ensure_closed("a silent peer")?;
    ensure!(
        before != world.left().spis()?,
        "the SAs are those that the peer has forgotten"
    );
    common::is_encrypted(world)?;
    common::removes(world)
}

/// The peer refuses for five minutes, and then accepts. Meanwhile it is not hammered, and the guard holds.
pub(crate) fn refusal(world: &World) -> Result<()> {
    connect(world)?;
    let (left, right) = (world.left(), world.right());
    guard(left)?;
    let watch = Watch::begin(world)?;
    right.set_psk("another key")?;
    left.command(["systemctl", "restart", "ipsec.service"]).run()?;
    wait_until("it is refused", PATIENCE, || {
        let status = left
            .command(["nmstate-ipsec", "status", INTERFACE])
            .output()?
            .stdout;
        Ok(status.contains("authentication").then_some(()))
    })?;
    places::idle(REFUSES);
    let tries = left
        .shell("journalctl -b -u nmstate-ipsecd -o json --no-pager | grep -c '\"IPSEC_REASON\":\"' || :")
        .run()?;
    let tries: u32 = tries.trim().parse().context("counting tries")?;
    eprintln!("{}: peer refused for five minutes: {tries} tries", world.image());
    // Twice as long from a second on makes nine in five minutes; the loss itself and pluto's restart have reasons too.
    ensure!((2..=16).contains(&tries), "{tries} tries in five minutes");
    peer::expect_psk(right)?;
    places::beside(|| {
        wait_until("the connection is back", REFUSES + PATIENCE, || {
            Ok((left.spis()?.len() >= 2).then_some(()))
        })
    })?;
    is_back(left)?;
    let seen = watch.end()?;
    eprintln!(
        "{}: peer refuses for five minutes, guarded: {seen}",
        world.image()
    );
    seen.ensure_closed("a peer that refuses")?;
    common::is_encrypted(world)?;
    common::removes(world)
}

/// Two hosts of ours, rolled out one after the other: the first is refused by a pluto that knows nothing yet. It answers the
/// other's first call, between its own tries, and NetworkManager hears of it on both. Then both lose what they had, and call at
/// once, which leaves one pair of SAs.
pub(crate) fn two_of_ours(pair: &Pair) -> Result<()> {
    let (left, right) = (pair.left(), pair.right());
    let [_, (_, guest)] = pair.guests();
    Product::of_this_run()?.install(guest.agent())?;
    for host in [left, right] {
        host.set_psk(peer::PSK)?;
    }
    right.command(["systemctl", "stop", "ipsec.service"]).run()?;
    let applied = left.apply_ours(&Document::new(peer::PSK_DOCUMENT), &["--wait", "5"])?;
    ensure!(
        applied.success() && applied.stderr.contains("it is tried further"),
        "the first of two hosts: {}{}",
        applied.stdout,
        applied.stderr
    );
    right.command(["systemctl", "start", "ipsec.service"]).run()?;
    let mut status = String::new();
    let refused = wait_until("left has been refused twice", PATIENCE, || {
        status = left.command(["nmstate-ipsec", "status"]).output()?.stdout;
        let failed = status
            .lines()
            .find_map(|line| line.trim().strip_prefix("tries that have failed since: "));
        let failed: u32 = failed.and_then(|failed| failed.parse().ok()).unwrap_or(0);
        Ok((failed >= 2 && status.contains("proposal-refused")).then_some(()))
    });
    refused.with_context(|| status.clone())?;
    let mirrored = peer::PSK_DOCUMENT
        .replace("192.0.2.251", "<this>")
        .replace("192.0.2.252", "192.0.2.251")
        .replace("<this>", "192.0.2.252")
        .replace("left.example.org", "<this>")
        .replace("right.example.org", "left.example.org")
        .replace("<this>", "right.example.org");
    let applied = right.apply_ours(&Document::new(&mirrored), &["--require-established"])?;
    ensure!(
        applied.success(),
        "the second of two hosts: {}{}",
        applied.stdout,
        applied.stderr
    );
    is_back(left)?;
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );
    is_encrypted(pair)?;
    for _ in 0..CROSSINGS {
        both_at_once(pair).context("both ends call at once")?;
    }
    Ok(())
}

/// Both plutos are restarted at the same moment.
fn both_at_once(pair: &Pair) -> Result<()> {
    let (left, right) = (pair.left(), pair.right());
    let before = left.spis()?;
    for host in [left, right] {
        host.command(["systemctl", "restart", "--no-block", "ipsec.service"])
            .run()?;
    }
    let mut said = String::new();
    let one_pair = wait_until("one pair of SAs is left", PATIENCE, || {
        let (ours, theirs) = (left.spis()?, right.spis()?);
        said = format!("left has {ours:?}, right has {theirs:?}");
        // Where calls have crossed, a second pair is there for seconds.
        Ok((ours.len() == 2 && ours == theirs && ours != before).then_some(()))
    });
    one_pair.with_context(|| said)?;
    is_back(left)?;
    is_encrypted(pair)
}

fn is_encrypted(pair: &Pair) -> Result<()> {
    let capture = pair.capture()?;
    pair.left().ping(RIGHT_V4)?;
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))
}
