//! `cargo xtask lab`: guests for developers.

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use lab::agent::Agent;
use lab::image::Image;
use lab::install::{Build, Product};
use lab::shell;
use lab::vm::{Vm, Wire};
use lab::world::World;

#[derive(Subcommand)]
pub(crate) enum LabCommand {
    /// Build an image, unless it is there
    Image {
        /// trixie or bookworm
        #[arg(default_value = "trixie")]
        image: Image,
    },
    /// Keep a clean guest running, for `lab exec --guest` and `lab put --guest`
    Shell {
        /// trixie or bookworm
        #[arg(long, default_value = "trixie")]
        image: Image,
        /// What to call the guest; the image's name if absent
        #[arg(long)]
        name: Option<String>,
        /// What is in the guest
        #[arg(long, value_enum, default_value_t)]
        world: Contents,
    },
    /// Build the workspace's programs and install them in a running guest
    Install {
        /// The guest's name
        #[arg(long, default_value = "trixie")]
        guest: String,
    },
    /// Run a command in a guest
    Exec(Exec),
    /// Copy a file into a running guest
    Put {
        /// The guest's name
        #[arg(long, default_value = "trixie")]
        guest: String,
        /// File here; its permissions are kept
        local: PathBuf,
        /// Path there
        remote: String,
    },
}

#[derive(Args)]
pub(crate) struct Exec {
    /// In a clean guest of this image, which ends afterwards
    #[arg(long, conflicts_with = "guest")]
    image: Option<Image>,
    /// In the running guest of this name
    #[arg(long, default_value = "trixie")]
    guest: String,
    /// In this network namespace of the guest
    #[arg(long)]
    netns: Option<String>,
    /// Kill it after that many seconds
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// Pass standard input on
    #[arg(long)]
    stdin: bool,
    /// The command; `bash -c '...'` for a script
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What a developer's guest holds.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Contents {
    /// A freshly booted host
    #[default]
    Bare,
    /// The hosts left and right and the wire between them, with nothing of ours
    Plain,
    /// The same with this workspace's programs on left
    Product,
}

pub(crate) fn run(command: LabCommand) -> Result<ExitCode> {
    match command {
        LabCommand::Image { image } => image.booted().map(|_| ExitCode::SUCCESS),
        LabCommand::Shell { image, name, world } => {
            shell(image, name.as_deref().unwrap_or(image.name()), world)?;
            Ok(ExitCode::SUCCESS)
        }
        LabCommand::Install { guest } => {
            Product::build(Build::Quick)?.install(&shell::attach(&guest)?)?;
            Ok(ExitCode::SUCCESS)
        }
        LabCommand::Exec(exec) => match exec.image {
            Some(image) => {
                let vm = Vm::start(&image.booted()?, &Wire::None)?;
                run_in(vm.agent(), &exec)
            }
            None => run_in(&shell::attach(&exec.guest)?, &exec),
        },
        LabCommand::Put { guest, local, remote } => {
            let content = fs::read(&local).with_context(|| format!("reading {}", local.display()))?;
            let mode = fs::metadata(&local)?.permissions().mode() & 0o7777;
            shell::attach(&guest)?.put(&remote, mode, &content)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn shell(image: Image, name: &str, contents: Contents) -> Result<()> {
    match contents {
        Contents::Bare => shell::serve(name, Vm::start(&image.booted()?, &Wire::None)?.agent()),
        Contents::Plain => shell::serve(name, World::plain(image)?.agent()),
        Contents::Product => shell::serve(name, World::with_product(image)?.agent()),
    }
}

fn run_in(agent: &Agent, exec: &Exec) -> Result<ExitCode> {
    let mut command = agent
        .command(exec.command.iter())
        .timeout(Duration::from_secs(exec.timeout));
    if let Some(netns) = &exec.netns {
        command = command.netns(netns);
    }
    if exec.stdin && !std::io::stdin().is_terminal() {
        let mut input = Vec::new();
        std::io::stdin().read_to_end(&mut input)?;
        command = command.stdin(input);
    }
    let output = command.output()?;
    std::io::stdout().write_all(output.stdout.as_bytes())?;
    std::io::stderr().write_all(output.stderr.as_bytes())?;
    if output.timed_out {
        eprintln!("killed after {} s", exec.timeout);
    }
    Ok(ExitCode::from(u8::try_from(output.status).unwrap_or(u8::MAX)))
}
