//! `cargo xtask bench`: what ours costs, and how it compares with plain libreswan, the limit of what is possible.

mod boots;
mod certificates;
mod crowd;
mod documents;
mod guest;
mod native;
mod networkmanager;
mod plain;
mod process;
mod reliability;
mod renewal;
mod times;
mod transactions;

use std::process::ExitCode;

use anyhow::Result;
use lab::image::Image;

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct What {
    /// Only what needs no guest
    #[arg(long)]
    native: bool,
    /// Only `nmstate-ipsec apply`, with few and with very many connections
    #[arg(long, conflicts_with = "native")]
    transactions: bool,
    /// Only fifty connections, after a restart of pluto and while nothing happens; and one after a loss of power
    #[arg(long, conflicts_with_all = ["native", "transactions"])]
    reliability: bool,
}

/// Measures the adapter on this machine and the whole in a guest, or what of that is asked for.
pub(crate) fn run(image: Image, runs: usize, what: What) -> Result<ExitCode> {
    if what.reliability {
        reliability::run(image, runs)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !what.transactions {
        native::run()?;
        documents::run()?;
        certificates::run()?;
        println!();
    }
    if !what.native && !what.transactions {
        guest::run(image, runs)?;
        println!();
    }
    if !what.native {
        transactions::run(image, runs)?;
    }
    Ok(ExitCode::SUCCESS)
}
