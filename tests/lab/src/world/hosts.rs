//! The hosts of a world, and what is commonly done on them.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::xfrm;
use crate::agent::{Agent, GuestCommand, Output, wait_until};
use crate::document::Document;

/// pluto's control, on every host.
pub const WHACK: &str = "/usr/libexec/ipsec/whack";
/// What hands connections to pluto, on every host.
pub const ADDCONN: &str = "/usr/libexec/ipsec/addconn";

/// nmstatectl verifies and retries by itself, several times slower here than on hardware.
/// Where documents for our own command go.
const OUR_DOCUMENT: &str = "/root/policy.yaml";

const APPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// A negotiation takes about two seconds; a busy machine can multiply that.
const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is a guest itself.
    Guest,
    /// It is the namespace `right` of a guest, with a pluto whose paths are all its own.
    NamespaceRight,
}

/// One host of a world, or of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Host<'world> {
    agent: &'world Agent,
    place: Place,
}

impl<'world> Host<'world> {
    pub(super) fn new(agent: &'world Agent, place: Place) -> Self {
        Self { agent, place }
    }

    /// A command on this host, not yet started.
    pub fn command<I>(&self, argv: I) -> GuestCommand<'world>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.placed(self.agent.command(argv))
    }

    /// A shell script on this host; it stops at the first failing command.
    pub fn shell(&self, script: &str) -> GuestCommand<'world> {
        self.placed(self.agent.shell(script))
    }

    fn placed(&self, command: GuestCommand<'world>) -> GuestCommand<'world> {
        match self.place {
            Place::Guest => command,
            Place::NamespaceRight => command.netns("right"),
        }
    }

    /// A command to this host's pluto.
    pub fn whack<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> GuestCommand<'world> {
        let mut argv = vec![WHACK, "--ctlsocket", self.control_socket()];
        argv.extend(arguments);
        self.command(argv)
    }

    /// Where this host's pluto is controlled.
    #[must_use]
    pub fn control_socket(&self) -> &'static str {
        match self.place {
            Place::Guest => "/run/pluto/pluto.ctl",
            Place::NamespaceRight => "/run/right/pluto.ctl",
        }
    }

    /// Gives a connection to this host's pluto and sees that it took it; `options` are lines `key=value` of
    /// an ipsec.conf.
    ///
    /// # Errors
    /// addconn fails, or pluto does not know the connection afterwards.
    pub fn add_connection(&self, name: &str, options: &[&str]) -> Result<()> {
        let said = self.load_connection(name, options)?;
        let known = self.whack(["--status"]).run()?;
        // One with several subnets is listed as several, by number.
        let names = [format!("\"{name}\":"), format!("\"{name}/")];
        if !names.iter().any(|name| known.contains(name)) {
            bail!("pluto did not take the connection {name}, options {options:?}:\n{said}");
        }
        Ok(())
    }

    /// Gives a connection to this host's pluto and returns what addconn said, which succeeds now and then
    /// without pluto having taken it.
    ///
    /// # Errors
    /// addconn fails.
    pub fn load_connection(&self, name: &str, options: &[&str]) -> Result<String> {
        let mut config = format!("conn {name}\n");
        for option in options {
            config.push_str(&format!("    {option}\n"));
        }
        let argv = [
            ADDCONN,
            "--ctlsocket",
            self.control_socket(),
            "--config",
            "-",
            name,
        ];
        self.command(argv).stdin(config).run()
    }

    /// Negotiates a connection that was added before.
    ///
    /// # Errors
    /// No child SA came of it; the error holds what pluto said.
    pub fn initiate(&self, name: &str) -> Result<()> {
        let output = self
            .whack(["--name", name, "--initiate"])
            .timeout(NEGOTIATION_TIMEOUT)
            .output()?;
        // Its exit status tells of the IKE SA only.
        if !output.stdout.contains("established Child SA") {
            bail!("no child SA for {name}:\n{}{}", output.stdout, output.stderr);
        }
        Ok(())
    }

    /// Replaces the pre-shared keys of this host by one that holds for any peer.
    ///
    /// # Errors
    /// It could not be written or loaded.
    pub fn set_psk(&self, psk: &str) -> Result<()> {
        let path = match self.place {
            Place::Guest => "/etc/ipsec.d/lab.secrets",
            Place::NamespaceRight => "/etc/right/ipsec.secrets",
        };
        self.agent
            .put(path, 0o600, format!(": PSK \"{psk}\"\n").as_bytes())?;
        self.whack(["--rereadsecrets"]).run().map(drop)
    }

    /// Where the journal ends now, for `journalctl --after-cursor`.
    ///
    /// # Errors
    /// The journal is empty.
    pub fn journal_cursor(&self) -> Result<String> {
        let shown = self.shell("journalctl -n 0 --show-cursor --no-pager").run()?;
        let (_, cursor) = shown.split_once("cursor: ").context("the journal has no end")?;
        Ok(cursor.trim().to_owned())
    }

    /// Sends three pings to an address.
    ///
    /// # Errors
    /// Not one of them was answered.
    pub fn ping(&self, address: &str) -> Result<()> {
        let argv = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "3", address];
        self.command(argv)
            .run()
            .with_context(|| format!("pinging {address}"))
            .map(drop)
    }

    /// The kernel's SAs without their keys, as `ip xfrm state` prints them.
    ///
    /// # Errors
    /// They could not be listed.
    pub fn security_associations(&self) -> Result<String> {
        self.command(["ip", "xfrm", "state", "list", "nokeys"]).run()
    }

    /// The SPIs of the kernel's ESP SAs, sorted.
    ///
    /// # Errors
    /// They could not be listed.
    pub fn spis(&self) -> Result<Vec<String>> {
        Ok(xfrm::spis(&self.security_associations()?))
    }

    /// The kernel's policies that demand IPsec, as `ip xfrm policy` prints them; pluto's own exceptions for
    /// neighbour discovery are left out.
    ///
    /// # Errors
    /// They could not be listed.
    pub fn policies(&self) -> Result<String> {
        let listed = self.command(["ip", "xfrm", "policy", "list", "nosock"]).run()?;
        Ok(xfrm::demanding_policies(&listed))
    }

    /// Waits until the kernel has neither SA nor policy of any connection.
    ///
    /// # Errors
    /// Something is still there; the error shows it.
    pub fn await_empty_kernel(&self) -> Result<()> {
        let awaited = wait_until(
            "the kernel has neither SA nor policy",
            Duration::from_secs(20),
            || {
                let empty = self.spis()?.is_empty() && self.policies()?.is_empty();
                Ok(empty.then_some(()))
            },
        );
        awaited.with_context(|| {
            let states = self.security_associations().unwrap_or_default();
            let policies = self.policies().unwrap_or_default();
            format!("still in the kernel of {:?}:\n{states}{policies}", self.place)
        })
    }

    /// Applies a document with nmstatectl, as a user would.
    ///
    /// # Errors
    /// nmstatectl failed; the error holds what it printed.
    pub fn apply(&self, document: &Document) -> Result<String> {
        self.try_apply(document)?.checked()
    }

    /// Applies a document that must be refused, and returns what nmstatectl printed.
    ///
    /// # Errors
    /// nmstatectl succeeded.
    pub fn apply_expecting_failure(&self, document: &Document) -> Result<Output> {
        let output = self.try_apply(document)?;
        if output.success() {
            bail!(
                "nmstatectl applied what it had to refuse:\n{}",
                document.desired_state()?
            );
        }
        Ok(output)
    }

    /// Applies a document with `nmstate-ipsec apply` and further arguments, and returns what became of that.
    ///
    /// # Errors
    /// The command could not be run.
    pub fn apply_ours(&self, document: &Document, arguments: &[&str]) -> Result<Output> {
        self.agent.put(OUR_DOCUMENT, 0o600, document.text().as_bytes())?;
        let argv = ["nmstate-ipsec", "apply", OUR_DOCUMENT];
        self.command(argv.into_iter().chain(arguments.iter().copied()))
            .timeout(APPLY_TIMEOUT)
            .output()
    }

    fn try_apply(&self, document: &Document) -> Result<Output> {
        let path = "/root/desired.yaml";
        self.agent
            .put(path, 0o600, document.desired_state()?.as_bytes())?;
        self.command(["nmstatectl", "apply", path])
            .timeout(APPLY_TIMEOUT)
            .output()
    }
}
