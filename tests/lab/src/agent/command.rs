//! Commands of a guest: how they are run, and what they leave behind.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Agent, DEFAULT_TIMEOUT};
use crate::host;
use crate::protocol::{Answer, CommandLine, Request};

/// An answer may come this much later than the time-out that the guest itself watches.
const ANSWER_MARGIN: Duration = Duration::from_secs(30);

/// What a command in the guest left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status, or 128 + the signal's number.
    pub status: i32,
    /// It was killed because it took too long.
    pub timed_out: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    /// The command, for messages.
    pub line: String,
}

impl Output {
    /// Whether the command ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0 && !self.timed_out
    }

    /// What the command printed, if it succeeded.
    ///
    /// # Errors
    /// It failed; the error holds what it said.
    pub fn checked(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        let ending = if self.timed_out {
            "was killed after its time-out".to_owned()
        } else {
            self.ending()
        };
        bail!(
            "in the guest, `{}` {ending}:\n{}{}",
            self.line,
            host::tail(&self.stdout),
            host::tail(&self.stderr)
        )
    }

    fn ending(&self) -> String {
        format!("failed with status {}", self.status)
    }
}

/// A command of the guest with its circumstances.
#[derive(Debug)]
#[must_use = "a command does nothing until it is run"]
pub struct GuestCommand<'agent> {
    agent: &'agent Agent,
    line: CommandLine,
    stdin: Vec<u8>,
    timeout: Duration,
}

impl<'agent> GuestCommand<'agent> {
    pub(super) fn new(agent: &'agent Agent, argv: Vec<String>) -> Self {
        let line = CommandLine {
            argv,
            ..CommandLine::default()
        };
        Self {
            agent,
            line,
            stdin: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Runs it in a network namespace.
    pub fn netns(mut self, name: &str) -> Self {
        self.line.netns = Some(name.to_owned());
        self
    }

    /// Gives it an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.line.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it standard input.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Kills it after that time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command for messages; of a longer script only its beginning.
    fn line(&self) -> String {
        let line = self.line.argv.join(" ");
        match line.split_once('\n') {
            Some((first, _)) => format!("{first} ..."),
            None => line,
        }
    }

    /// Runs it to its end, however it ends.
    ///
    /// # Errors
    /// It could not be started, or the guest is gone.
    pub fn output(mut self) -> Result<Output> {
        self.line.timeout_ms = millis(self.timeout);
        let line = self.line();
        let request = Request::Exec(self.line);
        let reply = self
            .agent
            .ask(&request, &self.stdin, self.timeout + ANSWER_MARGIN);
        let (answer, payload) = reply.with_context(|| format!("running `{line}` in the guest"))?;
        let Answer::Exited {
            status,
            timed_out,
            stdout_len,
        } = answer
        else {
            bail!("the guest's agent answered {answer:?} to `{line}`");
        };
        let (stdout, stderr) = payload.split_at_checked(stdout_len).unwrap_or_default();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            status,
            timed_out,
            stdout: text(stdout),
            stderr: text(stderr),
            line,
        })
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// It could not be run, or failed.
    pub fn run(self) -> Result<String> {
        self.output()?.checked()
    }

    /// Starts it in the background; its output goes to `<log>.out` and `<log>.err` in the guest.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(self, log: &str) -> Result<Background> {
        let line = self.line();
        let (stdout, stderr) = (format!("{log}.out"), format!("{log}.err"));
        let request = Request::Spawn {
            command: self.line,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        };
        let reply = self.agent.ask(&request, &[], ANSWER_MARGIN);
        match reply
            .with_context(|| format!("starting `{line}` in the guest"))?
            .0
        {
            Answer::Spawned { handle } => Ok(Background {
                agent: self.agent.clone(),
                handle,
                stdout,
                stderr,
                line,
            }),
            other => bail!("the guest's agent answered {other:?} to `{line}`"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A process in the background of a guest. It is not ended by dropping this.
#[derive(Debug)]
pub struct Background {
    agent: Agent,
    handle: u32,
    /// File in the guest with what it printed.
    pub stdout: String,
    /// File in the guest with what it complained about.
    pub stderr: String,
    line: String,
}

impl Background {
    /// Sends a signal to the process and its children.
    ///
    /// # Errors
    /// The guest could not send it.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let request = Request::Signal {
            handle: self.handle,
            signal,
        };
        let reply = self.agent.ask(&request, &[], ANSWER_MARGIN);
        reply
            .with_context(|| format!("sending signal {signal} to `{}`", self.line))
            .map(drop)
    }

    /// Waits for the process to end and returns its exit status.
    ///
    /// # Errors
    /// It did not end within `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<i32> {
        let request = Request::Wait {
            handle: self.handle,
            timeout_ms: millis(timeout),
        };
        match self.agent.ask(&request, &[], timeout + ANSWER_MARGIN)?.0 {
            Answer::Exited {
                status,
                timed_out: false,
                ..
            } => Ok(status),
            _ => bail!("`{}` has not ended within {timeout:?}", self.line),
        }
    }
}
