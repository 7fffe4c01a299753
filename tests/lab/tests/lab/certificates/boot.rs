//! A host that is turned on with nothing but the files in place.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer;
use lab::world::{LEFT_V4, Pair, RIGHT_V4};

use super::{ensure_imported, forget_certificates, install};

const PATIENCE: Duration = Duration::from_secs(240);

/// The documented policy works after a cold boot: what is in the directories is imported before pluto starts, a bad bundle
/// shows and holds up nothing. Then the certificate is renewed.
pub(crate) fn cold_boot(pair: &Pair) -> Result<()> {
    let left = pair.left();
    peer::expect_certificate(pair.right(), &["type=transport"])?;
    left.shell("systemctl stop nmstate-ipsec-certificates.path")
        .run()?;
    forget_certificates(left)?;
    install(left, "left_server.p12")?;
    left.shell("mkdir -p /etc/nmstate-ipsec/certs; echo no bundle >/etc/nmstate-ipsec/certs/other.p12; sync")
        .run()?;
    pair.left_vm().power_cycle(PATIENCE)?;
    wait_until("pluto has started", PATIENCE, || {
        let asked = left
            .command(["systemctl", "is-active", "ipsec.service"])
            .output()?;
        Ok((asked.status == 0).then_some(()))
    })?;
    ensure_imported(left)?;
    let times = left
        .shell(
            "systemctl show -p InactiveEnterTimestampMonotonic,ExecMainExitTimestampMonotonic,Result nmstate-ipsec-certificates.service
             systemctl show -p ExecMainStartTimestampMonotonic ipsec.service",
        )
        .run()?;
    let of = |name: &str| {
        times
            .lines()
            .find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok())
    };
    let (imported, started) = (
        of("ExecMainExitTimestampMonotonic="),
        of("ExecMainStartTimestampMonotonic="),
    );
    ensure!(
        imported.is_some_and(|imported| imported > 0 && Some(imported) <= started)
            && times.contains("Result=exit-code"),
        "the import should have been over before pluto was started, and show the bad bundle:\n{times}"
    );
    let log = left
        .shell("journalctl -b -u nmstate-ipsec-certificates -o cat --no-pager")
        .run()?;
    for words in [
        "/etc/pki/certs/left_server.p12: left_server: imported",
        "/etc/nmstate-ipsec/certs/other.p12: ",
    ] {
        ensure!(log.contains(words), "the journal lacks '{words}':\n{log}");
    }

    left.apply(&peer::policy("transport", RIGHT_V4)?)
        .context("applying the document")?;
    is_encrypted(pair)?;
    let before = left.spis()?;
    peer::issue(left, "new", peer::LEFT_SUBJECT, 365)?;
    install(left, "new.p12")?;
    wait_until("the connection has other SAs", PATIENCE, || {
        let now = left.spis()?;
        Ok((now.len() >= 2 && now.iter().all(|spi| !before.contains(spi))).then_some(()))
    })?;
    is_encrypted(pair)?;
    ensure_imported(left)
}

fn is_encrypted(pair: &Pair) -> Result<()> {
    let capture = pair.capture()?;
    pair.left().ping(RIGHT_V4)?;
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))
}
