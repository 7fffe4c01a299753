//! The world of a test: the hosts left and right, and the wire between them, all in one guest.

mod bus;
pub(crate) mod capture;
mod hosts;
mod pair;
mod xfrm;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub use bus::{BusMessage, BusMonitor, RECORD as BUS_RECORD};
pub use capture::{Capture, Captured};
pub use hosts::{ADDCONN, Host, WHACK};
pub use pair::Pair;

use hosts::Place;

use crate::agent::Agent;
use crate::artefacts;
use crate::image::Image;
use crate::install;
use crate::snapshot::Snapshot;
use crate::tools;
use crate::vm::{Vm, Wire};

/// left's IPv4 address on the wire.
pub const LEFT_V4: &str = "192.0.2.251";
/// right's IPv4 address on the wire.
pub const RIGHT_V4: &str = "192.0.2.252";
/// left's IPv6 address on the wire.
pub const LEFT_V6: &str = "2001:db8:2::251";
/// right's IPv6 address on the wire.
pub const RIGHT_V6: &str = "2001:db8:2::252";
/// An address behind right that is reached through right only.
pub const BEHIND_V4: &str = "198.51.100.1";
/// The IPv6 address behind right.
pub const BEHIND_V6: &str = "2001:db8:51::1";

const NETWORK_SCRIPT: &str = include_str!("files/network.sh");
const PKI_SCRIPT: &str = include_str!("files/pki.sh");
const START_SCRIPT: &str = include_str!("files/start.sh");

/// Files of the guest: path, permission bits, content.
const FILES: [(&str, u32, &str); 4] = [
    (
        "/etc/NetworkManager/system-connections/base.nmconnection",
        0o600,
        include_str!("files/base.nmconnection"),
    ),
    (
        "/etc/systemd/system/right-ipsec.service",
        0o644,
        include_str!("files/right-ipsec.service"),
    ),
    ("/etc/right/ipsec.conf", 0o644, "config setup\n"),
    ("/etc/right/ipsec.secrets", 0o600, ""),
];

/// A running world. It ends when dropped.
#[derive(Debug)]
pub struct World {
    vm: Vm,
    image: Image,
}

impl World {
    /// Both hosts with libreswan, certificates and upstream's nmstatectl, but nothing of ours.
    ///
    /// # Errors
    /// The world could not be made; the error says at which step.
    pub fn plain(image: Image) -> Result<Self> {
        Self::start(image, &plain_snapshot(image)?)
    }

    /// The same with what this workspace builds installed on left.
    ///
    /// # Errors
    /// The workspace does not build, or the world could not be made.
    pub fn with_product(image: Image) -> Result<Self> {
        Self::with(image, install::Product::of_this_run()?.as_ref())
    }

    /// The same built as users get it, for measurements.
    ///
    /// # Errors
    /// As for [`Self::with_product`].
    pub fn with_release(image: Image) -> Result<Self> {
        Self::with(image, &install::Product::build(install::Build::Release)?)
    }

    fn with(image: Image, product: &install::Product) -> Result<Self> {
        Self::start(image, &product.added_to(&plain_snapshot(image)?, "product")?)
    }

    fn start(image: Image, snapshot: &Snapshot) -> Result<Self> {
        let vm = Vm::start(snapshot, &Wire::None).with_context(|| format!("starting a world on {image}"))?;
        Ok(Self { vm, image })
    }

    /// The guest that everything is in.
    #[must_use]
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Which Debian it is.
    #[must_use]
    pub fn image(&self) -> Image {
        self.image
    }

    /// The agent of the guest.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        self.vm.agent()
    }

    /// The host with systemd, NetworkManager and whatever is tested.
    #[must_use]
    pub fn left(&self) -> Host<'_> {
        Host::new(self.agent(), Place::Guest)
    }

    /// The peer, a plain libreswan.
    #[must_use]
    pub fn right(&self) -> Host<'_> {
        Host::new(self.agent(), Place::NamespaceRight)
    }

    /// Adds to an error where this world's artefacts are.
    #[must_use]
    pub fn explain(&self, name: &str, error: anyhow::Error) -> anyhow::Error {
        artefacts::explain(&[("guest", &self.vm)], name, error)
    }

    /// Starts to record what NetworkManager and the plugin on left say to each other.
    ///
    /// # Errors
    /// The record could not be started.
    pub fn monitor_bus(&self) -> Result<BusMonitor> {
        BusMonitor::start(self.agent())
    }

    /// Starts to record what is on the wire.
    ///
    /// # Errors
    /// The capture could not be started.
    pub fn capture(&self) -> Result<Capture> {
        Capture::start(self.agent(), "left0")
    }

    /// The same at one of the bridge's devices, `right0` say, which outlives left's.
    ///
    /// # Errors
    /// The capture could not be started.
    pub fn capture_at(&self, device: &str) -> Result<Capture> {
        Capture::start(self.agent(), device)
    }
}

/// Twelve hexadecimal digits that stand for these inputs.
pub(crate) fn hash(inputs: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(input.len().to_le_bytes());
        hash.update(input);
    }
    let mut digits = format!("{:x}", hash.finalize());
    digits.truncate(12);
    digits
}

fn plain_snapshot(image: Image) -> Result<Snapshot> {
    let booted = image.booted()?;
    let nmstatectl = std::fs::read(tools::NMSTATECTL.path()?).context("reading nmstatectl")?;
    let identity = booted.identity();
    let files = format!("{FILES:?} {NETWORK_SCRIPT} {PKI_SCRIPT} {START_SCRIPT}");
    let hash = hash(&[identity.as_bytes(), files.as_bytes(), &nmstatectl]);
    booted.derive("world", &hash, |vm| {
        eprintln!("lab: {image}: making the world of the tests");
        let agent = vm.agent();
        for (path, mode, content) in FILES {
            agent.put(path, mode, content.as_bytes())?;
        }
        agent.put("/usr/bin/nmstatectl", 0o755, &nmstatectl)?;
        agent.shell(NETWORK_SCRIPT).run().context("making the network")?;
        agent.shell(PKI_SCRIPT).run().context("making certificates")?;
        agent
            .shell(START_SCRIPT)
            .run()
            .context("starting IKE on both hosts")?;
        Ok(())
    })
}
