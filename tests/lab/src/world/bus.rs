//! What went over the system bus.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::agent::{Agent, Background, wait_until};

const LOG: &str = "/run/lab/busctl";
/// The signal by which a record is seen to have begun.
const PROBE: &str = "LabProbe";
const SIGINT: i32 = 2;

/// The file in the guest that the record grows in, a message a line.
pub const RECORD: &str = "/run/lab/busctl.out";

/// A running record of the VPN plugin's contract, what NetworkManager makes of it, what its dispatcher's hook tells, and every
/// error on the bus.
#[derive(Debug)]
pub struct BusMonitor {
    agent: Agent,
    busctl: Background,
}

/// One message, as busctl writes it.
#[derive(Debug)]
pub struct BusMessage(Value);

impl BusMonitor {
    pub(super) fn start(agent: &Agent) -> Result<Self> {
        let argv = [
            "busctl",
            "--system",
            "--json=short",
            "--match=interface='org.freedesktop.NetworkManager.VPN.Plugin'",
            "--match=interface='org.freedesktop.NetworkManager.VPN.Connection'",
            "--match=member='Happened',interface='org.nmstate.Ipsec1.Autoconnect'",
            "--match=type='error'",
            "monitor",
        ];
        let busctl = agent.command(argv).spawn(LOG)?;
        // With JSON busctl does not say when it listens: it does when it has seen a signal of ours.
        let emit = [
            "busctl",
            "--system",
            "emit",
            "/lab",
            "org.freedesktop.NetworkManager.VPN.Plugin",
            PROBE,
        ];
        wait_until("busctl listens", Duration::from_secs(30), || {
            agent.command(emit).run()?;
            Ok((!agent.get(&busctl.stdout)?.is_empty()).then_some(()))
        })?;
        Ok(Self {
            agent: agent.clone(),
            busctl,
        })
    }

    /// Ends the record.
    ///
    /// # Errors
    /// busctl does not end, or wrote something else than messages.
    pub fn stop(self) -> Result<Vec<BusMessage>> {
        self.busctl.signal(SIGINT)?;
        self.busctl
            .wait(Duration::from_secs(30))
            .context("ending the record of the bus")?;
        let written = self.agent.get(&self.busctl.stdout)?;
        String::from_utf8_lossy(&written)
            .lines()
            .map(|line| {
                let message = serde_json::from_str(line);
                message
                    .map(BusMessage)
                    .with_context(|| format!("reading what busctl wrote: {line}"))
            })
            .filter(|message| {
                message
                    .as_ref()
                    .map_or(true, |message: &BusMessage| message.name() != PROBE)
            })
            .collect()
    }
}

impl BusMessage {
    /// The name of the method, the signal or the error; an error's is its full name.
    #[must_use]
    pub fn name(&self) -> &str {
        let field = |key: &str| self.0.get(key).and_then(Value::as_str);
        field("error_name").or(field("member")).unwrap_or_default()
    }

    /// Whom it is for; nobody in particular if it is empty.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.0["destination"].as_str().unwrap_or_default()
    }

    /// Whether this is the answer to `call`.
    #[must_use]
    pub fn answers(&self, call: &Self) -> bool {
        let is_named = |value: &Value| !value.is_null();
        is_named(&self.0["reply_cookie"])
            && self.0["reply_cookie"] == call.0["cookie"]
            && self.0["destination"] == call.0["sender"]
    }

    /// The argument with that number.
    #[must_use]
    pub fn argument(&self, number: usize) -> &Value {
        &self.0["payload"]["data"][number]
    }

    /// An entry of the dictionary that is the first argument, without its D-Bus type.
    #[must_use]
    pub fn entry(&self, key: &str) -> &Value {
        &self.argument(0)[key]["data"]
    }

    /// When it passed, on the guest's clock.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.0["timestamp-realtime"].as_u64().unwrap_or_default())
    }
}
