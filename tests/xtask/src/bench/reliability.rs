//! Fifty connections: back after a restart of pluto, against libreswan alone; and what they cost while nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::wait_until;
use lab::crowd;
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::{Host, World};

use super::{
    boots, plain,
    times::{self, Row, Times},
};

const COUNT: usize = 50;

/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(600);

/// After this much time nothing is left to do for a connection that came up: the daemon looks for surplus SAs once more after
/// half a minute, and its threads for that end ten seconds later, with what is counted of them.
const SETTLED: Duration = Duration::from_secs(60);

/// The most that fifty connections may take under emulation.
const PATIENCE: Duration = Duration::from_secs(900);

/// Restarts pluto's unit and waits until every connection has its pair of SAs, by the guest's own clock. Looking costs the
/// processors that are measured: it is done seldom, and SAs are counted by the kernel.
const RESTART: &str = "
began=$(date +%s%N)
systemctl restart ipsec.service
until [ \"$(ip xfrm state count | grep -o '[0-9]*$')\" -ge $SAS ]; do sleep 0.2; done
ended=$(date +%s%N)
echo $((ended - began))
";

/// Processor time in ticks, and how often they were woken, of each program of ours and of pluto.
const COST: &str = r#"
for name in nmstate-ipsecd nm-libreswan-service pluto NetworkManager dbus-daemon; do
    ticks=0 wakes=0
    for pid in $(pgrep -x "${name:0:15}"); do
        set -- $(sed 's/.*) //' /proc/$pid/stat)
        ticks=$((ticks + ${12} + ${13}))
        for task in /proc/$pid/task/*; do
            wakes=$((wakes + $(awk '/^voluntary/ {print $2}' $task/status)))
        done
    done
    echo "$name $ticks $wakes"
done
"#;

pub(super) fn run(image: Image, runs: usize) -> Result<()> {
    let world = World::with_release(image)?;
    let explain = |error| world.explain("bench", error);
    restarts(&world, runs).map_err(explain)?;
    boots::run(image, runs)?;
    // Comes last: it needs no quiet machine.
    idle(&world).map_err(explain)
}

fn restarts(world: &World, runs: usize) -> Result<()> {
    let left = world.left();
    left.set_psk(peer::PSK)?;
    crowd::expect(world.right(), COUNT)?;
    let (mut ours, mut of_plain) = (Times::default(), Times::default());
    for _ in 0..runs {
        let config = crowd::plain_config(COUNT)?.replace("\n left=", "\n auto=start\n left=");
        // The first brings them up: a pluto with nothing to take down ends sooner.
        of_plain.add(plain::while_kept(left, &config, || {
            restart(left)?;
            restart(left)
        })?);
        let document = Document::new(&crowd::document(COUNT, "")?);
        left.apply_ours(&document, &["--quiet"])?;
        ours.add(restart(left)?);
        left.apply_ours(&Document::new(&crowd::removal(COUNT)?), &["--quiet"])?;
        left.await_empty_kernel()?;
    }
    times::print_head(world, runs)?;
    let row = Row {
        work: "fifty connections back after pluto's restart",
        ours: &ours,
        plain: &of_plain,
    };
    row.print(Some(1.3));
    Ok(())
}

/// Restarts pluto on a host at rest: NetworkManager's dispatcher ends when it has had nothing to do for ten seconds.
fn restart(left: Host<'_>) -> Result<Duration> {
    wait_until("NetworkManager's dispatcher has ended", PATIENCE, || {
        let is_active = [
            "systemctl",
            "is-active",
            "--quiet",
            "NetworkManager-dispatcher.service",
        ];
        Ok((!left.command(is_active).output()?.success()).then_some(()))
    })?;
    let script = RESTART.replace("$SAS", &(2 * COUNT).to_string());
    let said = left.shell(&script).timeout(PATIENCE).run()?;
    let nanoseconds = said.trim().parse().with_context(|| format!("reading {said:?}"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn idle(world: &World) -> Result<()> {
    let left = world.left();
    left.apply_ours(&Document::new(&crowd::document(COUNT, "")?), &["--quiet"])?;
    wait_until("all are up", PATIENCE, || {
        Ok((left.spis()?.len() >= 2 * COUNT).then_some(()))
    })?;
    let script = format!(
        "sleep {}; {{ {COST} }} >/tmp/before; sleep {}; {COST}",
        SETTLED.as_secs(),
        IDLE.as_secs()
    );
    let after = left.shell(&script).timeout(IDLE * 2).run()?;
    let before = left.command(["cat", "/tmp/before"]).run()?;
    println!(
        "\n{COUNT} connections, idle for {} s\nprogram                 processor, s  woken a second",
        IDLE.as_secs()
    );
    for (before, after) in before.lines().zip(after.lines()) {
        let numbers = |line: &str| -> Option<(String, f64, f64)> {
            let mut words = line.split_whitespace();
            Some((
                words.next()?.to_owned(),
                words.next()?.parse().ok()?,
                words.next()?.parse().ok()?,
            ))
        };
        if let (Some((name, ticks, wakes)), Some((_, last_ticks, last_wakes))) =
            (numbers(before), numbers(after))
        {
            println!(
                "{name:<22} {:>13.2} {:>15.2}",
                (last_ticks - ticks) / 100.0,
                (last_wakes - wakes) / IDLE.as_secs_f64()
            );
        }
    }
    Ok(())
}
