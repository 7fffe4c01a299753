//! A certificate that is not there when a connection wants it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE};
use lab::profile::Profile;
use lab::world::{Host, World};

use super::forget_certificates;
use crate::{common, faults, places};

const PATIENCE: Duration = Duration::from_secs(120);

/// Longer than the first pauses of what is tried again and again.
const QUIET: Duration = Duration::from_secs(20);

const PROFILE: &str = "left=192.0.2.251, leftid=%fromcert, leftcert=left_server, leftrsasigkey=%cert, right=192.0.2.252, \
     rightid=%fromcert, rightrsasigkey=%cert, ikev2=insist, leftmodecfgclient=no, type=transport";

/// A connection that is to be up waits for its certificate, whatever else happens, and comes up by itself when that has been
/// imported.
pub(crate) fn waited_for(world: &World) -> Result<()> {
    let left = world.left();
    forget_certificates(left)?;
    peer::expect_certificate(world.right(), &["type=transport"])?;
    let profile = Profile::new(INTERFACE, PROFILE).property("connection.autoconnect", "yes");
    profile.add(left)?;
    left.command(["nmcli", "device", "reapply", "net0"]).run()?;
    let mut said = String::new();
    let told = wait_until("it is said that the certificate is missing", PATIENCE, || {
        said = left.command(["nmstate-ipsec", "status"]).output()?.stdout;
        Ok(said.contains("(certificate-missing)").then_some(()))
    });
    told.with_context(|| said)?;
    // What happened during the first try may be worth another.
    places::idle(QUIET);
    let failures = failures(left)?;
    left.command(["nmcli", "device", "reapply", "net0"]).run()?;
    places::idle(QUIET);
    let further = self::failures(left)? - failures;
    ensure!(
        further == 0,
        "it was tried {further} times though nothing had changed"
    );

    let import = "nmstate-ipsec cert import /etc/lab-pki/left_server.p12 --ca /etc/lab-pki/ca.pem";
    left.shell(import).run()?;
    faults::is_back(left).context("the certificate is there")?;
    common::is_encrypted(world)?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// How often the daemon has told why a connection failed.
fn failures(left: Host<'_>) -> Result<usize> {
    let count = "journalctl -b -u nmstate-ipsecd -o json --no-pager | grep -c '\"IPSEC_REASON\":\"' || :";
    left.shell(count)
        .run()?
        .trim()
        .parse()
        .context("counting failures")
}
