//! The command line of upstream's nmstatectl, 2.2.62.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

/// The version of upstream's command whose face this is.
pub(crate) const UPSTREAM_VERSION: &str = "2.2.62";

/// Declares the network of a host, connections of IPsec with all their keys included.
#[derive(Debug, Parser)]
#[command(name = "nmstatectl", version = UPSTREAM_VERSION)]
pub(crate) struct Args {
    /// Log more; twice for the programs that are used as well
    #[arg(short, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Log nothing
    #[arg(short, global = true)]
    pub(crate) quiet: bool,
    /// What is to be done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Configure VLANs and bonds as switches announce them (LLDP)
    Autoconf(Autoconf),
    /// Show the state of the network
    #[command(alias = "s")]
    Show(Show),
    /// Apply desired state or a policy
    #[command(aliases = ["a", "set"])]
    Apply(Apply),
    /// Print the profiles of NetworkManager that a desired state comes to
    #[command(name = "gc")]
    GenConf(OneFile),
    /// Make what was applied without commit last
    Commit(End),
    /// Undo what was applied without commit
    Rollback(End),
    /// Change the state of the network in an editor ($EDITOR)
    Edit(Edit),
    /// Apply the files of a directory
    Service(Service),
    /// Print the desired state that a policy comes to
    #[command(alias = "p")]
    Policy(Policy),
    /// Print a desired state as nmstate writes it
    #[command(aliases = ["f", "fmt"])]
    Format(Format),
    /// Print the desired state that would undo one
    #[command(name = "gr")]
    GenRevert(Against),
    /// Print what features desired states make use of
    #[command(alias = "st")]
    Statistic(Statistic),
    /// Check desired state or a policy
    #[command(alias = "v")]
    Validate(Validate),
    /// Show the version
    Version,
    /// Pin network interfaces to their names
    #[command(hide = true)]
    PersistNicNames(PersistNicNames),
}

/// What is shown.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Show {
    /// The interface; all without
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// What the kernel has only
    #[arg(short, long)]
    pub kernel: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
    /// What is configured only, without what DHCP and the like have brought
    #[arg(short, long = "running-config")]
    pub running_config: bool,
    /// Show secrets, which are hidden without
    #[arg(short, long = "show-secrets")]
    pub secrets: bool,
}

/// How it is applied.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// Files with desired state or policies; standard input without, or if the first is '-'
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Do not check afterwards that everything is as desired
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Have the kernel alone changed, not NetworkManager
    #[arg(short, long)]
    pub(crate) kernel: bool,
    /// Leave it to 'commit' or 'rollback'; undone at the time-out without either
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Seconds until everything is undone that was not committed
    // A text, since upstream's exit status for one that is no number is not that of a wrong command line.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,
    /// Show secrets in what has changed
    #[arg(short, long = "show-secrets")]
    pub(crate) secrets: bool,
    /// Keep nothing on the disk
    #[arg(long)]
    pub(crate) memory_only: bool,
    /// Keep nothing of an interface's settings that is not desired
    #[arg(long)]
    pub(crate) override_iface: bool,
}

/// What is edited, and how it is applied.
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// The interface; all without
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Do not check afterwards that everything is as desired
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Have the kernel alone changed, not NetworkManager
    #[arg(short, long)]
    pub(crate) kernel: bool,
    /// Leave it to 'commit' or 'rollback'
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Keep nothing on the disk
    #[arg(long)]
    pub(crate) memory_only: bool,
}

/// One file.
#[derive(Debug, clap::Args)]
pub(crate) struct OneFile {
    /// File with desired state or a policy; '-' is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// One file, or standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Format {
    /// File with desired state or a policy; '-' is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

/// What is to last or to be undone.
#[derive(Debug, clap::Args)]
pub(crate) struct End {
    /// NetworkManager's checkpoint; the one that there is without
    #[arg(value_name = "CHECKPOINT", default_value = "", hide_default_value = true)]
    pub(crate) checkpoint: String,
}

/// Which directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Service {
    /// Directory with files of desired state
    #[arg(short, long, value_name = "DIRECTORY", default_value = "/etc/nmstate")]
    pub(crate) config: PathBuf,
}

/// Which policy, and what it is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Policy {
    /// File with a policy
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File with the state that captures look at; the network's without
    #[arg(short, long, value_name = "FILE")]
    pub(crate) current: Option<PathBuf>,
    /// File with captured states, as --output-captured writes it
    #[arg(short = 'a', long, value_name = "FILE")]
    pub(crate) captured: Option<PathBuf>,
    /// File that captured states are written to
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output_captured: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// A file, and what it is compared with.
#[derive(Debug, clap::Args)]
pub(crate) struct Against {
    /// File with desired state or a policy; '-' is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// File with the state that it is compared with; the network's without
    #[arg(short, long, value_name = "FILE")]
    pub(crate) current: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Files, and what they are compared with.
#[derive(Debug, clap::Args)]
pub(crate) struct Statistic {
    /// Files with desired state; '-' is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// File with the state that they are compared with; the network's without
    #[arg(short, long, value_name = "FILE")]
    pub(crate) current: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// A file, and what it is checked against.
#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    /// File with desired state or a policy; '-' is standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) file: PathBuf,
    /// File with the state that it would change
    #[arg(short, long, value_name = "FILE")]
    pub(crate) current: Option<PathBuf>,
}

/// Which network cards, and whether anything is done.
#[derive(Debug, clap::Args)]
pub(crate) struct Autoconf {
    /// Print what would be applied, and apply nothing
    #[arg(short, long)]
    pub(crate) dry_run: bool,
    /// The network cards that may be used, separated by commas; all without
    #[arg(value_name = "NAME,...")]
    pub(crate) only: Option<String>,
}

/// How names are pinned.
#[derive(Debug, clap::Args)]
pub(crate) struct PersistNicNames {
    /// Change nothing, and log what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The same as --cleanup --dry-run
    #[arg(long)]
    pub(crate) inspect: bool,
    /// Remove what was pinned and has the same name without
    #[arg(long)]
    pub(crate) cleanup: bool,
    /// File for kernel arguments that are to be added, or with --cleanup removed
    #[arg(long, value_name = "FILE")]
    pub(crate) kargs_out: Option<PathBuf>,
    /// Where the host's files are
    #[arg(short, long, value_name = "DIRECTORY", default_value = "/")]
    pub(crate) root: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_operator_is_understood() {
        let args = parsed("nmstatectl show -vvv");
        assert_eq!(args.verbose, 3);
        assert!(matches!(args.command, Command::Show(Show { name: None, .. })));
        let Command::Apply(apply) = parsed("nmstatectl apply -vv --no-commit --timeout 480").command else {
            panic!("no apply");
        };
        assert!(apply.files.is_empty() && apply.no_commit && !apply.no_verify);
        assert_eq!(apply.timeout.as_deref(), Some("480"));
        let line = "nmstatectl policy --current current --json --output-captured captured policy";
        let Command::Policy(policy) = parsed(line).command else {
            panic!("no policy");
        };
        assert!(policy.json && policy.captured.is_none());
        assert_eq!(policy.file, PathBuf::from("policy"));
        assert!(matches!(parsed("nmstatectl st -").command, Command::Statistic(_)));
        for end in ["commit", "rollback"] {
            let line = format!("nmstatectl {end}");
            assert!(
                matches!(parsed(&line).command, Command::Commit(end) | Command::Rollback(end) if end.checkpoint.is_empty())
            );
        }
    }

    #[test]
    fn other_names_of_subcommands_are_known() {
        for line in [
            "nmstatectl s -k -s eth1",
            "nmstatectl -q -v a file other --memory-only --override-iface -k -s",
            "nmstatectl set -",
            "nmstatectl p policy -c current -a captured -o output",
            "nmstatectl f",
            "nmstatectl fmt file",
            "nmstatectl gc file",
            "nmstatectl gr file -c current --json",
            "nmstatectl st one two -c current --json",
            "nmstatectl v",
            "nmstatectl validate file -c current",
            "nmstatectl edit eth1 --no-verify -k --no-commit --memory-only",
            "nmstatectl service -c /tmp",
            "nmstatectl autoconf -d eth1,eth2",
            "nmstatectl commit /org/freedesktop/NetworkManager/Checkpoint/1",
            "nmstatectl persist-nic-names --dry-run --inspect --cleanup --kargs-out file -r /sysroot",
            "nmstatectl version",
        ] {
            parsed(line);
        }
    }

    #[test]
    fn what_upstream_refuses_is_refused_with_its_status() {
        for line in [
            "nmstatectl",
            "nmstatectl foo",
            "nmstatectl show eth1 eth2",
            "nmstatectl gc",
            "nmstatectl st",
            "nmstatectl apply -n",
            "nmstatectl show --timeout 3",
        ] {
            let refused = Args::try_parse_from(line.split(' ')).expect_err(line);
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
    }
}
