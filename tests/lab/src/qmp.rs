//! QEMU's machine protocol: one JSON object a line, events in between.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The longest that QEMU may take for an answer or an event.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    input: BufReader<UnixStream>,
    output: UnixStream,
    /// Events that came while an answer was awaited.
    events: VecDeque<Value>,
}

impl Qmp {
    /// Takes over a fresh connection and leaves the negotiation mode that it starts in.
    ///
    /// # Errors
    /// The other end does not speak QMP or is gone.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        let input = BufReader::new(stream.try_clone()?);
        let mut qmp = Self {
            input,
            output: stream,
            events: VecDeque::new(),
        };
        qmp.read().context("reading QEMU's greeting")?;
        qmp.command("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its result.
    ///
    /// # Errors
    /// QEMU refuses it or is gone.
    pub fn command(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": name, "arguments": arguments });
        writeln!(self.output, "{request}").with_context(|| format!("sending {name} to QEMU"))?;
        loop {
            let mut answer = self
                .read()
                .with_context(|| format!("waiting for QEMU to answer {name}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {request}: {error}");
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            self.events.push_back(answer);
        }
    }

    /// Moves the machine's state between QEMU and a file and waits for the end of it.
    ///
    /// `direction` is `migrate` (to the file) or `migrate-incoming` (from it).
    ///
    /// # Errors
    /// QEMU refuses or fails.
    pub fn migrate(&mut self, direction: &str, uri: &str) -> Result<()> {
        let capabilities = json!({ "capabilities": [{ "capability": "events", "state": true }] });
        self.command("migrate-set-capabilities", &capabilities)?;
        self.command("migrate-set-parameters", &json!({ "max-bandwidth": 0 }))?;
        self.command(direction, &json!({ "uri": uri }))?;
        loop {
            let message = match self.events.pop_front() {
                Some(event) => event,
                None => self
                    .read()
                    .with_context(|| format!("waiting for the end of {direction} {uri}"))?,
            };
            match message.pointer("/data/status").and_then(Value::as_str) {
                Some("completed") if message["event"] == "MIGRATION" => return Ok(()),
                Some("failed") if message["event"] == "MIGRATION" => bail!("{direction} {uri} failed"),
                _ => {}
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            bail!("QEMU closed its control connection");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU sent {line:?}, which is no JSON"))
    }
}
