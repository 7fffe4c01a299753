//! `cargo xtask bench`: what ours costs, and how it compares with plain libreswan, the limit of what is possible.

mod crowd;
mod guest;
mod native;
mod process;
mod times;

use std::process::ExitCode;

use anyhow::Result;
use lab::image::Image;

/// Measures the adapter on this machine and, unless `native` says that this is all, the whole in a guest.
pub(crate) fn run(image: Image, runs: usize, native: bool) -> Result<ExitCode> {
    native::run()?;
    if !native {
        println!();
        guest::run(image, runs)?;
    }
    Ok(ExitCode::SUCCESS)
}
