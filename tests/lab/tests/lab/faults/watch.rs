//! Who looks while something happens: a ping without pause, and a record of the wire at the peer's end.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::Background;
use lab::world::{Capture, Captured, Host, World};

use super::ENDS;

/// Seconds between two pings.
const INTERVAL: &str = "0.05";

/// A ping and a record that go on.
pub(super) struct Watch<'a> {
    left: Host<'a>,
    ping: Background,
    capture: Capture,
    /// Where left's journal ended.
    cursor: String,
}

/// What they saw.
pub(super) struct Seen {
    /// The longest time in which the peer sent nothing encrypted.
    pub(super) outage: Duration,
    /// What left this host in clear: what the peer does is its own affair.
    pub(super) open: Vec<String>,
    /// How many tries have failed meanwhile, by the daemon's own word.
    pub(super) failed: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn begin(world: &'a World) -> Result<Self> {
        // left's own end of the wire may go with its device.
        Self::begin_at(world, "right0")
    }

    /// The same with a record of another end of the wire.
    pub(super) fn begin_at(world: &'a World, end: &str) -> Result<Self> {
        let (left, capture) = (world.left(), world.capture_at(end)?);
        let cursor = left.journal_cursor()?;
        let ping = ping(left, ENDS.1)?;
        left.ping(ENDS.1)?;
        Ok(Self {
            left,
            ping,
            capture,
            cursor,
        })
    }

    pub(super) fn end(self) -> Result<Seen> {
        self.ping.signal(9)?;
        self.ping.wait(Duration::from_secs(30))?;
        let captured = self.capture.stop()?;
        let failed = self
            .left
            .shell(&format!(
                "journalctl --after-cursor '{}' -u nmstate-ipsecd -o json --no-pager | grep -c '\"IPSEC_REASON\":\"' || :",
                self.cursor
            ))
            .run()?;
        Ok(Seen {
            outage: longest_pause(&captured, ENDS.1, ENDS.0)?,
            open: captured.clear_text_from(ENDS.0, ENDS.1)?,
            failed: failed.trim().parse().context("counting failures")?,
        })
    }
}

/// A ping that goes on until it is killed.
pub(super) fn ping(left: Host<'_>, to: &str) -> Result<Background> {
    left.shell(&format!(
        "while :; do ping -q -n -i {INTERVAL} {to} || sleep {INTERVAL}; done"
    ))
    .spawn(&format!("/run/lab/fault-ping-{to}"))
}

impl Seen {
    /// Nothing has left in clear, whatever happened.
    pub(super) fn ensure_closed(&self, what: &str) -> Result<()> {
        ensure!(
            self.open.is_empty(),
            "{what}: clear text on the wire:\n{}",
            self.open.join("\n")
        );
        Ok(())
    }
}

/// The longest time between two packets of ESP from one to the other.
pub(super) fn longest_pause(captured: &Captured, from: &str, to: &str) -> Result<Duration> {
    let times = captured.esp_times(from, to)?;
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = pauses
        .max_by(f64::total_cmp)
        .context("no packet of ESP was recorded")?;
    Ok(Duration::from_secs_f64(longest.max(0.0)))
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "outage {:.1} s, {} failures, {} packets in clear",
            self.outage.as_secs_f64(),
            self.failed,
            self.open.len()
        )
    }
}
