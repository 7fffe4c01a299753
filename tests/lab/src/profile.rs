//! VPN profiles of NetworkManager: made, brought up and taken down with nmcli, as a user would.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::agent::{Output, wait_until};
use crate::world::Host;

/// nmcli waits for NetworkManager, which gives up after `vpn.timeout`; a busy machine needs room beyond that.
const NMCLI_TIMEOUT: Duration = Duration::from_secs(180);

/// NetworkManager does not wait for a VPN that it has deleted to be down.
const GONE_TIMEOUT: Duration = Duration::from_secs(20);

/// A profile of type vpn for libreswan, based on `net0`.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    data: String,
    secrets: Vec<String>,
    properties: Vec<[String; 2]>,
}

impl Profile {
    /// A profile with this `vpn.data` as nmcli takes it: `key=value, key=value`, a comma within a value behind
    /// a backslash. Only IPv4 is to be configured by the tunnel, and it is up when the story says so, not before.
    #[must_use]
    pub fn new(name: &str, data: &str) -> Self {
        Self {
            name: name.to_owned(),
            data: data.to_owned(),
            secrets: Vec::new(),
            properties: Vec::new(),
        }
        .property("ipv4.method", "auto")
        .property("ipv6.method", "disabled")
        .property("connection.autoconnect", "no")
    }

    /// The same with a secret, such as `pskvalue`.
    #[must_use]
    pub fn secret(mut self, key: &str, value: &str) -> Self {
        self.secrets.push(format!("{key}={value}"));
        self
    }

    /// The same with another value of a property, such as `vpn.timeout`.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.retain(|[known, _]| known != name);
        self.properties.push([name.to_owned(), value.to_owned()]);
        self
    }

    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands the profile to NetworkManager.
    ///
    /// # Errors
    /// nmcli refuses it.
    pub fn add(&self, host: Host<'_>) -> Result<()> {
        let secrets = self.secrets.join(", ");
        let profile = [
            ["con-name", &self.name],
            ["ifname", "net0"],
            ["vpn-type", "libreswan"],
            ["vpn.data", &self.data],
            ["vpn.secrets", &secrets],
        ];
        let properties = self.properties.iter().flatten().map(String::as_str);
        let add = ["nmcli", "connection", "add", "type", "vpn"];
        host.command(
            add.into_iter()
                .chain(profile.into_iter().flatten())
                .chain(properties),
        )
        .run()
        .with_context(|| format!("adding the profile {}", self.name))
        .map(drop)
    }

    /// Brings the profile up, and returns what nmcli said, however that ended.
    ///
    /// # Errors
    /// nmcli could not be run.
    pub fn activate(&self, host: Host<'_>) -> Result<Output> {
        host.command(["nmcli", "connection", "up", &self.name])
            .timeout(NMCLI_TIMEOUT)
            .output()
    }

    /// Hands the profile to NetworkManager and brings it up.
    ///
    /// # Errors
    /// It does not come up; the error holds what nmcli said.
    pub fn up(&self, host: Host<'_>) -> Result<()> {
        self.add(host)?;
        let output = self.activate(host)?;
        ensure!(
            output.success(),
            "{} does not come up: {}{}",
            self.name,
            output.stdout,
            output.stderr
        );
        Ok(())
    }

    /// Takes the profile down; it stays with NetworkManager.
    ///
    /// # Errors
    /// It was not up.
    pub fn down(&self, host: Host<'_>) -> Result<()> {
        host.command(["nmcli", "connection", "down", &self.name])
            .timeout(NMCLI_TIMEOUT)
            .run()
            .with_context(|| format!("taking {} down", self.name))
            .map(drop)
    }

    /// Takes the profile from NetworkManager, which takes it down first.
    ///
    /// # Errors
    /// NetworkManager does not have it.
    pub fn delete(&self, host: Host<'_>) -> Result<()> {
        host.command(["nmcli", "connection", "delete", &self.name])
            .timeout(NMCLI_TIMEOUT)
            .run()
            .with_context(|| format!("deleting {}", self.name))
            .map(drop)
    }

    /// Waits until neither the kernel, nor pluto, nor the disk has anything of the profile.
    ///
    /// # Errors
    /// Something is left; the error shows it.
    pub fn ensure_gone(&self, host: Host<'_>) -> Result<()> {
        host.await_empty_kernel()?;
        let mut left_over = String::new();
        let gone = wait_until("pluto and the disk have nothing", GONE_TIMEOUT, || {
            left_over = self.left_over(host)?;
            Ok(left_over.is_empty().then_some(()))
        });
        gone.with_context(|| format!("left of {}: {left_over}", self.name))
    }

    /// Secrets on the disk, and what pluto knows of the profile.
    fn left_over(&self, host: Host<'_>) -> Result<String> {
        let secrets = ["find", "/etc/ipsec.d", "-name", "*nmstate-ipsec-*"];
        let mut left_over = host.command(secrets).run()?;
        let status = host.whack(["--status"]).output()?.stdout;
        let name = format!("\"{}-", self.name);
        for line in status.lines().filter(|line| line.contains(&name)) {
            left_over.push_str(line);
            left_over.push('\n');
        }
        Ok(left_over)
    }
}
