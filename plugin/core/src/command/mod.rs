//! The only place that runs other programs.
//!
//! Every run has a time-out, a fixed environment (`LC_ALL=C`, so that output can be read), bounded
//! output, and an argument list that is logged; secrets go through standard input or files only.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    sync::watch,
    time::{Instant, sleep_until},
};

/// Most bytes of a program's output that are kept, per stream; the end is kept, not the beginning.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Search path for programs that are run by name, and for their own children.
const SEARCH_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run, with its arguments, standard input and time-out.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    input: Vec<u8>,
    time_out: Duration,
    haste: Option<Haste>,
    output_limit: usize,
}

/// After output with any of these words in it the program has less time left.
#[derive(Debug, Clone, Copy)]
struct Haste {
    words: &'static [&'static str],
    left: Duration,
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Output {
    command: String,
    status: ExitStatus,
    /// The end of its standard output.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// A program that could not be run to its end, or that ended in failure.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program could not be started.
    #[error("failed to start '{command}'")]
    Start {
        /// Program and arguments.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// Talking to the running program failed.
    #[error("failed to exchange data with '{command}'")]
    Exchange {
        /// Program and arguments.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program did not end in time and was killed.
    #[error("'{command}' did not end within {} s and was killed; it had said: {said}", time_out.as_secs_f32())]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// How long it was given.
        time_out: Duration,
        /// What it had said until then.
        said: String,
    },
    /// The program ended in failure.
    #[error("'{command}' failed ({status}): {said}")]
    Failed {
        /// Program and arguments.
        command: String,
        /// Exit code or signal.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
}

impl Command {
    /// A run of `program` that may take as long as `time_out`.
    pub fn new(program: impl AsRef<Path>, time_out: Duration) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            time_out,
            haste: None,
            output_limit: OUTPUT_LIMIT,
        }
    }

    /// Keeps as many bytes of each of the program's streams, instead of what is enough for words to a person.
    #[must_use]
    pub fn keep(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Gives the program no more than `left` once its standard output has said any of `words`: for what is as
    /// good as an answer although the program hopes on.
    #[must_use]
    pub fn hasten(mut self, words: &'static [&'static str], left: Duration) -> Self {
        self.haste = Some(Haste { words, left });
        self
    }

    /// Adds arguments. They can be read by every user of the host: never a secret.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to its environment, which has hardly any.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Gives the program `input` to read on its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs the program to its end, whatever its exit status.
    ///
    /// # Errors
    /// It could not be started, or had to be killed at its time-out. Dropping the future kills it too.
    pub async fn run(self) -> Result<Output, CommandError> {
        match self.run_after(async { Ok::<_, Infallible>(()) }).await {
            Ok(ran) => ran,
            Err(never) => match never {},
        }
    }

    /// Starts the program, which gets its input later: for one that does nothing before it has read that, and whose start
    /// need not be waited for.
    pub fn start(self) -> Started {
        let command = self.line();
        tracing::debug!(command, "starting");
        let child = self.spawn(Stdio::piped());
        Started {
            child,
            line: command,
            command: self,
        }
    }

    /// Starts the program and gives it its input when `gate` opens: for a program that does nothing before it has read
    /// its input, and whose start need not be waited for. If `gate` does not open, the program is killed.
    ///
    /// # Errors
    /// That of `gate`; the program's own are those of [`Command::run`].
    pub async fn run_after<E>(
        self,
        gate: impl Future<Output = Result<(), E>>,
    ) -> Result<Result<Output, CommandError>, E> {
        let command = self.line();
        tracing::debug!(command, "running");
        let child = self.spawn(if self.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        gate.await?;
        Ok(match child {
            Ok(child) => self.finish(child, command).await,
            Err(source) => Err(CommandError::Start { command, source }),
        })
    }

    async fn finish(self, mut child: Child, command: String) -> Result<Output, CommandError> {
        let (mut stdout, mut stderr) = (Kept::new(self.output_limit), Kept::new(self.output_limit));
        let deadline = Deadline::new(self.time_out, self.haste);
        let exchanged = tokio::select! {
            exchanged = converse(&mut child, &self.input, &mut stdout, &mut stderr, &deadline) => Some(exchanged),
            () = deadline.passed() => None,
        };
        let (stdout, stderr) = (stdout.text(), stderr.text());
        match exchanged {
            Some(Ok(status)) => {
                tracing::debug!(command, %status, "ended");
                Ok(Output {
                    command,
                    status,
                    stdout,
                    stderr,
                })
            }
            Some(Err(source)) => Err(CommandError::Exchange { command, source }),
            None => {
                // Killing may fail only because the program ended in this very moment.
                let _ = child.kill().await;
                Err(CommandError::TimedOut {
                    command,
                    time_out: self.time_out,
                    said: said(&stdout, &stderr),
                })
            }
        }
    }

    fn spawn(&self, stdin: Stdio) -> io::Result<Child> {
        tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C")
            .envs(self.environment.iter().copied())
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn line(&self) -> String {
        let mut line = self.program.display().to_string();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(argument);
        }
        line
    }
}

/// A program that waits for its input. It is killed when this is dropped.
#[derive(Debug)]
pub struct Started {
    child: io::Result<Child>,
    line: String,
    command: Command,
}

impl Started {
    /// Gives it the first of its input, to work on meanwhile: little enough that it need not have read it. One that takes no
    /// input will be found out by [`Self::run`].
    pub async fn say(&mut self, input: impl AsRef<[u8]>) {
        if let Ok(Child {
            stdin: Some(stdin), ..
        }) = &mut self.child
        {
            let _ = stdin.write_all(input.as_ref()).await;
        }
    }

    /// Gives it `input` and lets it run to its end, whatever its exit status. Its time begins now.
    ///
    /// # Errors
    /// As those of [`Command::run`].
    pub async fn run(self, input: impl Into<Vec<u8>>) -> Result<Output, CommandError> {
        let Self { child, line, command } = self;
        match child {
            Ok(child) => command.input(input).finish(child, line).await,
            Err(source) => Err(CommandError::Start {
                command: line,
                source,
            }),
        }
    }
}

impl Output {
    /// Whether the program ended with status 0.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Standard output and error, one after the other.
    pub fn said(&self) -> String {
        said(&self.stdout, &self.stderr)
    }

    /// The output of a program that must have ended with status 0.
    ///
    /// # Errors
    /// It did not; the error carries what it said.
    pub fn success(self) -> Result<Self, CommandError> {
        if self.succeeded() {
            return Ok(self);
        }
        Err(CommandError::Failed {
            said: self.said(),
            command: self.command,
            status: self.status,
        })
    }
}

/// When a running program is killed; output may bring that nearer.
struct Deadline {
    at: watch::Sender<Instant>,
    haste: Option<Haste>,
}

impl Deadline {
    fn new(time_out: Duration, haste: Option<Haste>) -> Self {
        Self {
            at: watch::Sender::new(Instant::now() + time_out),
            haste,
        }
    }

    /// Looks at what the program has said so far.
    fn hear(&self, said: &[u8]) {
        let Some(haste) = self.haste else { return };
        let said = String::from_utf8_lossy(said);
        if haste.words.iter().any(|words| said.contains(words)) {
            self.at
                .send_modify(|at| *at = (*at).min(Instant::now() + haste.left));
        }
    }

    async fn passed(&self) {
        let mut changes = self.at.subscribe();
        loop {
            let at = *changes.borrow_and_update();
            tokio::select! {
                () = sleep_until(at) => return,
                _ = changes.changed() => {}
            }
        }
    }
}

/// Feeds the child and reads both of its streams at once, so that neither side can block the other.
async fn converse(
    child: &mut Child,
    input: &[u8],
    stdout: &mut Kept,
    stderr: &mut Kept,
    deadline: &Deadline,
) -> io::Result<ExitStatus> {
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        let Some(mut stdin) = stdin else { return Ok(()) };
        match stdin.write_all(input).await {
            // A program that does not want its input says so by its exit status.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    };
    tokio::try_join!(
        feed,
        collect(out, stdout, |said| deadline.hear(said)),
        collect(err, stderr, |_| ())
    )?;
    child.wait().await
}

async fn collect(
    stream: Option<impl AsyncReadExt + Unpin>,
    into: &mut Kept,
    hear: impl Fn(&[u8]),
) -> io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        into.push(&buffer[..length]);
        hear(&into.bytes);
    }
}

/// The end of what a program says.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    fn push(&mut self, said: &[u8]) {
        self.bytes.extend_from_slice(said);
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// What is kept as text, without a second copy of it where it is text already.
    fn text(mut self) -> String {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

fn said(stdout: &str, stderr: &str) -> String {
    [stdout.trim_end(), stderr.trim_end()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests;
