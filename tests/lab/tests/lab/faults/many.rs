//! Fifty connections at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::crowd;
use lab::document::Document;
use lab::world::{Host, Pair};

use super::PATIENCE;

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

    let began = Instant::now();
    left.command(["systemctl", "restart", "ipsec.service"])
        .timeout(PATIENCE)
        .run()?;
    all_up(left).context("after pluto was restarted")?;
    eprintln!(
        "{COUNT} connections after a restart of pluto: {:.0} s",
        began.elapsed().as_secs_f64()
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
