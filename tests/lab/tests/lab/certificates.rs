//! Certificates from files into libreswan's database: by name, at boot, when they change, and by command.

mod boot;
mod by_name;
mod command;
mod machine_config;
mod renewal;
mod waited;

pub(crate) use boot::cold_boot;
pub(crate) use by_name::by_name;
pub(crate) use command::command;
pub(crate) use machine_config::machine_config;
pub(crate) use renewal::renewal;
pub(crate) use waited::waited_for;

use anyhow::{Context, Result, ensure};
use lab::agent::Output;
use lab::world::Host;

/// Where the bundles of the lab's authority are.
const PKI_DIR: &str = "/etc/lab-pki";

/// left's database.
const NSS: &str = "sql:/var/lib/ipsec/nss";

/// Empties left's database of the certificates that every world begins with.
pub(crate) fn forget_certificates(left: Host<'_>) -> Result<()> {
    let script = format!("certutil -F -d {NSS} -n left_server && certutil -D -d {NSS} -n 'Lab CA'");
    left.shell(&script).run().context("emptying the database")?;
    ensure!(listed(left)?.is_empty(), "the database is not empty");
    Ok(())
}

/// What `certutil -L` lists: names and trusts.
fn listed(left: Host<'_>) -> Result<Vec<String>> {
    let said = left.command(["certutil", "-L", "-d", NSS]).run()?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut listed: Vec<String> = said
        .lines()
        .filter(|line| line.matches(',').count() == 2)
        .map(words)
        .collect();
    // Of its heading.
    listed.retain(|line| !line.starts_with("SSL,"));
    listed.sort();
    Ok(listed)
}

/// How many keys the database has.
fn keys(left: Host<'_>) -> Result<usize> {
    let said = left.command(["certutil", "-K", "-d", NSS]).output()?.stdout;
    Ok(said.lines().filter(|line| line.starts_with('<')).count())
}

/// Puts a bundle of the lab into the first directory of certificates, as a whole, under left's nickname.
fn install(left: Host<'_>, bundle: &str) -> Result<()> {
    let script = format!(
        "mkdir -p /etc/pki/certs && cd /etc/pki/certs
         [ -e ca.pem ] || install -m 0400 {PKI_DIR}/ca.pem ca.pem
         install -m 0400 {PKI_DIR}/{bundle} .left_server.p12.new && mv .left_server.p12.new left_server.p12"
    );
    left.shell(&script)
        .run()
        .context("putting a bundle in place")
        .map(drop)
}

/// The certificates are there as the documentation of OpenShift has them, with one key.
fn ensure_imported(left: Host<'_>) -> Result<()> {
    let listed = listed(left)?;
    ensure!(
        listed == ["Lab CA CT,C,C", "left_server u,u,u"],
        "the database has {listed:?}"
    );
    let keys = keys(left)?;
    ensure!(keys == 1, "the database has {keys} keys");
    Ok(())
}

/// What a command said, on either stream.
fn said(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}
