//! `cargo xtask bench`: ours against plain libreswan, which is the limit of what is possible.
//!
//! Everything is emulated, so that only ratios within one run mean anything. Both ways take turns, so that
//! what else the machine does falls on both alike.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::agent::wait_until;
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::World;

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

/// What one kind of work took, in every run.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = work()?;
        self.0.push(began.elapsed());
        Ok(done)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted
            .get(sorted.len() / 2)
            .map_or(f64::NAN, Duration::as_secs_f64)
    }
}

#[derive(Default)]
struct Results {
    apply: Times,
    activate: Times,
    remove: Times,
    plain_add: Times,
    plain_delete: Times,
    memory: Vec<String>,
}

pub(crate) fn run(image: Image, runs: usize) -> Result<ExitCode> {
    let world = World::with_product(image)?;
    let mut results = Results::default();
    let measured = measure(&world, runs, &mut results);
    measured.map_err(|error| world.explain("bench", error))?;
    report(&world, runs, &results)?;
    Ok(ExitCode::SUCCESS)
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

fn ours(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    let (document, removal) = (Document::new(peer::PSK_DOCUMENT), peer::removal()?);
    results.apply.measure(|| left.apply(&document))?;
    if results.memory.is_empty() {
        results.memory = memory(world)?;
    }
    left.command(["nmcli", "connection", "down", peer::INTERFACE])
        .run()?;
    settle(world)?;
    results
        .activate
        .measure(|| left.command(["nmcli", "connection", "up", peer::INTERFACE]).run())?;
    results.remove.measure(|| left.apply(&removal))?;
    settle(world)
}

fn plain(world: &World, results: &mut Results) -> Result<()> {
    let left = world.left();
    results.plain_add.measure(|| {
        left.load_connection("plain", &PLAIN)?;
        left.initiate("plain")
    })?;
    results
        .plain_delete
        .measure(|| left.whack(["--delete", "--name", "plain"]).run())?;
    settle(world)
}

/// Waits until left's kernel is empty and right has no SA, so that no work pays for the one before.
/// libreswan 4 keeps a trap policy on right for as long as it has the connection.
fn settle(world: &World) -> Result<()> {
    world.left().await_empty_kernel()?;
    let right = world.right();
    wait_until("right has no SA", Duration::from_secs(20), || {
        Ok(right.spis()?.is_empty().then_some(()))
    })
}

/// Resident and proportional memory of our processes, while one connection is up.
fn memory(world: &World) -> Result<Vec<String>> {
    let script = "for name in nmstate-ipsecd nm-libreswan-service; do
        for pid in $(pgrep -x \"${name:0:15}\"); do
            awk -v name=\"$name\" '/^Rss/ {rss=$2} /^Pss:/ {pss=$2}
                END {printf \"%s: %.1f MB RSS, %.1f MB PSS\\n\", name, rss/1024, pss/1024}' /proc/$pid/smaps_rollup
        done
    done";
    Ok(world
        .left()
        .shell(script)
        .run()?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn report(world: &World, runs: usize, results: &Results) -> Result<()> {
    let versions = "NetworkManager --version | sed 's/^/NetworkManager /'; ipsec --version; nmstatectl --version; uname -sr";
    let versions = world.left().shell(versions).run()?;
    println!("cargo xtask bench --image {} --runs {runs}", world.image());
    println!("image {}: {}", world.image(), versions.trim().replace('\n', ", "));
    println!("median of {runs} runs, ours and plain libreswan in turns, seconds under emulation\n");
    println!("{:<46} {:>7} {:>7} {:>7}", "work", "ours", "plain", "ratio");
    let rows = [
        (
            "apply one connection (nmstatectl apply)",
            &results.apply,
            &results.plain_add,
        ),
        (
            "activate it (nmcli connection up)",
            &results.activate,
            &results.plain_add,
        ),
        (
            "remove it (nmstatectl apply, state absent)",
            &results.remove,
            &results.plain_delete,
        ),
    ];
    for (work, ours, plain) in rows {
        let (ours, plain) = (ours.median(), plain.median());
        println!("{work:<46} {ours:>7.2} {plain:>7.2} {:>7.1}", ours / plain);
    }
    println!("\nplain: addconn --config -, whack --initiate, whack --delete, with our updown helper");
    for line in &results.memory {
        println!("memory with one connection up: {line}");
    }
    Ok(())
}
