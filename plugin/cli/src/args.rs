//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use nmstate_ipsec_core::connection::Subnet;

pub use crate::nmstatectl::Show;

/// IPsec connections as policies declare them.
#[derive(Debug, Parser)]
#[command(name = "nmstate-ipsec", version, about)]
pub struct Args {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this host as documents declare it, all of a document or nothing of it
    Apply(Apply),
    /// Show what apply would change
    Diff(Diff),
    /// Turn the conn sections of an ipsec.conf into a document or a profile
    Import(Import),
    /// Turn a profile of NetworkManager, or the IPsec interfaces of a document, into conn sections of an ipsec.conf
    ///
    /// No secret is written.
    Export(Export),
    /// Look for faults in documents, without a host
    ///
    /// Each finding is a line: file, line, column, severity, code and text. The exit status says the worst of them: 0 if
    /// there is none, or none worse than an info; 1 if the worst is a warning; 2 if it is an error.
    Check(Check),
    /// Show the state of the network, as nmstatectl does
    Show(Show),
    /// Show what connections are doing
    Status(Status),
    /// Bring connections up, now and after every boot
    Up(Connections),
    /// Take connections down, and keep them down, also after a boot
    Down(Connections),
    /// Wait until every connection is up that is to be up
    ///
    /// Those that only a person can help are not waited for. The exit status is 1 if some are not up by then.
    WaitOnline(WaitOnline),
    /// Hold back what a connection encrypts whenever it would leave in clear, or tell whether that is so
    Guard(Guard),
    /// Bring certificates into libreswan's database, look at them, take them out
    Cert(crate::command::cert::Cert),
    /// Write what brings certificates to the nodes of a cluster
    Render(crate::command::render::Render),
    /// Make what was applied with --no-commit last
    Commit,
    /// Undo what was applied with --no-commit
    Rollback,
}

/// Which documents, and which of them are for this host.
#[derive(Debug, clap::Args)]
pub struct Documents {
    /// Files with policies or desired state, in YAML or JSON; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Labels of this host beside those in /etc/nmstate-ipsec/node-labels, for a policy's nodeSelector
    #[arg(long, value_name = "KEY=VALUE,...")]
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
    /// Leave it to 'commit' or 'rollback'; undone at the time-out without either
    #[arg(long)]
    pub no_commit: bool,
    /// Until everything is undone that was not committed
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u32,
    /// Wait no longer than this for a peer to answer [default: as the profile says, vpn.timeout]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    pub wait: u32,
    /// Take a peer that does not answer for a failure; else it is tried further
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
    /// The interface; all that were asked for since nmstate-ipsecd was started without
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
    /// Wait no longer than this for a peer to answer [default: as the profile says, vpn.timeout]
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
    /// Set the guard, or take it away; without, tell whether the connection is to be guarded
    #[arg(value_enum)]
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
    /// Write policies (NodeNetworkConfigurationPolicy), not a plain desired state
    #[arg(long)]
    pub policy: bool,
    /// Write a profile of NetworkManager (a keyfile)
    #[arg(long, conflicts_with = "policy")]
    pub profile: bool,
    /// Put all connections into one policy of this name; else each has one called after it
    #[arg(long, requires = "policy")]
    pub name: Option<String>,
    /// Import the connection of this name only
    #[arg(long, value_name = "NAME")]
    pub conn: Option<String>,
    /// Which side of the connections this host is
    #[arg(long, value_enum, default_value_t = Side::Left)]
    pub local: Side,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// `left`, as in documents and profiles
    Left,
    /// `right`; left and right change places
    Right,
}

/// What is exported.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Name of a profile of this host; or a file with policies or desired state, '-' being standard input
    #[arg(value_name = "NAME|FILE.yaml")]
    pub source: PathBuf,
    /// The interface of the file; all of type 'ipsec' without
    #[arg(value_name = "INTERFACE")]
    pub name: Option<String>,
}

/// What is to be looked at.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Files with policies or desired state, in YAML or JSON, or configurations (FILE.conf); '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where certificates are looked for, as NICKNAME.p12 or .pem [default: beside each document]
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// A network in which a cluster has its pods, or the tunnels between them: no connection should take their traffic
    #[arg(long, value_name = "CIDR")]
    pub pod_network: Vec<Subnet>,
    /// For programs: one object with a list of findings and their numbers
    #[arg(long)]
    pub json: bool,
}
