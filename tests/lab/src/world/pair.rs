//! Two guests with a cable between them, for stories in which a host reboots: what is on the wire, and the
//! peer, outlive it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Captured, Host, PKI_SCRIPT, Place, hash};
use crate::agent::Agent;
use crate::artefacts;
use crate::image::Image;
use crate::install;
use crate::snapshot::Snapshot;
use crate::tools;
use crate::vm::{Vm, Wire};

/// NetworkManager owns the network card, which in other worlds is nobody's.
const NETWORKMANAGER_CONFIG: &str = "[device-lab-plumbing]\nmatch-device=interface-name:wire*\nmanaged=0\n";

const PROFILE: &str = include_str!("files/pair-base.nmconnection");
const START_SCRIPT: &str = include_str!("files/pair-start.sh");

/// Two running guests: left with what this workspace builds, right with plain libreswan.
#[derive(Debug)]
pub struct Pair {
    left: Vm,
    right: Vm,
    /// Holds the ends of the cable.
    _cable: TempDir,
}

impl Pair {
    /// Starts both guests and connects them; left has the same addresses, certificates and services as in a
    /// [`super::World`].
    ///
    /// # Errors
    /// The workspace does not build, or a guest could not be made.
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
        let plain = snapshot(image)?;
        let installed = product.added_to(&plain, "pair_product")?;

        let cable = tempfile::Builder::new().prefix("lab-cable-").tempdir()?;
        let (one, other) = (cable.path().join("left"), cable.path().join("right"));
        let left = Vm::start(&installed, &wire(&one, &other))?;
        let right = Vm::start(&plain, &wire(&other, &one))?;
        configure(left.agent(), "left", 251, 252).context("configuring left")?;
        configure(right.agent(), "right", 252, 251).context("configuring right")?;
        Ok(Self {
            left,
            right,
            _cable: cable,
        })
    }

    /// The host that is tested.
    #[must_use]
    pub fn left(&self) -> Host<'_> {
        Host::new(self.left.agent(), Place::Guest)
    }

    /// The peer.
    #[must_use]
    pub fn right(&self) -> Host<'_> {
        Host::new(self.right.agent(), Place::Guest)
    }

    /// left's guest, to reboot it.
    #[must_use]
    pub fn left_vm(&self) -> &Vm {
        &self.left
    }

    /// right's guest, to reboot it.
    #[must_use]
    pub fn right_vm(&self) -> &Vm {
        &self.right
    }

    /// Both guests with their names, for artefacts.
    #[must_use]
    pub fn guests(&self) -> [(&str, &Vm); 2] {
        [("left", &self.left), ("right", &self.right)]
    }

    /// Adds to an error where this pair's artefacts are.
    #[must_use]
    pub fn explain(&self, name: &str, error: anyhow::Error) -> anyhow::Error {
        artefacts::explain(&self.guests(), name, error)
    }

    /// Starts to record what is on the cable.
    ///
    /// # Errors
    /// QEMU refuses to record.
    pub fn capture(&self) -> Result<PairCapture<'_>> {
        let pcap = self.right.run_dir().join("wire.pcap");
        self.right.start_recording(&pcap)?;
        Ok(PairCapture {
            right: &self.right,
            pcap,
        })
    }
}

/// A running record of the cable.
#[derive(Debug)]
pub struct PairCapture<'pair> {
    right: &'pair Vm,
    pcap: PathBuf,
}

impl PairCapture<'_> {
    /// Ends the record.
    ///
    /// # Errors
    /// It could not be ended or read.
    pub fn stop(self) -> Result<Captured> {
        self.right.stop_recording()?;
        let bytes = fs::read(&self.pcap).with_context(|| format!("reading {}", self.pcap.display()))?;
        Captured::recorded(self.right.agent(), &bytes)
    }
}

fn wire(own: &std::path::Path, peer: &std::path::Path) -> Wire {
    Wire::Pair {
        own: own.to_owned(),
        peer: peer.to_owned(),
    }
}

fn snapshot(image: Image) -> Result<Snapshot> {
    let booted = image.booted()?;
    let nmstatectl = fs::read(tools::NMSTATECTL.path()?).context("reading nmstatectl")?;
    let identity = booted.identity();
    let hash = hash(&[
        identity.as_bytes(),
        NETWORKMANAGER_CONFIG.as_bytes(),
        PKI_SCRIPT.as_bytes(),
        &nmstatectl,
    ]);
    booted.derive("pair", &hash, |vm| {
        eprintln!("lab: {image}: making a host of a pair");
        let agent = vm.agent();
        agent.put(
            "/etc/NetworkManager/conf.d/zz-pair.conf",
            0o644,
            NETWORKMANAGER_CONFIG.as_bytes(),
        )?;
        agent.put("/usr/bin/nmstatectl", 0o755, &nmstatectl)?;
        agent.shell(PKI_SCRIPT).run().context("making certificates")?;
        let script = "systemctl enable --quiet ipsec.service; systemctl restart NetworkManager.service";
        agent.shell(script).run().map(drop)
    })
}

/// Gives a fresh guest its name, addresses and certificate, and starts IKE. `own` and `peer` are the last
/// parts of the addresses.
fn configure(agent: &Agent, name: &str, own: u8, peer: u8) -> Result<()> {
    let mac = format!("52:54:00:00:00:{own:02x}");
    let profile = PROFILE
        .replace("<mac>", &mac)
        .replace("<own>", &own.to_string())
        .replace("<peer>", &peer.to_string());
    let path = "/etc/NetworkManager/system-connections/base.nmconnection";
    agent.put(path, 0o600, profile.as_bytes())?;
    agent.shell(START_SCRIPT).env("HOST", name).run().map(drop)
}
