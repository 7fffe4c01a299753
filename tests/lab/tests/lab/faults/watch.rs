//! Who looks while something happens: a ping without pause, and a record of the wire at the peer's end.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::Background;
use lab::world::{Capture, Captured, World};

use super::ENDS;

/// Seconds between two pings.
const INTERVAL: &str = "0.05";

/// A ping and a record that go on.
pub(super) struct Watch {
    ping: Background,
    capture: Capture,
}

/// What they saw.
pub(super) struct Seen {
    /// The longest time in which the peer sent nothing encrypted.
    pub(super) outage: Duration,
    /// What left this host in clear: what the peer does is its own affair.
    pub(super) open: Vec<String>,
}

impl Watch {
    pub(super) fn begin(world: &World) -> Result<Self> {
        // left's own end of the wire may go with its device.
        let capture = world.capture_at("right0")?;
        let left = world.left();
        let ping = left
            .shell(&format!(
                "while :; do ping -q -n -i {INTERVAL} {} || sleep {INTERVAL}; done",
                ENDS.1
            ))
            .spawn("/run/lab/fault-ping")?;
        left.ping(ENDS.1)?;
        Ok(Self { ping, capture })
    }

    pub(super) fn end(self) -> Result<Seen> {
        self.ping.signal(9)?;
        self.ping.wait(Duration::from_secs(30))?;
        let captured = self.capture.stop()?;
        Ok(Seen {
            outage: longest_pause(&captured, ENDS.1, ENDS.0)?,
            open: captured.clear_text_from(ENDS.0, ENDS.1)?,
        })
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
            "outage {:.1} s, {} packets in clear",
            self.outage.as_secs_f64(),
            self.open.len()
        )
    }
}
