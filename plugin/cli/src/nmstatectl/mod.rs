//! The command by the name of `nmstatectl`: what upstream's 2.2.62 takes and prints, and ipsec interfaces with all their
//! keys in it, which the daemon carries out.
//!
//! nmstate's crate does all that is not ipsec. It never sees what its types would refuse: see the module `further`.

mod apply;
mod args;
mod autoconf;
mod difference;
mod edit;
mod end;
mod further;
mod generate;
mod input;
mod keyfile;
mod log;
mod persist;
mod policy;
mod print;
mod refusal;
mod service;
mod show;
mod sorted;
pub mod time;

use std::{ffi::OsString, path::Path, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser};

pub use args::Show;
use args::{Args, Command, UPSTREAM_VERSION};
pub(crate) use further::{Further, Secrets};
use refusal::Refusal;

use crate::{command::Fault, transaction::End};

/// What changes nothing is over by then: whoever waits for it (a cluster's operator) has no time-out of its own.
const LOOK_TIME_OUT: Duration = Duration::from_secs(180);

/// What changes the network is over by then. If not, everything is undone: the daemon sees that its caller is gone.
const CHANGE_TIME_OUT: Duration = Duration::from_secs(900);

/// The arguments, if the program was called `nmstatectl`.
pub fn arguments(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let name = Path::new(arguments.first()?).file_name()?.to_str()?;
    match name {
        "nmstatectl" => Some(arguments),
        "nmstatectl-autoconf" => {
            arguments.insert(1, "autoconf".into());
            Some(arguments)
        }
        _ => None,
    }
}

/// The definition of the command line, for those who describe it.
pub fn command() -> clap::Command {
    Args::command()
}

/// Does what the arguments say.
pub async fn run(arguments: Vec<OsString>) -> ExitCode {
    let is_set = arguments.get(1).is_some_and(|argument| argument == "set");
    let args = Args::parse_from(arguments);
    log::begin(args.verbose, args.quiet);
    ::log::info!(target: "nmstatectl", "Nmstate version: {UPSTREAM_VERSION}");
    if is_set {
        eprintln!("Using 'set' is deprecated, use 'apply' instead.");
    }
    let done = match time_out(&args.command) {
        Some(time_out) => tokio::time::timeout(time_out, done(args.command))
            .await
            .unwrap_or_else(|_| Err(late(time_out))),
        None => done(args.command).await,
    };
    match done.and_then(|text| Ok(print::out(&text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(refusal.status)
        }
    }
}

/// Prints the state of the network.
///
/// # Errors
/// The network cannot be looked at.
pub(crate) async fn print_state(wanted: &Show) -> Result<(), Fault> {
    let shown = show::run(wanted).await;
    let shown = shown.map_err(|refusal| Fault::Failed(refusal.text))?;
    let printed = print::out(shown.trim_end());
    printed.map_err(|error| Fault::failed("failed to write the state", error))
}

async fn done(command: Command) -> Result<String, Refusal> {
    match command {
        Command::Autoconf(arguments) => autoconf::run(&arguments).await,
        Command::Show(arguments) => show::run(&arguments).await,
        Command::Apply(arguments) => apply::run(&arguments).await,
        Command::GenConf(arguments) => generate::configuration(&arguments.file).await,
        Command::Commit(arguments) => end::run(End::Commit, arguments.checkpoint).await,
        Command::Rollback(arguments) => end::run(End::Rollback, arguments.checkpoint).await,
        Command::Edit(arguments) => edit::run(&arguments).await,
        Command::Service(arguments) => service::run(&arguments.config).await,
        Command::Policy(arguments) => policy::run(&arguments).await,
        Command::Format(arguments) => generate::format(&arguments.file).await,
        Command::GenRevert(arguments) => generate::revert(&arguments).await,
        Command::Statistic(arguments) => generate::statistic(&arguments).await,
        Command::Validate(arguments) => generate::validate(&arguments).await,
        Command::Version => Ok(format!("nmstatectl {UPSTREAM_VERSION}")),
        Command::PersistNicNames(arguments) => persist::run(&arguments).await,
    }
}

/// How long a command may take. An editor's user takes the time that they need, and files of a directory are bounded one
/// by one.
fn time_out(command: &Command) -> Option<Duration> {
    match command {
        Command::Edit(_) | Command::Service(_) | Command::Apply(_) => None,
        Command::Commit(_) | Command::Rollback(_) | Command::Autoconf(_) => Some(CHANGE_TIME_OUT),
        _ => Some(LOOK_TIME_OUT),
    }
}

fn late(time_out: Duration) -> Refusal {
    Refusal::new(format!(
        "not done within {} s, given up; see whether NetworkManager and nmstate-ipsecd answer ('systemctl status \
         NetworkManager nmstate-ipsecd')",
        time_out.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> Option<String> {
        let arguments = arguments(line.split(' ').map(OsString::from))?;
        let arguments: Vec<_> = arguments
            .iter()
            .filter_map(|argument| argument.to_str())
            .collect();
        Some(arguments.join(" "))
    }

    #[test]
    fn the_name_decides() {
        assert_eq!(called("nmstate-ipsec show"), None);
        assert_eq!(
            called("/usr/bin/nmstatectl show").as_deref(),
            Some("/usr/bin/nmstatectl show")
        );
        assert_eq!(
            called("nmstatectl-autoconf -d").as_deref(),
            Some("nmstatectl-autoconf autoconf -d")
        );
        assert_eq!(called("my-nmstatectl show"), None);
    }
}
