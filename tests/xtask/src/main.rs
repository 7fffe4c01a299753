//! The commands of the project, run as `cargo xtask`.

mod bench;
mod checks;
mod demo;
mod lab_command;
mod package;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::image::Image;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of the project")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and test there is; the last line sums them up
    Test {
        /// Only the lab, and of it only trials whose name contains FILTER, or one of several with commas between
        #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "")]
        lab: Option<String>,
        /// Tell each of the lab's stories on both images, also those that are told on one to save time
        #[arg(long)]
        everywhere: bool,
    },
    /// Show two hosts getting and losing an encrypted connection
    Demo {
        /// trixie or bookworm
        #[arg(long, default_value = "trixie")]
        image: Image,
    },
    /// Compare with plain libreswan, the limit of what is possible
    Bench {
        /// trixie or bookworm
        #[arg(long, default_value = "trixie")]
        image: Image,
        /// How often each work is done; the median counts
        #[arg(long, default_value_t = 9)]
        runs: usize,
        #[command(flatten)]
        what: bench::What,
    },
    /// Build the RPM and Debian packages into target/package
    Package {
        #[command(flatten)]
        what: package::What,
    },
    /// Start guests of the lab and run commands in them
    Lab {
        #[command(subcommand)]
        command: lab_command::LabCommand,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test { lab, everywhere } => checks::run(lab.as_deref(), everywhere),
        Task::Demo { image } => demo::run(image),
        Task::Bench { image, runs, what } => bench::run(image, runs, what),
        Task::Package { what } => package::run(&what),
        Task::Lab { command } => lab_command::run(command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
