//! Fifty connections at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::crowd;
use lab::document::Document;
use lab::world::{Host, LEFT_V4, Pair};

use super::{PATIENCE, watch::ping};

const COUNT: usize = 50;

/// All of them negotiate, on two hosts that are one processor each.
const LONG: Duration = Duration::from_secs(600);

/// Restarts of pluto, and a loss of power: all are back, by themselves.
pub(crate) fn fifty(pair: &Pair) -> Result<()> {
    let left = pair.left();
    crowd::expect(pair.right(), COUNT)?;
    let applied = left.apply_ours(&Document::new(&crowd::document(COUNT, "")?), &["--quiet"])?;
    ensure!(
        applied.success(),
        "applying: {}{}",
        applied.stdout,
        applied.stderr
    );
    all_up(left)?;
    // One of them has a guard, the next one has none.
    left.command(["nmstate-ipsec", "guard", "ipsec_1", "on"]).run()?;
    let capture = pair.capture()?;
    let pings = [1, 2].map(|number| ping(left, &crowd::behind(number)));

    let began = Instant::now();
    left.command(["systemctl", "restart", "ipsec.service"])
        .timeout(PATIENCE)
        .run()?;
    all_up(left).context("after pluto was restarted")?;
    eprintln!(
        "{COUNT} connections after a restart of pluto: {:.0} s",
        began.elapsed().as_secs_f64()
    );

    for ping in pings {
        ping?.signal(9)?;
    }
    let captured = capture.stop()?;
    let open = |number| captured.clear_text_from(LEFT_V4, &crowd::behind(number));
    eprintln!(
        "the second of them, without a guard: {} packets in clear",
        open(2)?.len()
    );
    let open = open(1)?;
    ensure!(
        open.is_empty(),
        "clear text of the first, which has a guard:\n{}",
        open.join("\n")
    );

    left.command(["sync"]).run()?;
    let began = Instant::now();
    pair.left_vm().power_cycle(LONG)?;
    all_up(left).context("after the power was cut")?;
    eprintln!(
        "{COUNT} connections after a loss of power, boot included: {:.0} s",
        began.elapsed().as_secs_f64()
    );
    let storms = left
        .shell("journalctl -b -u nmstate-ipsecd -o cat --no-pager | grep -c 'is up$' || :")
        .run()?;
    let ups: usize = storms.trim().parse().context("counting")?;
    ensure!(
        ups <= COUNT + COUNT / 5,
        "{COUNT} connections came up {ups} times"
    );
    are_removed(left)
}

/// When all are said to be removed, neither the kernel nor pluto has anything of any.
fn are_removed(left: Host<'_>) -> Result<()> {
    let removal = Document::new(&crowd::removal(COUNT)?);
    let removed = left.apply_ours(&removal, &["--quiet"])?;
    ensure!(removed.success(), "removing all: {}", removed.stderr);
    let (spis, policies) = (left.spis()?, left.policies()?);
    ensure!(
        spis.is_empty() && policies.is_empty(),
        "still in the kernel: {spis:?}\n{policies}"
    );
    let status = left.whack(["--status"]).run()?;
    ensure!(!status.contains("ipsec_"), "still in pluto:\n{status}");
    Ok(())
}

/// All of them say that they are up, and the kernel has a pair of SAs for each.
fn all_up(left: Host<'_>) -> Result<()> {
    let count = "nmstate-ipsec status 2>/dev/null | grep -c '^ipsec_[0-9]*: up for' || :";
    let mut up = 0;
    let all = wait_until("all are up", LONG, || {
        let told = left.shell(count).output()?;
        up = told.stdout.trim().parse().unwrap_or(0);
        Ok((up == COUNT && left.spis()?.len() >= 2 * COUNT).then_some(()))
    });
    all.with_context(|| format!("{up} of {COUNT} are up"))
}
