//! What was on the wire.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::agent::{Agent, Background, wait_until};

const FILE: &str = "/run/lab/wire.pcap";
const LOG: &str = "/run/lab/tcpdump";
const SIGINT: i32 = 2;

/// Everything that two hosts with IPsec between them may send each other in the open: IKE, ESP in any
/// form, address resolution, neighbour discovery and multicast listener reports (behind a hop-by-hop header, RFC 3810).
const ALLOWED: &str = "arp or ip proto 50 or ip6 proto 50 or udp port 500 or udp port 4500 or tcp port 4500 \
     or (icmp6 and ip6[40] >= 130 and ip6[40] <= 143) \
     or (ip6[6] = 0 and ip6[40] = 58 and ip6[48] >= 130 and ip6[48] <= 143)";

/// A running capture of the wire at left's end.
#[derive(Debug)]
pub struct Capture {
    agent: Agent,
    tcpdump: Background,
}

impl Capture {
    pub(super) fn start(agent: &Agent, device: &str) -> Result<Self> {
        let argv = [
            "tcpdump",
            "-n",
            "-i",
            device,
            "--immediate-mode",
            "-U",
            "-w",
            FILE,
        ];
        let tcpdump = agent.command(argv).netns("wire").spawn(LOG)?;
        wait_until("tcpdump listens", Duration::from_secs(30), || {
            let said = agent.get(&tcpdump.stderr)?;
            Ok(String::from_utf8_lossy(&said)
                .contains("listening on")
                .then_some(()))
        })?;
        Ok(Self {
            agent: agent.clone(),
            tcpdump,
        })
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// tcpdump does not end.
    pub fn stop(self) -> Result<Captured> {
        self.tcpdump.signal(SIGINT)?;
        self.tcpdump
            .wait(Duration::from_secs(30))
            .context("stopping the capture")?;
        Ok(Captured { agent: self.agent })
    }
}

/// A capture that has ended, to be asked about.
#[derive(Debug)]
pub struct Captured {
    agent: Agent,
}

impl Captured {
    /// A capture that was recorded elsewhere, to be read in a guest, as only guests need have tcpdump.
    pub(super) fn recorded(agent: &Agent, pcap: &[u8]) -> Result<Self> {
        agent.put(FILE, 0o600, pcap)?;
        Ok(Self { agent: agent.clone() })
    }

    /// Number of ESP packets from one address to another, in UDP or bare.
    ///
    /// # Errors
    /// The capture could not be read.
    pub fn esp(&self, from: &str, to: &str) -> Result<usize> {
        Ok(self.packets(&Self::esp_filter(from, to))?.len())
    }

    /// When each of them was on the wire, in seconds since 1970.
    ///
    /// # Errors
    /// The capture could not be read.
    pub fn esp_times(&self, from: &str, to: &str) -> Result<Vec<f64>> {
        let filter = Self::esp_filter(from, to);
        let printed = self
            .agent
            .command(["tcpdump", "-n", "-tt", "-r", FILE, &filter])
            .run()?;
        let times = printed.lines().map(|line| {
            let time = line.split_whitespace().next().unwrap_or_default();
            time.parse()
                .with_context(|| format!("reading the time of {line:?}"))
        });
        times.collect()
    }

    fn esp_filter(from: &str, to: &str) -> String {
        // IKE on port 4500 begins with four zero bytes where ESP has its SPI.
        let in_udp = if from.contains(':') {
            "udp port 4500"
        } else {
            "(udp port 4500 and udp[8:4] != 0)"
        };
        format!("src host {from} and dst host {to} and (ip proto 50 or ip6 proto 50 or {in_udp})")
    }

    /// The packets between two addresses that should not have been in the open, one a line.
    ///
    /// # Errors
    /// The capture could not be read.
    pub fn clear_text(&self, one: &str, other: &str) -> Result<Vec<String>> {
        self.packets(&format!("host {one} and host {other} and not ({ALLOWED})"))
    }

    /// The packets from one address to another that should not have been in the open, one a line.
    ///
    /// # Errors
    /// The capture could not be read.
    pub fn clear_text_from(&self, from: &str, to: &str) -> Result<Vec<String>> {
        self.packets(&format!("src host {from} and dst host {to} and not ({ALLOWED})"))
    }

    /// Sees that there was ESP both ways between the two `ends`, and nothing in clear text between anybody.
    ///
    /// # Errors
    /// There was not, or there was; the error has the packets.
    pub fn ensure_encrypted(&self, ends: (&str, &str)) -> Result<()> {
        for (from, to) in [ends, (ends.1, ends.0)] {
            let count = self.esp(from, to)?;
            ensure!(count > 0, "no ESP packet from {from} to {to}");
        }
        let open = self.in_the_open()?;
        ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
        Ok(())
    }

    /// Every packet that should not have been in the open, whoever sent it, one a line.
    ///
    /// # Errors
    /// The capture could not be read.
    pub fn in_the_open(&self) -> Result<Vec<String>> {
        self.packets(&format!("not ({ALLOWED})"))
    }

    /// The packets that a filter of tcpdump selects, one a line.
    ///
    /// # Errors
    /// The filter is wrong, or the capture could not be read.
    pub fn packets(&self, filter: &str) -> Result<Vec<String>> {
        let printed = self.agent.command(["tcpdump", "-n", "-r", FILE, filter]).run()?;
        Ok(printed.lines().map(str::to_owned).collect())
    }
}

/// Copies the last capture of a world, if there is one, into a directory of this machine.
pub(crate) fn save(agent: &Agent, dir: &Path) {
    if let Ok(bytes) = agent.get(FILE) {
        let _ = std::fs::write(dir.join("wire.pcap"), bytes);
    }
}
