//! A guest that stays, for a developer to try things in: the process that owns it serves a unix socket.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::agent::Agent;
use crate::host;
use crate::protocol::{Answer, Message, Request, read_frame, write_frame};

/// Requests of a developer watch their time-outs themselves.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// The socket of the guest called `name`.
#[must_use]
pub fn socket_path(name: &str) -> PathBuf {
    host::lab_dir().join("run").join(name).join("control.sock")
}

/// Serves the guest to others until killed.
///
/// # Errors
/// The socket cannot be made, for instance because a guest of that name runs.
pub fn serve(name: &str, agent: &Agent) -> Result<()> {
    let path = socket_path(name);
    if UnixStream::connect(&path).is_ok() {
        bail!("a guest called {name} runs already; choose another name");
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).with_context(|| format!("listening on {}", path.display()))?;
    println!("the guest {name} is ready: cargo xtask lab exec --guest {name} -- COMMAND");
    for client in listener.incoming() {
        let (client, agent) = (client?, agent.clone());
        thread::spawn(move || serve_one(client, &agent));
    }
    Ok(())
}

/// Connects to a guest that another process serves.
///
/// # Errors
/// No guest of that name runs.
pub fn attach(name: &str) -> Result<Agent> {
    let path = socket_path(name);
    let stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "connecting to {}; start the guest with `cargo xtask lab shell --name {name}`",
            path.display()
        )
    })?;
    Agent::new(stream)
}

fn serve_one(mut client: UnixStream, agent: &Agent) {
    while let Ok((message, payload)) = read_frame::<Request>(&mut client) {
        let (body, payload) = agent
            .ask(&message.body, &payload, FOREVER)
            .unwrap_or_else(|error| (Answer::Failed(format!("{error:#}")), Vec::new()));
        if write_frame(&mut client, &Message { id: message.id, body }, &payload).is_err() {
            return;
        }
    }
}
