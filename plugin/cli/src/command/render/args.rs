//! The command line of `nmstate-ipsec render`.

use std::path::PathBuf;

use clap::Subcommand;

use super::name::{ObjectName, PoolName};
use crate::help;

/// What is to be rendered.
#[derive(Debug, clap::Args)]
pub struct Render {
    /// What is to be rendered.
    #[command(subcommand)]
    pub command: RenderCommand,
}

/// What is to be rendered.
#[derive(Debug, Subcommand)]
pub enum RenderCommand {
    /// Write the MachineConfig that brings certificates to the nodes of OpenShift
    #[command(after_help = help::RENDER_MACHINE_CONFIG)]
    MachineConfig(MachineConfig),
}

/// What the nodes are to get, and how it is written.
#[derive(Debug, clap::Args)]
pub struct MachineConfig {
    /// Pool whose nodes get the certificates, such as worker or master
    #[arg(long, value_name = "POOL")]
    pub role: PoolName,
    /// PKCS#12, or PEM with certificate, key and chain; may be repeated
    #[arg(long = "bundle", required = true, value_name = "FILE")]
    pub bundles: Vec<PathBuf>,
    /// Authority to trust; may be repeated [default: what the bundles bring]
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// The key, if the bundle is PEM and lacks it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What it is called (leftcert) [default: the file's name, no ending]
    #[arg(long, value_name = "NAME")]
    pub nickname: Option<String>,
    /// File with the bundle's password, or '-' [default: NICKNAME_password]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// For nodes without our package: bring a script and its unit along
    #[arg(long)]
    pub script: bool,
    /// Name of the MachineConfig [default: 99-POOL-ipsec-certificates]
    #[arg(long, value_name = "NAME")]
    pub name: Option<ObjectName>,
    /// Leave the node disruption policy out; without one the nodes reboot
    #[arg(long)]
    pub no_disruption_policy: bool,
    /// Write JSON, both objects in one List
    #[arg(long)]
    pub json: bool,
    /// The file to be made, readable by you alone [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
