//! The command line of `nmstate-ipsec render`.

use std::path::PathBuf;

use clap::Subcommand;

use super::name::{ObjectName, PoolName};

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
    /// Write the MachineConfig that brings certificates to the nodes of an OpenShift cluster, without butane
    ///
    /// The bundles are judged first, as 'cert import' does; nothing is written if one is of no use. Behind the MachineConfig
    /// stands the node disruption policy that saves the nodes the reboot. The output holds the private keys.
    #[command(after_help = EXAMPLE)]
    MachineConfig(MachineConfig),
}

const EXAMPLE: &str = "\
Example:
  nmstate-ipsec render machine-config --role worker --bundle left_server.p12 --ca ca.pem |
    oc apply --server-side --field-manager 99-worker-ipsec-certificates -f -

The policy is a part of the cluster's one MachineConfiguration: --server-side adds it to what others have there, and a
field manager for each MachineConfig keeps them apart.";

/// What the nodes are to get, and how it is written.
#[derive(Debug, clap::Args)]
pub struct MachineConfig {
    /// Machine config pool whose nodes get the certificates, such as worker or master
    #[arg(long, value_name = "POOL")]
    pub role: PoolName,
    /// PKCS#12, or PEM with certificate, key and chain; may be given several times
    #[arg(long = "bundle", required = true, value_name = "FILE")]
    pub bundles: Vec<PathBuf>,
    /// Authority to trust, in PEM or DER; may be given several times; without any those that the bundles bring
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// The key, if the bundle is PEM and lacks it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What the certificate is to be called (leftcert) [default: the file's name without its ending]
    #[arg(long, value_name = "NAME")]
    pub nickname: Option<String>,
    /// File with the bundle's password; '-' is standard input [default: NICKNAME_password in /run/secrets or beside the bundle]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// For nodes without our package: bring a script and its unit along, as the documentation of OpenShift does
    #[arg(long)]
    pub script: bool,
    /// Name of the MachineConfig [default: 99-POOL-ipsec-certificates, with --script 99-POOL-import-certs]
    #[arg(long, value_name = "NAME")]
    pub name: Option<ObjectName>,
    /// Leave the node disruption policy out; without one the nodes reboot
    #[arg(long)]
    pub no_disruption_policy: bool,
    /// Write JSON, both objects in one List
    #[arg(long)]
    pub json: bool,
    /// The file to be made, which must not be there and only you can read [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
