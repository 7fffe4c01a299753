//! `nmstate-ipsec`: applies policies with IPsec connections. Also what stands on standard output and in the exit status.

use std::process::ExitCode;

use clap::Parser;
use nmstate_ipsec::{args::Args, command, nmstatectl};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("failed to start the event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(arguments) = nmstatectl::arguments(std::env::args_os()) {
        return runtime.block_on(nmstatectl::run(arguments));
    }
    match runtime.block_on(command::run(Args::parse())) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("{fault}");
            fault.exit_code()
        }
    }
}
