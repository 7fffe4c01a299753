//! `nmstate-ipsec apply` in a guest: against libreswan alone, and against itself with more connections.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::{Output, wait_until};
use lab::crowd;
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::{ADDCONN, Host, WHACK, World};

use super::{
    networkmanager, renewal,
    times::{self, Row, Times},
};

/// How many connections come beside the first one.
const FURTHER: usize = 10;

/// How many connections are applied at once, to see what one costs among many.
const CROWDS: [usize; 4] = [1, 10, 50, 200];

/// How often each crowd is applied.
const CROWD_RUNS: usize = 3;

/// The most that two hundred connections may take under emulation.
const PATIENCE: Duration = Duration::from_secs(1800);

#[derive(Default)]
struct Results {
    plain_one: Times,
    plain_further: Times,
    plain_delete: Times,
    /// What NetworkManager takes for as many connections that do nothing.
    idle_one: Times,
    idle_further: Times,
    idle_delete: Times,
    one: Times,
    again: Times,
    mixed_again: Times,
    upstream_show: Times,
    refused: Times,
    returned: Times,
    further: Times,
    removed: Times,
}

pub(super) fn run(image: Image, runs: usize) -> Result<()> {
    let world = World::with_release(image)?;
    let mut results = Results::default();
    measure(&world, runs, &mut results).map_err(|error| world.explain("bench", error))?;
    report(&world, runs, &results)?;
    renewal::run(&world, runs).map_err(|error| world.explain("bench", error))?;
    crowds(&world).map_err(|error| world.explain("bench", error))
}

fn measure(world: &World, runs: usize, results: &mut Results) -> Result<()> {
    world.left().set_psk(peer::PSK)?;
    crowd::expect(world.right(), FURTHER + 1)?;
    // As long as nothing of ours has been asked for anything.
    networkmanager::with_idle_plugin(world, |takes| {
        for _ in 0..runs {
            results.idle_one.add(takes("up 1 1")?);
            results.idle_further.add(takes(&format!("up 2 {}", FURTHER + 1))?);
            results
                .idle_delete
                .add(takes(&format!("remove {}", FURTHER + 1))?);
        }
        Ok(())
    })
    .context("measuring NetworkManager with a plugin that does nothing")?;
    for run in 1..=runs {
        eprintln!("bench: run {run} of {runs}");
        plain(world, results).context("measuring plain libreswan")?;
        ours(world, results).context("measuring nmstate-ipsec apply")?;
    }
    Ok(())
}

/// Times `work` by the guest's own clock, so that it does not pay for the way into the guest.
pub(super) fn timed(host: Host<'_>, work: &str, stdin: String) -> Result<Duration> {
    let script = format!("set -e; began=$(date +%s%N); {work}; ended=$(date +%s%N); echo $((ended - began))");
    let said = host.shell(&script).stdin(stdin).timeout(PATIENCE).run()?;
    let nanoseconds = said.trim().parse().with_context(|| format!("reading {said:?}"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// One connection, then all further ones at once, then all of them deleted at once.
fn plain(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    let established = "grep -q 'established Child SA' /tmp/plain";
    let one = format!(
        "{ADDCONN} --config - plain1 >/dev/null; {WHACK} --name plain1 --initiate >/tmp/plain1; {established}1"
    );
    results.plain_one.add(timed(left, &one, crowd::plain_config(1)?)?);
    let further = format!(
        "{ADDCONN} --config - $(seq -f plain%g 2 {0}) >/dev/null
        for n in $(seq 2 {0}); do {WHACK} --name plain$n --initiate >/tmp/plain$n & done; wait
        for n in $(seq 2 {0}); do {established}$n; done",
        FURTHER + 1
    );
    let time = timed(left, &further, crowd::plain_config(FURTHER + 1)?)?;
    results.plain_further.add(time);
    let delete = format!(
        "for n in $(seq {}); do {WHACK} --name plain$n --delete >/dev/null & done; wait",
        FURTHER + 1
    );
    results.plain_delete.add(timed(left, &delete, String::new())?);
    settle(world, PATIENCE)
}

/// Applies a document and returns how long that took in the guest.
fn apply(world: &World, document: &str) -> Result<Duration> {
    let path = "/root/document.yaml";
    world.agent().put(path, 0o600, document.as_bytes())?;
    timed(
        world.left(),
        &format!("nmstate-ipsec apply --quiet {path}"),
        String::new(),
    )
}

fn ours(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    let one = crowd::document(1, "")?;
    results.one.add(apply(world, &one)?);
    let before = left.spis()?;
    results.again.add(apply(world, &one)?);
    let mixed = format!(
        "{one}- name: dummy7\n  type: dummy\n  state: up\n  ipv4:\n    enabled: true\n    address:\n    - ip: 203.0.113.7\n      \
         prefix-length: 24\n"
    );
    apply(world, &mixed)?;
    results.mixed_again.add(apply(world, &mixed)?);
    let show = timed(left, "nmstatectl show >/dev/null", String::new())?;
    results.upstream_show.add(show);
    ensure!(
        before == left.spis()?,
        "the same document again has made other SAs"
    );
    apply(
        world,
        "interfaces:\n- name: dummy7\n  type: dummy\n  state: absent\n",
    )?;

    refuse(world, &one, results)?;
    let all = crowd::document(FURTHER + 1, "")?;
    results.further.add(apply(world, &all)?);
    let spis = left.spis()?.len();
    ensure!(
        spis == 2 * (FURTHER + 1),
        "there are {spis} SAs after all were applied"
    );
    results.removed.add(apply(world, &crowd::removal(FURTHER + 1)?)?);
    settle(world, PATIENCE)
}

/// A change that the peer refuses: how long it takes in all, and from the verdict until the old tunnel is up again.
fn refuse(world: &World, document: &str, results: &mut Results) -> Result<()> {
    let left = world.left();
    let wrong = Document::new(&document.replace(peer::PSK, "another key of the laboratory"));
    let cursor = left.journal_cursor()?;
    let mut refused: Option<Output> = None;
    results.refused.measure(|| {
        refused = Some(left.apply_ours(&wrong, &["--quiet"])?);
        Ok(())
    })?;
    ensure!(
        refused.is_some_and(|refused| refused.status == 1),
        "a wrong key was not refused"
    );
    // Nothing looks for it meanwhile, which would take its processors away.
    let log = "journalctl --follow --after-cursor \"$CURSOR\" -u nmstate-ipsecd -o short-unix --no-pager | sed \"/' is up$/q\"";
    let log = left.shell(log).env("CURSOR", &cursor).timeout(PATIENCE).run()?;
    results
        .returned
        .add(return_in(&log).context("the log has no return")?);
    Ok(())
}

/// The time from the last failure to the connection that is up after it.
fn return_in(log: &str) -> Option<Duration> {
    let lines: Vec<&str> = log.lines().collect();
    let failed = lines.iter().rposition(|line| line.contains("' failed: "))?;
    let up = lines
        .get(failed..)?
        .iter()
        .find(|line| line.ends_with("' is up"))?;
    let time = |line: &str| line.split(' ').next()?.parse::<f64>().ok();
    Duration::try_from_secs_f64(time(up)? - time(lines.get(failed)?)?).ok()
}

/// Waits until left's kernel is empty and right has no SA, so that no work pays for the one before.
/// libreswan 4 keeps a trap policy on right for as long as it has the connection.
pub(super) fn settle(world: &World, patience: Duration) -> Result<()> {
    world.left().await_empty_kernel()?;
    let right = world.right();
    wait_until("right has no SA", patience, || {
        Ok(right.spis()?.is_empty().then_some(()))
    })
}

fn report(world: &World, runs: usize, results: &Results) -> Result<()> {
    println!(
        "cargo xtask bench --transactions --image {} --runs {runs}",
        world.image()
    );
    times::print_head(world, runs)?;
    for (work, ours, plain, most) in [
        ("one connection", &results.one, &results.plain_one, 1.5),
        (
            "the same document again",
            &results.again,
            &results.plain_one,
            0.25,
        ),
        (
            "the same, with a dummy interface (1)",
            &results.mixed_again,
            &results.upstream_show,
            1.3,
        ),
        ("ten more", &results.further, &results.plain_further, 1.25),
        (
            "after a refused change: the old tunnel (2)",
            &results.returned,
            &results.plain_one,
            1.5,
        ),
        ("remove eleven", &results.removed, &results.plain_delete, 1.3),
    ] {
        Row { work, ours, plain }.print(Some(most));
    }
    println!(
        "\n(1) against nmstatectl show  (2) from the verdict; the whole command {:.2} s",
        results.refused.median()
    );
    println!(
        "\nplain: libreswan, and then NetworkManager for as many connections of a plugin that does nothing\n"
    );
    times::print_columns();
    for (work, ours, plain, idle) in [
        (
            "one connection",
            &results.one,
            &results.plain_one,
            &results.idle_one,
        ),
        (
            "ten more",
            &results.further,
            &results.plain_further,
            &results.idle_further,
        ),
        (
            "remove eleven",
            &results.removed,
            &results.plain_delete,
            &results.idle_delete,
        ),
    ] {
        let plain = &plain.plus(idle);
        Row { work, ours, plain }.print(None);
    }
    Ok(())
}

/// What one of very many connections costs.
fn crowds(world: &World) -> Result<()> {
    let most = CROWDS.into_iter().max().unwrap_or_default();
    crowd::expect(world.right(), most)?;
    println!("\nconnections  seconds, all  (range)        seconds, each");
    for count in CROWDS {
        let mut times = Times::default();
        for _ in 0..CROWD_RUNS {
            times.add(apply(world, &crowd::document(count, "")?)?);
            let spis = world.left().spis()?.len();
            ensure!(spis == 2 * count, "there are {spis} SAs of {count} connections");
            apply(world, &crowd::removal(count)?)?;
            // Of two hundred that are deleted at once right does not hear of all.
            let forget = format!(
                "for n in $(seq {count}); do {WHACK} --ctlsocket {} --name peer$n --terminate; done >/dev/null 2>&1 || :",
                world.right().control_socket()
            );
            world.left().shell(&forget).timeout(PATIENCE).run()?;
            settle(world, PATIENCE)?;
        }
        let (least, longest) = times.range();
        println!(
            "{count:>11}  {:>12.2}  ({least:.2}-{longest:.2})  {:>13.2}",
            times.median(),
            times.median() / count as f64
        );
    }
    Ok(())
}
