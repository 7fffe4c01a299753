//! The host loses its power: how soon its connection is back once pluto listens, against libreswan alone in the same boot.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::wait_until;
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::{Host, Pair};

use super::{
    plain,
    times::{self, Row, Times},
};

/// What a boot may take, and what comes up by itself after it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Every boot takes more than a minute under emulation.
const MOST_RUNS: usize = 3;

/// libreswan alone brings this up when it starts.
const PLAIN: &str = "\
conn plain
 left=192.0.2.251
 leftid=@left.example.org
 right=192.0.2.252
 rightid=@right.example.org
 authby=secret
 ikev2=insist
 type=transport
 auto=start
";

/// When the unit of pluto was ready, the device was up and the child SA was there, in seconds since the kernel's start.
const TIMES: &str = r#"
of() { journalctl --boot --unit="$1" --output=short-monotonic --no-pager | sed -n "/$2/{s/^\[ *\([0-9.]*\)\].*/\1/p;q}"; }
pluto=$(systemctl show -P ActiveEnterTimestampMonotonic ipsec.service)
echo "$((pluto / 1000000)).$(printf %06d $((pluto % 1000000)))"
of NetworkManager 'eth0.*Activation: successful'
of ipsec 'established Child SA'
"#;

/// What passed in a boot until the connection was back.
#[derive(Default)]
struct Boots {
    /// Since pluto's unit was ready.
    since_pluto: Times,
    /// Since the device was up.
    since_device: Times,
}

pub(super) fn run(image: Image, runs: usize) -> Result<()> {
    let pair = Pair::with_release(image)?;
    measure(&pair, runs.min(MOST_RUNS)).map_err(|error| pair.explain("bench", error))
}

fn measure(pair: &Pair, runs: usize) -> Result<()> {
    let left = pair.left();
    peer::expect_psk(pair.right())?;
    left.set_psk(peer::PSK)?;
    let (mut ours, mut of_plain) = (Boots::default(), Boots::default());
    for _ in 0..runs {
        plain::while_kept(left, PLAIN, || of_plain.boot(pair))?;
        left.apply_ours(&Document::new(peer::PSK_DOCUMENT), &["--quiet"])?;
        ours.boot(pair)?;
        left.apply_ours(&peer::removal()?, &["--quiet"])?;
        left.await_empty_kernel()?;
    }
    let rows = [
        (
            "once pluto listens",
            &ours.since_pluto,
            &of_plain.since_pluto,
            Some(1.5),
        ),
        (
            "once the device is up",
            &ours.since_device,
            &of_plain.since_device,
            None,
        ),
    ];
    println!("\nafter a loss of power, {runs} times in turns, the connection is back");
    times::print_columns();
    for (work, ours, plain, most) in rows {
        Row { work, ours, plain }.print(most);
    }
    Ok(())
}

impl Boots {
    fn boot(&mut self, pair: &Pair) -> Result<()> {
        let left = pair.left();
        left.command(["sync"]).run()?;
        pair.left_vm().power_cycle(PATIENCE)?;
        let [pluto, device, associations] = wait_until("the connection is back", PATIENCE, || times(left))?;
        self.since_pluto
            .add(Duration::try_from_secs_f64(associations - pluto)?);
        self.since_device
            .add(Duration::try_from_secs_f64(associations - device)?);
        Ok(())
    }
}

/// Nothing, as long as one of the three has not happened.
fn times(left: Host<'_>) -> Result<Option<[f64; 3]>> {
    let said = left.shell(TIMES).run()?;
    let times: Result<Vec<f64>, _> = said.lines().map(str::parse).collect();
    let times = times.with_context(|| format!("reading {said:?}"))?;
    Ok(<[f64; 3]>::try_from(times).ok().filter(|times| times[0] > 0.0))
}
