//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use nmstate_ipsec_core::connection::Subnet;

use crate::help;
pub use crate::nmstatectl::Show;

/// IPsec connections as policies declare them.
#[derive(Debug, Parser)]
#[command(name = "nmstate-ipsec", version, about, after_help = help::TOP)]
pub struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this host as documents declare it, all of a document or nothing of it
    #[command(after_help = help::APPLY)]
    Apply(Apply),
    /// Show what apply would change
    #[command(after_help = help::DIFF)]
    Diff(Diff),
    /// Turn the conn sections of an ipsec.conf into a document or a profile
    #[command(after_help = help::IMPORT)]
    Import(Import),
    /// Turn a profile, or a document's IPsec interfaces, into conn sections of an ipsec.conf
    #[command(after_help = help::EXPORT)]
    Export(Export),
    /// Look for faults in documents, without a host
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// Show the state of the network, as nmstatectl does
    #[command(after_help = help::SHOW)]
    Show(Show),
    /// Show what connections are doing
    #[command(after_help = help::STATUS)]
    Status(Status),
    /// Bring connections up, now and after every boot
    #[command(after_help = help::UP)]
    Up(Connections),
    /// Take connections down, and keep them down, also after a boot
    #[command(after_help = help::DOWN)]
    Down(Connections),
    /// Wait until every connection is up that is to be up
    #[command(after_help = help::WAIT_ONLINE)]
    WaitOnline(WaitOnline),
    /// Hold back what a connection encrypts whenever it would leave in clear
    #[command(after_help = help::GUARD)]
    Guard(Guard),
    /// Bring certificates into libreswan's database, look at them, take them out
    #[command(after_help = help::CERT)]
    Cert(crate::command::cert::Cert),
    /// Write what brings certificates to the nodes of a cluster
    #[command(after_help = help::RENDER)]
    Render(crate::command::render::Render),
    /// Make what was applied with --no-commit last
    #[command(after_help = help::COMMIT)]
    Commit,
    /// Undo what was applied with --no-commit
    #[command(after_help = help::ROLLBACK)]
    Rollback,
}

/// Which documents, and which of them are for this host.
#[derive(Debug, clap::Args)]
pub struct Documents {
    /// Files with policies or desired state, in YAML or JSON; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Labels of this host, beside those in /etc/nmstate-ipsec/node-labels
    #[arg(long, value_name = "K=V,...")]
    pub node_labels: Option<String>,
    /// What kubernetes.io/hostname is, if not the host's name
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
}

/// How documents are applied.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// Which documents.
    #[command(flatten)]
    pub documents: Documents,
    /// Do not check afterwards that everything is as declared
    #[arg(short, long)]
    pub no_verify: bool,
    /// Leave it to 'commit' or 'rollback'; undone if neither is in time
    #[arg(long)]
    pub no_commit: bool,
    /// Until everything is undone that was not committed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u32,
    /// Longest wait for a peer [default: vpn.timeout of the profile]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    pub wait: u32,
    /// Take a peer that does not answer for a failure, not for one to try on
    #[arg(long)]
    pub require_established: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say what was done in JSON
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors and warnings
    #[arg(short, long)]
    pub quiet: bool,
    /// Say also what is sent, what was compared, and when
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// What is to be shown.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// Which documents.
    #[command(flatten)]
    pub documents: Documents,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Whose state is to be shown.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// The interface; without, all that somebody wanted up since nmstate-ipsecd was started
    pub name: Option<String>,
    /// Show it again whenever something changes, until interrupted
    #[arg(short, long)]
    pub watch: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Which connections, and what is said.
#[derive(Debug, clap::Args)]
pub struct Connections {
    /// Interfaces, as their profiles are called
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Longest wait for a peer [default: vpn.timeout of the profile]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    pub wait: u32,
    /// Say what was done in JSON
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors and warnings
    #[arg(short, long)]
    pub quiet: bool,
}

/// How long is waited.
#[derive(Debug, clap::Args)]
pub struct WaitOnline {
    /// How long at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u32,
}

/// Whose guard is meant, and what is to become of it.
#[derive(Debug, clap::Args)]
pub struct Guard {
    /// Name or UUID of the connection
    pub name: String,
    /// Set the guard from now on and at every boot, or take it away; without, tell
    // Values with help of their own would give each option a paragraph.
    #[arg(value_enum, value_name = "on|off", hide_possible_values = true)]
    pub switch: Option<Switch>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// From now on, in every state of the connection, and from the host's start on
    On,
    /// No longer
    Off,
}

/// What is imported, and into what.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// File with conn sections, such as one in /etc/ipsec.d
    #[arg(value_name = "FILE.conf")]
    pub file: PathBuf,
    /// Write policies (NodeNetworkConfigurationPolicy), not desired state
    #[arg(long)]
    pub policy: bool,
    /// Write a profile of NetworkManager (a keyfile)
    #[arg(long, conflicts_with = "policy")]
    pub profile: bool,
    /// Put all into one policy of this name; else each has one called after it
    #[arg(long, requires = "policy")]
    pub name: Option<String>,
    /// Import the connection of this name only
    #[arg(long, value_name = "NAME")]
    pub conn: Option<String>,
    /// Which side this host is; 'right' has them change places
    // As for the guard's switch.
    #[arg(long, value_enum, value_name = "left|right", hide_possible_values = true, default_value_t = Side::Left)]
    pub local: Side,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// 'left', as in documents and profiles
    Left,
    /// 'right'; left and right change places
    Right,
}

/// What is exported.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// A profile of this host, or a file with policies or desired state, or '-'
    #[arg(value_name = "NAME|FILE.yaml")]
    pub source: PathBuf,
    /// The interface of the file; all of type 'ipsec' without
    #[arg(value_name = "INTERFACE")]
    pub name: Option<String>,
}

/// What is to be looked at.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Policies or desired state (YAML or JSON), or FILE.conf; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where NICKNAME.p12 or .pem is looked for [default: beside a document]
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// Network of a cluster's pods or tunnels, which no connection should take
    #[arg(long, value_name = "CIDR")]
    pub pod_network: Vec<Subnet>,
    /// For programs: one object with a list of findings and their numbers
    #[arg(long)]
    pub json: bool,
}
