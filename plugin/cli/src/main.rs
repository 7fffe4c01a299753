//! `nmstate-ipsec`: applies policies with IPsec connections. Also what stands on standard output and in the exit status.

use std::process::ExitCode;

use clap::Parser;
use nmstate_ipsec::{args::Args, command};

fn main() -> ExitCode {
    let args = Args::parse();
    let ran = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| command::Fault::failed("failed to start the event loop", error))
        .and_then(|runtime| runtime.block_on(command::run(args)));
    match ran {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("{fault}");
            fault.exit_code()
        }
    }
}
