//! The lab's hand inside a guest: it carries out what the host asks for over a virtio-serial port.
//!
//! It is linked statically, so that a guest older than the machine that built it can run it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lab::protocol::{Answer, CommandLine, Message, Request, UNASKED, read_frame, write_frame};
use rustix::process::{Pid, Signal, kill_process_group};

/// Where QEMU's port named `lab.agent` appears.
const PORT: &str = "/dev/virtio-ports/lab.agent";

/// How long to wait for the host to connect again, as the port has no event for it.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// A daemon may keep its parent's output open for ever; its output is given up after this.
const OUTPUT_GRACE: Duration = Duration::from_millis(300);

fn main() -> io::Result<()> {
    let port = OpenOptions::new().read(true).write(true).open(PORT)?;
    let agent = Arc::new(Agent {
        out: Mutex::new(port.try_clone()?),
        processes: Mutex::default(),
        ended: Condvar::new(),
    });
    agent.send(UNASKED, &Answer::Hello, &[])?;
    let mut input = Port(port);
    loop {
        let (message, payload) = read_frame::<Request>(&mut input)?;
        let agent = Arc::clone(&agent);
        thread::spawn(move || {
            let (answer, bytes) = agent
                .serve(&message.body, payload)
                .unwrap_or_else(|error| (Answer::Failed(error.to_string()), Vec::new()));
            if let Err(error) = agent.send(message.id, &answer, &bytes) {
                eprintln!("answering the host: {error}");
            }
        });
    }
}

/// The port as a stream that waits while no host is connected, which the kernel reports as end of file.
struct Port(File);

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer)? {
                0 => thread::sleep(RECONNECT_PAUSE),
                count => return Ok(count),
            }
        }
    }
}

/// A background process: its process group, and its exit status once it has ended.
struct Process {
    group: Option<Pid>,
    status: Option<i32>,
}

struct Agent {
    out: Mutex<File>,
    processes: Mutex<HashMap<u32, Process>>,
    ended: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    fn send(&self, id: u64, answer: &Answer, payload: &[u8]) -> io::Result<()> {
        let message = Message { id, body: answer };
        write_frame(&mut *lock(&self.out), &message, payload)
    }

    fn serve(self: &Arc<Self>, request: &Request, payload: Vec<u8>) -> io::Result<(Answer, Vec<u8>)> {
        match request {
            Request::Ping => Ok((Answer::Done, Vec::new())),
            Request::Exec(command) => exec(command, payload),
            Request::Spawn {
                command,
                stdout,
                stderr,
            } => {
                let handle = self.spawn(command, stdout, stderr)?;
                Ok((Answer::Spawned { handle }, Vec::new()))
            }
            Request::Signal { handle, signal } => self.signal(*handle, *signal),
            Request::Wait { handle, timeout_ms } => self.wait(*handle, Duration::from_millis(*timeout_ms)),
            Request::Put { path, mode } => {
                put(Path::new(path), *mode, &payload)?;
                Ok((Answer::Done, Vec::new()))
            }
            Request::Get { path } => Ok((Answer::Done, fs::read(path)?)),
        }
    }

    fn spawn(self: &Arc<Self>, command: &CommandLine, stdout: &str, stderr: &str) -> io::Result<u32> {
        for path in [stdout, stderr] {
            if let Some(dir) = Path::new(path).parent() {
                fs::create_dir_all(dir)?;
            }
        }
        let mut child = prepare(command)?
            .stdin(Stdio::null())
            .stdout(File::create(stdout)?)
            .stderr(File::create(stderr)?)
            .spawn()?;
        let handle = child.id();
        let process = Process {
            group: group_of(&child),
            status: None,
        };
        lock(&self.processes).insert(handle, process);
        let agent = Arc::clone(self);
        thread::spawn(move || {
            let status = child.wait().map_or(-1, status_of);
            if let Some(process) = lock(&agent.processes).get_mut(&handle) {
                process.status = Some(status);
            }
            agent.ended.notify_all();
        });
        Ok(handle)
    }

    fn signal(&self, handle: u32, signal: i32) -> io::Result<(Answer, Vec<u8>)> {
        let processes = lock(&self.processes);
        let process = processes.get(&handle).ok_or_else(|| no_such(handle))?;
        let signal =
            Signal::from_named_raw(signal).ok_or_else(|| io::Error::other(format!("no signal {signal}")))?;
        if let (Some(group), None) = (process.group, process.status) {
            kill_process_group(group, signal)?;
        }
        Ok((Answer::Done, Vec::new()))
    }

    fn wait(&self, handle: u32, timeout: Duration) -> io::Result<(Answer, Vec<u8>)> {
        let deadline = Instant::now() + timeout;
        let mut processes = lock(&self.processes);
        loop {
            let process = processes.get(&handle).ok_or_else(|| no_such(handle))?;
            let left = deadline.saturating_duration_since(Instant::now());
            let timed_out = left.is_zero();
            if process.status.is_some() || timed_out {
                let status = process.status.unwrap_or(-1);
                let timed_out = process.status.is_none();
                return Ok((
                    Answer::Exited {
                        status,
                        timed_out,
                        stdout_len: 0,
                    },
                    Vec::new(),
                ));
            }
            processes = self
                .ended
                .wait_timeout(processes, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn no_such(handle: u32) -> io::Error {
    io::Error::other(format!("no background process has the handle {handle}"))
}

/// The command in a process group of its own, so that a time-out reaches its children as well.
fn prepare(command: &CommandLine) -> io::Result<Command> {
    let mut argv: Vec<&str> = Vec::new();
    if let Some(netns) = &command.netns {
        argv.extend(["ip", "netns", "exec", netns]);
    }
    argv.extend(command.argv.iter().map(String::as_str));
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut prepared = Command::new(program);
    prepared
        .args(arguments)
        .envs(command.env.iter().cloned())
        .process_group(0);
    Ok(prepared)
}

fn group_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn status_of(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn exec(command: &CommandLine, stdin: Vec<u8>) -> io::Result<(Answer, Vec<u8>)> {
    let mut child = prepare(command)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read its input closes the pipe, which is no failure.
        thread::spawn(move || pipe.write_all(&stdin));
    }
    let (closed, all_closed) = mpsc::channel();
    let stdout = collect(child.stdout.take(), closed.clone());
    let stderr = collect(child.stderr.take(), closed);
    let group = group_of(&child);
    let (exited, exit) = mpsc::channel();
    thread::spawn(move || exited.send(child.wait()));

    let mut timed_out = false;
    let timeout = Duration::from_millis(command.timeout_ms);
    let status = match exit.recv_timeout(timeout) {
        Ok(status) => status?,
        Err(_) => {
            timed_out = true;
            if let Some(group) = group {
                kill_process_group(group, Signal::KILL)?;
            }
            exit.recv().map_err(io::Error::other)??
        }
    };
    for _ in 0..2 {
        let _ = all_closed.recv_timeout(OUTPUT_GRACE);
    }
    let mut payload = std::mem::take(&mut *lock(&stdout));
    let stdout_len = payload.len();
    payload.append(&mut *lock(&stderr));
    Ok((
        Answer::Exited {
            status: status_of(status),
            timed_out,
            stdout_len,
        },
        payload,
    ))
}

/// Gathers a pipe's bytes in the background and tells when it was closed.
fn collect(pipe: Option<impl Read + Send + 'static>, closed: mpsc::Sender<()>) -> Arc<Mutex<Vec<u8>>> {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let gathered = Arc::clone(&bytes);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        if let Some(mut pipe) = pipe {
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                lock(&gathered).extend_from_slice(&buffer[..count]);
            }
        }
        closed.send(())
    });
    bytes
}

/// Replaces the file in one step, so that a running program can be replaced as well.
fn put(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut new_path = path.as_os_str().to_owned();
    new_path.push(".lab-new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new_path)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    drop(file);
    fs::rename(new_path, path)
}
