//! What the command does: a module for each subcommand.

mod apart;
mod apply;
pub mod cert;
mod check;
mod diff;
mod export;
mod guard;
mod import;
mod progress;
pub mod render;
mod selected;
mod show;
mod status;
mod updown;
mod wait_online;

use std::{error::Error, fmt, process::ExitCode};

pub(crate) use apply::plain_connections;
use nmstate_ipsec_core::daemon_api::{TransactionError, TransactionsProxy};
use tokio::runtime::Builder;

use crate::{
    args::{Args, Command},
    daemon,
    transaction::{self, End},
};

/// Why the command did not do what it was asked to.
#[derive(Debug)]
pub enum Fault {
    /// The input is not valid, or not for this host to understand; nothing was touched. Exit status 2.
    Input(String),
    /// It was tried, and failed; everything is as it was, unless the text says otherwise. Exit status 1.
    Failed(String),
}

impl Fault {
    /// A failure of `what`, and why.
    pub fn failed(what: &str, error: impl Error) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }

    /// As `sysexits` would have it, but simpler: 2 is bad input, 1 is everything else.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(text) | Self::Failed(text) => formatter.write_str(text),
        }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::InvalidDeclaration(text) => Self::Input(text),
            TransactionError::WrongTime(text) | TransactionError::Failed(text) => Self::Failed(text),
            TransactionError::ZBus(error) => Self::Failed(format!(
                "failed to reach nmstate-ipsecd: {error}; see 'systemctl status nmstate-ipsecd'"
            )),
        }
    }
}

/// Does `work` to its end, and says what it has to say of a fault.
pub fn start(work: impl Future<Output = Result<ExitCode, Fault>>) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(work).unwrap_or_else(|fault| {
        eprintln!("{fault}");
        fault.exit_code()
    })
}

/// Runs the command, and says with which status it ends.
///
/// # Errors
/// It did not do what it was asked to.
pub async fn run(args: Args) -> Result<ExitCode, Fault> {
    match args.command {
        Command::Apply(arguments) => apply::run(arguments).await?,
        Command::Diff(arguments) => diff::run(arguments).await?,
        Command::Import(arguments) => import::run(&arguments)?,
        Command::Export(arguments) => export::run(&arguments).await?,
        Command::Status(arguments) => status::run(&arguments).await?,
        Command::Up(arguments) => updown::run(arguments, "up").await?,
        Command::Down(arguments) => updown::run(arguments, "down").await?,
        Command::WaitOnline(arguments) => wait_online::run(&arguments).await?,
        Command::Show(arguments) => show::run(&arguments).await?,
        Command::Commit => transaction::end(End::Commit).await?,
        Command::Rollback => transaction::end(End::Rollback).await?,
        Command::Guard(arguments) => guard::run(&arguments).await?,
        Command::Cert(_) | Command::Check(_) | Command::Render(_) => return Ok(apart::become_it()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The same for the commands that read certificates, which are a program of their own.
///
/// # Errors
/// As those of [`run`].
pub async fn run_apart(args: Args) -> Result<ExitCode, Fault> {
    match args.command {
        Command::Cert(arguments) => cert::run(arguments).await,
        Command::Check(arguments) => check::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        _ => Err(Fault::Input(
            "'nmstate-ipsec' is the command; this part of it reads certificates".to_owned(),
        )),
    }
}

/// The daemon, which the system bus starts when it is called.
async fn daemon() -> Result<TransactionsProxy<'static>, Fault> {
    daemon::find().await?.ok_or_else(daemon::missing)
}
