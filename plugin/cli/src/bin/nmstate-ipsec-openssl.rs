//! `nmstate-ipsec-openssl`: the commands of `nmstate-ipsec` that read certificates, which becomes this program for them.

use std::process::ExitCode;

use clap::Parser;
use nmstate_ipsec::{args::Args, command};

fn main() -> ExitCode {
    command::start(command::run_apart(Args::parse()))
}
