//! `nmstate-ipsec`: applies policies with IPsec connections. Also what stands on standard output and in the exit status.

use std::process::ExitCode;

use clap::Parser;
use nmstate_ipsec::{args::Args, command, nmstatectl};

fn main() -> ExitCode {
    if let Some(arguments) = nmstatectl::arguments(std::env::args_os()) {
        return command::start(async { Ok(nmstatectl::run(arguments).await) });
    }
    command::start(command::run(Args::parse()))
}
