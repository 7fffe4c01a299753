//! A certificate is renewed under traffic, against the negotiation of the same connection by libreswan alone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE};
use lab::world::{ADDCONN, RIGHT_V4, WHACK, World};

use super::times::{Row, Times};
use super::transactions::{settle, timed};

/// Milliseconds from one ping to the next.
const INTERVAL: u32 = 20;

const PATIENCE: Duration = Duration::from_secs(120);

/// left's side of the connection that the document declares.
const PLAIN: &str = "\
conn plain
 left=192.0.2.251
 leftid=%fromcert
 leftcert=left_server
 leftrsasigkey=%cert
 right=192.0.2.252
 rightid=%fromcert
 rightrsasigkey=%cert
 ikev2=insist
 type=transport
 leftupdown=/usr/libexec/nm-libreswan-service-helper
";

pub(super) fn run(world: &World, runs: usize) -> Result<()> {
    let left = world.left();
    peer::expect_certificate(world.right(), &["type=transport"])?;
    let (mut outage, mut plain) = (Times::default(), Times::default());
    let document = peer::policy("transport", RIGHT_V4)?;
    let applied = left.apply_ours(&document, &["--quiet"])?;
    ensure!(
        applied.status == 0,
        "the document was not applied: {}",
        applied.stderr
    );
    for run in 1..=runs {
        peer::issue(left, &format!("renewed{run}"), peer::LEFT_SUBJECT, 365)?;
    }
    for run in 1..=runs {
        outage.add(renew(world, run).context("renewing")?);
    }
    let gone = left.apply_ours(&peer::removal()?, &["--quiet"])?;
    ensure!(gone.status == 0, "{INTERFACE} was not removed: {}", gone.stderr);
    settle(world, PATIENCE)?;
    for _ in 0..runs {
        let negotiate = format!(
            "{ADDCONN} --config - plain >/dev/null; {WHACK} --name plain --initiate >/tmp/plain; grep -q 'established Child SA' /tmp/plain"
        );
        plain.add(timed(left, &negotiate, PLAIN.to_owned())?);
        left.whack(["--delete", "--name", "plain"]).run()?;
        settle(world, PATIENCE)?;
    }
    let row = Row {
        work: "outage of a renewed certificate (3)",
        ours: &outage,
        plain: &plain,
    };
    row.print(Some(1.2));
    println!("(3) pings of one each {INTERVAL} ms that were lost, against one negotiation with certificates");
    Ok(())
}

/// How long no ping is answered while a new certificate comes.
fn renew(world: &World, run: usize) -> Result<Duration> {
    let left = world.left();
    let before = left.spis()?;
    let interval = format!("0.{INTERVAL:03}");
    let ping = left
        .command(["ping", "-n", "-q", "-i", &interval, RIGHT_V4])
        .spawn("/run/lab/bench-ping")?;
    let bundle = format!("/etc/lab-pki/renewed{run}.p12");
    left.command([
        "nmstate-ipsec",
        "cert",
        "import",
        "--nickname",
        "left_server",
        &bundle,
    ])
    .run()?;
    wait_until("the connection has other SAs", PATIENCE, || {
        let now = left.spis()?;
        Ok((now.len() >= 2 && now.iter().all(|spi| !before.contains(spi))).then_some(()))
    })?;
    left.ping(RIGHT_V4)?;
    ping.signal(2)?;
    ping.wait(PATIENCE)?;
    let said = left.command(["cat", &ping.stdout]).run()?;
    let lost = lost(&said).with_context(|| format!("reading {said:?}"))?;
    Ok(Duration::from_millis(u64::from(lost * INTERVAL)))
}

/// How many packets a ping has lost, by its last words.
fn lost(said: &str) -> Option<u32> {
    let line = said.lines().find(|line| line.contains("packets transmitted"))?;
    let mut numbers = line
        .split(", ")
        .filter_map(|part| part.split(' ').next()?.parse::<u32>().ok());
    let (sent, received) = (numbers.next()?, numbers.next()?);
    sent.checked_sub(received)
}
