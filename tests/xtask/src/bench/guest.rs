//! Ours against plain libreswan in a guest.
//!
//! Everything is emulated, so that only ratios within one run mean anything. Both ways take turns, so that
//! what else the machine does falls on both alike.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::{ADDCONN, BusMessage, WHACK, World};

use super::{
    crowd,
    times::{self, Row, Times},
    transactions::settle,
};

/// How long idle processes are looked at.
const IDLE_SECONDS: u32 = 20;

/// A restart of pluto under emulation, and the negotiation after it.
const RETURN_LIMIT: Duration = Duration::from_secs(120);

/// How long what was taken down may take to be gone on both hosts.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// The same connection for libreswan alone, from left's and from right's point of view. left uses our
/// updown helper, so that libreswan's shell script does not count against it.
const PLAIN: [&str; 8] = [
    "left=192.0.2.251",
    "leftid=@left.example.org",
    "right=192.0.2.252",
    "rightid=@right.example.org",
    "authby=secret",
    "ikev2=insist",
    "type=transport",
    "leftupdown=/usr/libexec/nm-libreswan-service-helper",
];

#[derive(Default)]
struct Results {
    /// With upstream's nmstatectl.
    apply: Times,
    activate: Times,
    remove: Times,
    /// From the call that NetworkManager makes to the adapter's `Config`.
    configured: Times,
    /// From the same call to NetworkManager's `ACTIVATED`.
    activated: Times,
    /// From pluto's listening to the child SA, after a restart.
    returned: Times,
    plain_add: Times,
    plain_delete: Times,
    of_processes: Vec<String>,
}

pub(super) fn run(image: Image, runs: usize) -> Result<()> {
    let world = World::with_release(image)?;
    let mut results = Results::default();
    let measured = measure(&world, runs, &mut results);
    measured.map_err(|error| world.explain("bench", error))?;
    report(&world, runs, &results)?;
    let crowd = crowd::measure(&world).map_err(|error| world.explain("bench", error))?;
    for line in crowd {
        println!("{line}");
    }
    Ok(())
}

fn measure(world: &World, runs: usize, results: &mut Results) -> Result<()> {
    for host in [world.left(), world.right()] {
        host.set_psk(peer::PSK)?;
    }
    world.right().add_connection("peer", &PLAIN)?;
    for run in 1..=runs {
        eprintln!("bench: run {run} of {runs}");
        ours(world, results).context("measuring ours")?;
        plain(world, results).context("measuring plain libreswan")?;
    }
    Ok(())
}

/// The time from the call that begins a connection to the next message of that kind.
fn since_the_call(messages: &[BusMessage], is_end: impl Fn(&BusMessage) -> bool) -> Result<Duration> {
    let mut calls = messages
        .iter()
        .skip_while(|message| message.name() != "ConnectInteractive");
    let call = calls.next().context("NetworkManager called no plugin")?;
    let end = calls
        .find(|message| is_end(message))
        .context("the call had no end")?;
    Ok(end.time().saturating_sub(call.time()))
}

/// Whether NetworkManager says that a VPN is activated.
fn is_activation(message: &BusMessage) -> bool {
    message.name() == "VpnStateChanged" && message.argument(0) == 5
}

fn ours(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    let (document, removal) = (Document::new(peer::PSK_DOCUMENT), peer::removal()?);
    results.apply.measure(|| left.apply(&document))?;
    if results.of_processes.is_empty() {
        results.of_processes = of_processes(world)?;
    }
    left.command(["nmcli", "connection", "down", peer::INTERFACE])
        .run()?;
    settle(world, SETTLE_LIMIT)?;
    let monitor = world.monitor_bus()?;
    results
        .activate
        .measure(|| left.command(["nmcli", "connection", "up", peer::INTERFACE]).run())?;
    let messages = monitor.stop()?;
    let configured = since_the_call(&messages, |message| message.name() == "Config")?;
    results.configured.add(configured);
    results.activated.add(since_the_call(&messages, is_activation)?);
    results.returned.add(return_of_pluto(world)?);
    results.remove.measure(|| left.apply(&removal))?;
    settle(world, SETTLE_LIMIT)
}

/// Restarts pluto and returns the time from its listening to the new child SA, by pluto's own log.
fn return_of_pluto(world: &World) -> Result<Duration> {
    let left = world.left();
    let before = left.spis()?;
    left.command(["systemctl", "restart", "ipsec.service"])
        .timeout(RETURN_LIMIT)
        .run()?;
    let log = [
        "journalctl",
        "-b",
        "-u",
        "ipsec.service",
        "-o",
        "short-unix",
        "--no-pager",
        "-n",
        "300",
    ];
    wait_until("the connection is back", RETURN_LIMIT, || {
        let now = left.spis()?;
        Ok((!now.is_empty() && now != before).then_some(()))
    })?;
    wait_until("pluto has logged it", RETURN_LIMIT, || {
        Ok(between(&left.command(log).run()?))
    })
}

/// The time from pluto's last words about listening to its first about a child SA.
fn between(log: &str) -> Option<Duration> {
    let lines: Vec<&str> = log.lines().collect();
    let listens = lines
        .iter()
        .rposition(|line| line.contains("listening for IKE messages"))?;
    let listening = lines.get(listens..)?;
    let established = listening
        .iter()
        .find(|line| line.contains("established Child SA"))?;
    let time = |line: &str| line.split(' ').next()?.parse::<f64>().ok();
    Duration::try_from_secs_f64(time(established)? - time(lines.get(listens)?)?).ok()
}

/// The guest's own clock is read on both sides of the work, so that neither way pays for the way into the guest.
fn plain(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    let script = format!(
        "began=$(date +%s%N)
        {ADDCONN} --config - plain >/dev/null
        {WHACK} --name plain --initiate >/tmp/plain.txt
        ended=$(date +%s%N)
        grep -q 'established Child SA' /tmp/plain.txt
        echo $((ended - began))"
    );
    let config = format!("conn plain\n    {}\n", PLAIN.join("\n    "));
    let nanoseconds = left.shell(&script).stdin(config).run()?;
    let nanoseconds = nanoseconds.trim().parse().context("reading the guest's clock")?;
    results.plain_add.add(Duration::from_nanos(nanoseconds));
    results
        .plain_delete
        .measure(|| left.whack(["--delete", "--name", "plain"]).run())?;
    settle(world, SETTLE_LIMIT)
}

/// Memory of our processes, and how often they wake, while one connection is up and nothing happens.
fn of_processes(world: &World) -> Result<Vec<String>> {
    let script = format!(
        "wakeups() {{ awk '/^voluntary/ {{print $2}}' /proc/$1/status; }}
        for name in nmstate-ipsecd nm-libreswan-service; do
            pid=$(pgrep -o -x \"${{name:0:15}}\")
            before=$(wakeups $pid)
            sleep {IDLE_SECONDS}
            woken=$(($(wakeups $pid) - before))
            awk -v name=\"$name\" -v woken=$woken '/^Rss/ {{rss=$2}} /^Pss:/ {{pss=$2}}
                END {{printf \"one connection up and idle: %s: %d kB RSS, %d kB PSS, woken %d times in {IDLE_SECONDS} s\\n\", name, rss, pss, woken}}' /proc/$pid/smaps_rollup
        done"
    );
    let told = world.left().shell(&script).run()?;
    let lines: Vec<String> = told.lines().map(str::to_owned).collect();
    ensure!(lines.len() == 2, "not all of our processes run: {told}");
    Ok(lines)
}

fn report(world: &World, runs: usize, results: &Results) -> Result<()> {
    println!("cargo xtask bench --image {} --runs {runs}", world.image());
    times::print_head(world, runs)?;
    let (add, delete) = (&results.plain_add, &results.plain_delete);
    for (work, ours, plain) in [
        ("apply one connection (nmstatectl apply)", &results.apply, add),
        ("activate it (nmcli connection up)", &results.activate, add),
        (
            "- of this from ConnectInteractive to Config",
            &results.configured,
            add,
        ),
        ("- from ConnectInteractive to ACTIVATED", &results.activated, add),
        (
            "back after pluto's restart, once it listens",
            &results.returned,
            add,
        ),
        (
            "remove it (nmstatectl apply, state absent)",
            &results.remove,
            delete,
        ),
    ] {
        Row { work, ours, plain }.print(None);
    }
    println!("\nplain: addconn --config -, whack --initiate, whack --delete, with our updown helper");
    for line in &results.of_processes {
        println!("{line}");
    }
    Ok(())
}
