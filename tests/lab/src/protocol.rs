//! What the host and the agent in the guest say to each other.
//!
//! A frame is two little-endian `u32` lengths (header, payload), a JSON header and a payload of raw bytes.
//! Requests carry an id of the sender's choice, answers repeat it, and any number may be on the way at once.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A frame larger than this is taken for a broken stream, in bytes.
const MAX_FRAME: u32 = 1 << 30;

/// The id of messages that the agent sends unasked.
pub const UNASKED: u64 = 0;

/// A command as the guest is to run it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CommandLine {
    /// Program and arguments; never passed through a shell.
    pub argv: Vec<String>,
    /// Added to the agent's own environment.
    pub env: Vec<(String, String)>,
    /// The network namespace to run in, the root namespace if absent.
    pub netns: Option<String>,
    /// After this many milliseconds the command's process group is killed.
    pub timeout_ms: u64,
}

/// What the host asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Answered at once, to see that the agent lives.
    Ping,
    /// Run to the end; the payload is standard input.
    Exec(CommandLine),
    /// Start in the background with its output in files.
    Spawn {
        /// What to start.
        command: CommandLine,
        /// File that takes standard output.
        stdout: String,
        /// File that takes standard error.
        stderr: String,
    },
    /// Send a signal to a background process.
    Signal {
        /// From [`Answer::Spawned`].
        handle: u32,
        /// The signal's number.
        signal: i32,
    },
    /// Wait for a background process to end.
    Wait {
        /// From [`Answer::Spawned`].
        handle: u32,
        /// The longest time to wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Write the payload to a file, whose directory is made if missing.
    Put {
        /// Absolute path in the guest.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// Read a file; the content is the answer's payload.
    Get {
        /// Absolute path in the guest.
        path: String,
    },
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Unasked, once after every start of the agent.
    Hello,
    /// The request was carried out and has nothing to tell; the content of a file is the payload.
    Done,
    /// A command has ended.
    Exited {
        /// Exit status, or 128 + the signal's number, as a shell has it.
        status: i32,
        /// It ran into its time-out and was killed.
        timed_out: bool,
        /// That many bytes of the payload are standard output, the rest is standard error.
        stdout_len: usize,
    },
    /// A background process was started.
    Spawned {
        /// Names the process in later requests.
        handle: u32,
    },
    /// The request could not be carried out, with the reason.
    Failed(String),
}

/// A request or an answer with its id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message<T> {
    /// Chosen by the side that asks.
    pub id: u64,
    /// The request or answer.
    pub body: T,
}

/// Writes one frame.
///
/// # Errors
/// Whatever the stream reports, or a frame too long to be described.
pub fn write_frame<T: Serialize>(
    out: &mut impl Write,
    message: &Message<T>,
    payload: &[u8],
) -> io::Result<()> {
    let header = serde_json::to_vec(message)?;
    let mut frame = Vec::with_capacity(8 + header.len() + payload.len());
    for length in [header.len(), payload.len()] {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        frame.extend_from_slice(&length.to_le_bytes());
    }
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    out.write_all(&frame)?;
    out.flush()
}

/// Reads one frame, waiting for it.
///
/// # Errors
/// Whatever the stream reports, or lengths and JSON that only a broken stream can hold.
pub fn read_frame<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<(Message<T>, Vec<u8>)> {
    let header = read_length(input)?;
    let payload = read_length(input)?;
    let header = read_bytes(input, header)?;
    let payload = read_bytes(input, payload)?;
    Ok((serde_json::from_slice(&header)?, payload))
}

fn read_length(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    let length = u32::from_le_bytes(bytes);
    if length > MAX_FRAME {
        return Err(io::Error::other(format!("a frame of {length} bytes is no frame")));
    }
    Ok(length)
}

fn read_bytes(input: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
