//! A new bundle takes the place of the old one while the connection is up.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE};
use lab::world::{LEFT_V4, RIGHT_V4, World};

use super::{ensure_imported, forget_certificates, install};
use crate::common;

const PATIENCE: Duration = Duration::from_secs(120);

/// The path unit sees a new bundle, the connection authenticates with it by itself, nothing leaves in clear meanwhile, and
/// the old key goes. First with the same subject, as is usual, then with another one, which the peer tells in its log.
pub(crate) fn renewal(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    forget_certificates(left)?;
    peer::expect_certificate(right, &["type=transport"])?;
    install(left, "left_server.p12")?;
    wait_until("the path unit has had the bundle imported", PATIENCE, || {
        Ok(ensure_imported(left).is_ok().then_some(()))
    })?;
    left.apply(&peer::policy("transport", RIGHT_V4)?)
        .context("applying the document")?;
    let first = fingerprint(world)?;

    peer::issue(left, "new", peer::LEFT_SUBJECT, 365)?;
    let second = renew(world).context("renewing with the same subject")?;
    ensure!(first != second, "the database has the old certificate");
    peer::issue(left, "new", "/O=Example/OU=renewed/CN=left.example.org", 12)?;
    let third = renew(world).context("renewing with another subject")?;
    ensure!(second != third, "the database has the old certificate");
    wait_until("right has seen the new certificate", PATIENCE, || {
        let log = right
            .shell("journalctl -b -u right-ipsec.service -o cat --no-pager")
            .run()?;
        Ok(log.contains("OU=renewed").then_some(()))
    })?;
    let status = left.command(["nmstate-ipsec", "status", INTERFACE]).run()?;
    ensure!(
        status.contains("EXPIRES in 11 d"),
        "status does not warn:\n{status}"
    );
    wait_until("the journal warns", PATIENCE, || {
        let log = left
            .shell("journalctl -b -u nmstate-ipsecd -o cat --no-pager")
            .run()?;
        Ok(log.contains("expires in 11 days; renew it").then_some(()))
    })?;
    common::removes(world)
}

/// SHA-256 of the certificate that the database has for left.
fn fingerprint(world: &World) -> Result<String> {
    let script = format!(
        "certutil -L -d {} -n left_server -a | openssl x509 -noout -fingerprint -sha256",
        super::NSS
    );
    world.left().shell(&script).run()
}

/// Puts the new bundle in place under traffic and sees what becomes of that. Returns the new fingerprint.
fn renew(world: &World) -> Result<String> {
    let left = world.left();
    let before = left.spis()?;
    let capture = world.capture()?;
    let ping = left
        .command(["ping", "-n", "-i", "0.05", RIGHT_V4])
        .spawn("/run/lab/renewal-ping")?;
    install(left, "new.p12")?;
    wait_until("the connection has other SAs", PATIENCE, || {
        let now = left.spis()?;
        Ok((now.len() >= 2 && now.iter().all(|spi| !before.contains(spi))).then_some(()))
    })?;
    common::await_state(left, INTERFACE, "activated")?;
    left.ping(RIGHT_V4).context("after the renewal")?;
    ping.signal(2)?;
    ping.wait(PATIENCE)?;
    let said = left.command(["tail", "-n", "3", &ping.stdout]).output()?.stdout;
    eprintln!(
        "{}: renewal under ping, one each 0.05 s: {}",
        world.image(),
        said.replace('\n', " ")
    );
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))?;
    ensure_imported(left)?;
    let policies = left.policies()?;
    ensure!(
        !policies.contains("block"),
        "something is still held back:\n{policies}"
    );
    fingerprint(world)
}
