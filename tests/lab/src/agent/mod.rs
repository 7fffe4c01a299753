//! Running commands in a guest, through the agent in it.

mod command;

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

pub use command::{Background, GuestCommand, Output};

use crate::protocol::{Answer, Message, Request, UNASKED, read_frame, write_frame};

/// Time-out of a command that was given none; emulation is slow.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause between two looks at a condition that has no event to wait for.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

type Reply = (Answer, Vec<u8>);

/// A guest's agent. Cheap to clone, and any number of threads may use it at once.
#[derive(Clone, Debug)]
pub struct Agent {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    out: Mutex<UnixStream>,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    last_id: u64,
    waiting: HashMap<u64, Sender<Reply>>,
    hellos: Vec<Sender<()>>,
    /// Set when the connection broke; nothing will be answered any more.
    broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    /// Takes over a connection to the port of a guest's agent.
    ///
    /// # Errors
    /// The connection cannot be duplicated.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let mut input = stream
            .try_clone()
            .context("duplicating the connection to the agent")?;
        let shared = Arc::new(Shared {
            out: Mutex::new(stream),
            pending: Mutex::default(),
        });
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((message, payload)) = read_frame::<Answer>(&mut input) {
                reader.deliver(message, payload);
            }
            let mut pending = lock(&reader.pending);
            pending.broken = true;
            pending.waiting.clear();
            pending.hellos.clear();
        });
        Ok(Self { shared })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The agent could not carry it out, did not answer within `timeout`, or the guest is gone.
    pub fn ask(&self, request: &Request, payload: &[u8], timeout: Duration) -> Result<Reply> {
        let (sender, receiver) = mpsc::channel();
        let id = self.shared.register(sender)?;
        let message = Message { id, body: request };
        write_frame(&mut *lock(&self.shared.out), &message, payload)
            .context("sending a request to the guest's agent")?;
        let reply = receiver.recv_timeout(timeout);
        lock(&self.shared.pending).waiting.remove(&id);
        match reply {
            Ok((Answer::Failed(reason), _)) => Err(anyhow!("the guest could not do it: {reason}")),
            Ok(reply) => Ok(reply),
            Err(RecvTimeoutError::Timeout) => bail!("the guest's agent did not answer within {timeout:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the guest is gone; its console log says why"),
        }
    }

    /// Waits until the agent answers at all.
    ///
    /// # Errors
    /// It did not within `timeout`.
    pub fn ping(&self, timeout: Duration) -> Result<()> {
        self.ask(&Request::Ping, &[], timeout).map(drop)
    }

    /// A receiver for the next start of the agent, which is how a reboot is seen. Ask for it before rebooting.
    #[must_use]
    pub fn next_start(&self) -> Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        lock(&self.shared.pending).hellos.push(sender);
        receiver
    }

    /// A command to run in the guest, not yet started.
    pub fn command<I>(&self, argv: I) -> GuestCommand<'_>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let argv = argv.into_iter().map(Into::into).collect();
        GuestCommand::new(self, argv)
    }

    /// A shell script to run in the guest; it stops at the first failing command.
    pub fn shell(&self, script: &str) -> GuestCommand<'_> {
        self.command(["bash", "-euc", script])
    }

    /// Writes a file in the guest, replacing it in one step.
    ///
    /// # Errors
    /// The guest could not write it.
    pub fn put(&self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let request = Request::Put {
            path: path.to_owned(),
            mode,
        };
        self.ask(&request, content, DEFAULT_TIMEOUT)
            .with_context(|| format!("writing {path} in the guest"))
            .map(drop)
    }

    /// Reads a file of the guest.
    ///
    /// # Errors
    /// The guest could not read it.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let request = Request::Get {
            path: path.to_owned(),
        };
        let reply = self.ask(&request, &[], DEFAULT_TIMEOUT);
        Ok(reply.with_context(|| format!("reading {path} in the guest"))?.1)
    }
}

impl Shared {
    fn register(&self, sender: Sender<Reply>) -> Result<u64> {
        let mut pending = lock(&self.pending);
        if pending.broken {
            bail!("the guest is gone; its console log says why");
        }
        pending.last_id += 1;
        let id = pending.last_id;
        pending.waiting.insert(id, sender);
        Ok(id)
    }

    fn deliver(&self, message: Message<Answer>, payload: Vec<u8>) {
        let mut pending = lock(&self.pending);
        if message.id == UNASKED {
            for hello in pending.hellos.drain(..) {
                let _ = hello.send(());
            }
        } else if let Some(sender) = pending.waiting.remove(&message.id) {
            let _ = sender.send((message.body, payload));
        }
    }
}

/// Closes the connection for reading and writing, so that the reader ends with the last clone.
impl Drop for Shared {
    fn drop(&mut self) {
        let out = self.out.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = out.flush();
        let _ = out.shutdown(std::net::Shutdown::Both);
    }
}

/// Waits until `condition` returns a value; for conditions of a guest that have no event to wait for.
///
/// # Errors
/// The condition failed, or did not come true within `timeout`; `what` says in the message what was awaited.
pub fn wait_until<T>(
    what: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let began = Instant::now();
        if let Some(value) = condition().with_context(|| format!("waiting until {what}"))? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {timeout:?} in vain until {what}");
        }
        // Whoever looks all the time takes the processors from what is waited for, and from other guests.
        thread::sleep((began.elapsed() * 2).clamp(LOOK_INTERVAL, LONGEST_INTERVAL));
    }
}
