//! A certificate that the database lacks, and whose files are where they are expected.

use anyhow::{Context, Result, ensure};
use lab::peer::{self, INTERFACE};
use lab::world::{RIGHT_V4, World};

use super::{NSS, ensure_imported, forget_certificates, install, listed, said};
use crate::common;

/// The documented policy on a host where nothing but the two files was put in place: without them, with a bad one, and
/// as documented. Nothing watches over the directory meanwhile.
pub(crate) fn by_name(world: &World) -> Result<()> {
    let left = world.left();
    left.shell("systemctl stop nmstate-ipsec-certificates.path")
        .run()?;
    forget_certificates(left)?;
    peer::expect_certificate(world.right(), &["type=transport"])?;
    let document = peer::policy("transport", RIGHT_V4)?;

    let missing = said(&left.apply_ours(&document, &[])?);
    for words in [
        "certificate-missing",
        "/etc/pki/certs/left_server.p12",
        "/etc/nmstate-ipsec/certs/left_server.p12",
        NSS,
    ] {
        ensure!(missing.contains(words), "without a bundle it says:\n{missing}");
    }
    common::leaves_no_trace(world).context("without a bundle")?;

    left.shell("mkdir -p /etc/nmstate-ipsec/certs; cd /etc/nmstate-ipsec/certs; head -c 900 /etc/lab-pki/left_server.p12 >left_server.p12; chmod 0400 *").run()?;
    let cut_off = said(&left.apply_ours(&document, &[])?);
    for words in [
        "certificate-unusable",
        "/etc/nmstate-ipsec/certs/left_server.p12",
        "cut off",
    ] {
        ensure!(cut_off.contains(words), "with half a bundle it says:\n{cut_off}");
    }
    common::leaves_no_trace(world).context("with half a bundle")?;
    ensure!(
        listed(left)?.is_empty(),
        "something of half a bundle was imported"
    );

    install(left, "left_server.p12")?;
    private_profiles_get_nothing(world)?;
    left.apply(&document)
        .context("applying with the bundle in place")?;
    ensure_imported(left)?;
    common::is_encrypted(world)?;
    common::removes(world)
}

/// A profile of a user's has no files read, though root allows the certificate itself.
fn private_profiles_get_nothing(world: &World) -> Result<()> {
    let left = world.left();
    let script = format!(
        "useradd alice 2>/dev/null || true
         mkdir -p /etc/nmstate-ipsec; echo 'alice left_server' >/etc/nmstate-ipsec/private-certificates
         nmcli connection add type vpn con-name {INTERFACE} vpn-type libreswan connection.permissions user:alice \\
             vpn.data 'left=192.0.2.251,leftid=%fromcert,leftcert=left_server,leftrsasigkey=%cert,right=192.0.2.252,rightid=%fromcert,rightrsasigkey=%cert,ikev2=insist,leftmodecfgclient=no'
         nmcli --wait 60 connection up {INTERFACE}"
    );
    let output = left.shell(&script).output()?;
    ensure!(
        output.status != 0,
        "a private profile came up:\n{}",
        said(&output)
    );
    let reason = common::last_reason(left, INTERFACE)?;
    ensure!(
        reason["IPSEC_REASON"] == "certificate-missing",
        "a private profile failed for another reason: {reason}\n{}",
        said(&output)
    );
    ensure!(
        listed(left)?.is_empty(),
        "a private profile had a bundle imported"
    );
    left.command(["nmcli", "connection", "delete", INTERFACE])
        .run()
        .map(drop)
}
