//! Documents that are applied.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::world::{BEHIND_V4, Host, LEFT_V4, RIGHT_V4, World};

use super::{applied, nothing_is_open, profile};
use crate::common;

/// `transport.yaml`, `tunnel.yaml` and `remove.yaml` as they stand; a policy for another node is skipped.
pub(crate) fn policies(world: &World) -> Result<()> {
    let left = world.left();
    for (name, address, options) in [
        ("transport", RIGHT_V4, &["type=transport"][..]),
        (
            "tunnel",
            BEHIND_V4,
            &["leftsubnet=198.51.100.1/32", "type=tunnel"],
        ),
    ] {
        world.right().whack(["--name", "peer", "--delete"]).output()?;
        peer::expect_certificate(world.right(), options)?;
        let policy = peer::policy(name, address)?;
        let elsewhere = left.apply_ours(&policy, &["--node-name", "another"])?;
        ensure!(
            elsewhere.success() && elsewhere.stderr.contains("skipped, it is for other nodes"),
            "a policy for another node: {}{}",
            elsewhere.stdout,
            elsewhere.stderr
        );
        let said = applied(left, policy.text(), &[])?;
        ensure!(said.contains(INTERFACE), "nothing is said of it: {said}");
        common::is_encrypted_to(world, address, (LEFT_V4, RIGHT_V4)).with_context(|| name.to_owned())?;
    }
    applied(left, peer::removal()?.text(), &[])?;
    common::leaves_no_trace(world)?;
    nothing_is_open(left)
}

/// The same again changes nothing, whoever applied it first; a change of one connection leaves the other alone; and what
/// one command wrote the other reads.
pub(crate) fn identical(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.apply(&Document::new(PSK_DOCUMENT))?;
    let (spis, before) = (left.spis()?, profile(left, INTERFACE)?);
    left.ping(RIGHT_V4)?;
    tells_its_status(left, &spis)?;
    let said = applied(left, PSK_DOCUMENT, &[])?;
    ensure!(said.contains("as declared, up"), "something was done: {said}");
    let hidden = PSK_DOCUMENT.replace(peer::PSK, "<_password_hid_by_nmstate>");
    applied(left, &hidden, &["--json"])?;
    ensure!(
        (left.spis()?, profile(left, INTERFACE)?) == (spis.clone(), before),
        "the identical document has changed something"
    );

    let both = format!("{PSK_DOCUMENT}{}", OTHER);
    let options = [
        "left=192.0.2.252",
        "leftid=@other.right",
        "right=192.0.2.251",
        "rightid=@other.left",
        "leftsubnet=198.51.100.0/24",
        "authby=secret",
        "ikev2=insist",
    ];
    world.right().add_connection("other", &options)?;
    let planned = applied(left, &both, &["--dry-run"])?;
    ensure!(
        planned.contains("+ other: would be created"),
        "another plan: {planned}"
    );
    applied(left, &both, &[])?;
    let with_other = left.spis()?;
    ensure!(
        with_other.len() == 4 && spis.iter().all(|spi| with_other.contains(spi)),
        "{spis:?} became {with_other:?}"
    );
    left.ping(BEHIND_V4)?;
    let shown = left.command(["nmstatectl", "show"]).run()?;
    ensure!(
        shown.contains("name: other") && shown.contains("@other.left"),
        "upstream shows\n{shown}"
    );

    let changed = both.replace(
        "    ikev2: insist\n    rightsubnet: 198",
        "    ikev2: insist\n    dpddelay: 30\n    rightsubnet: 198",
    );
    ensure!(changed != both, "nothing is changed");
    is_looked_at(left, &changed)?;
    watched(left, || changes_other(left, &changed))?;
    let after = left.spis()?;
    ensure!(
        spis.iter().all(|spi| after.contains(spi)),
        "a change of one touched the other: {spis:?}, {after:?}"
    );

    applied(
        left,
        "interfaces: [{name: hosta_conn, type: ipsec, state: absent}, {name: other, type: ipsec, state: absent}]",
        &[],
    )?;
    common::leaves_no_trace(world)
}

/// Applies a document that changes one connection, which is told while it is done and afterwards.
fn changes_other(left: Host<'_>, changed: &str) -> Result<()> {
    let output = left.apply_ours(&Document::new(changed), &[])?;
    ensure!(
        output.success() && output.stdout.contains("other: modified, up (vpn.data.dpddelay)"),
        "another change: {}{}",
        output.stdout,
        output.stderr
    );
    ensure!(
        output.stdout.lines().any(|line| line == "other: negotiating") && output.stderr.is_empty(),
        "another progress: {}{}",
        output.stdout,
        output.stderr
    );
    Ok(())
}

/// A look before shows old and new values, and of secrets none, however it is asked for.
fn is_looked_at(left: Host<'_>, changed: &str) -> Result<()> {
    let rekeyed = changed.replace(peer::PSK, "another secret of ours");
    let planned = left.apply_ours(&Document::new(&rekeyed), &["--dry-run"])?;
    for line in [
        "~ other: would be modified",
        "    + dpddelay: 30",
        "    ~ psk: a value that is not shown",
    ] {
        ensure!(
            planned.stdout.lines().any(|told| told == line),
            "no '{line}' in {}",
            planned.stdout
        );
    }
    ensure!(
        !planned.stdout.contains("\u{1b}"),
        "a pipe gets colours: {:?}",
        planned.stdout
    );
    let told = left.apply_ours(&Document::new(&rekeyed), &["--dry-run", "--json"])?;
    ensure!(
        told.stdout.contains(r#""key":"vpn.data.dpddelay""#) && told.stdout.contains(r#""new":"30""#),
        "programs are told {}",
        told.stdout
    );
    let verbose = left.apply_ours(&Document::new(&rekeyed), &["--dry-run", "-v"])?;
    for said in [&planned, &told, &verbose] {
        let shown = format!("{}{}", said.stdout, said.stderr);
        ensure!(
            said.success() && !shown.contains(peer::PSK) && !shown.contains("secret of ours"),
            "a secret is shown, or it failed: {shown}"
        );
    }
    Ok(())
}

/// `status --watch` tells of what a connection goes through while `work` is done, and of nothing before.
fn watched(left: Host<'_>, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let begin = "nmstate-ipsec status other --watch --json > /root/watched 2>&1 & echo $! > /root/watcher";
    left.shell(begin).run()?;
    let seen = || left.command(["cat", "/root/watched"]).run();
    wait_until("the watch has begun", Duration::from_secs(60), || {
        Ok((!seen()?.is_empty()).then_some(()))
    })?;
    let before = seen()?;
    ensure!(before.lines().count() == 1, "told without a change: {before}");
    work()?;
    wait_until("the watch has told of it", Duration::from_secs(60), || {
        let seen = seen()?;
        let last = seen.lines().last().unwrap_or_default();
        let is_told = seen.contains(r#""state":"negotiating""#) && last.contains(r#""state":"up""#);
        Ok(is_told.then_some(()))
    })?;
    left.shell("kill $(cat /root/watcher)").run()?;
    Ok(())
}

/// `status` shows the SAs that the kernel has, and what they have carried.
fn tells_its_status(left: Host<'_>, spis: &[String]) -> Result<()> {
    let told = left
        .command(["nmstate-ipsec", "status", INTERFACE, "--json"])
        .run()?;
    let told: serde_json::Value = serde_json::from_str(&told).context("reading the status")?;
    let connection = &told["connections"][0];
    ensure!(
        connection["state"] == "up" && connection["right"] == RIGHT_V4 && connection["left"] == LEFT_V4,
        "another state: {told:#}"
    );
    let timers = connection["timers"].as_array().context("there are no timers")?;
    for sa in ["ike", "child"] {
        let is_its = |timer: &&serde_json::Value| timer["sa"] == sa && timer["event"] == "rekey";
        let rekey = timers.iter().find(is_its).and_then(|timer| timer["in"].as_u64());
        ensure!(rekey > Some(0), "the {sa} SA is not rekeyed: {told:#}");
    }
    let sas = connection["sas"].as_array().context("there are no SAs")?;
    ensure!(sas.len() == spis.len(), "SAs {spis:?} are told as {told:#}");
    for sa in sas {
        let spi = sa["spi"].as_str().unwrap_or_default();
        ensure!(
            spis.iter().any(|known| known.ends_with(spi))
                && sa["packets"].as_u64() >= Some(3)
                && sa["used-since"].as_u64() >= sa["since"].as_u64()
                && sa["mode"] == "transport",
            "no such SA: {sa:#}, there are {spis:?}"
        );
    }
    let exported = left.command(["nmstate-ipsec", "export", INTERFACE]).run()?;
    ensure!(
        exported.contains(&format!("right=\"{RIGHT_V4}\"")) && !exported.contains(peer::PSK),
        "exported as: {exported}"
    );
    let shown = left.command(["nmstate-ipsec", "status"]).run()?;
    ensure!(shown.starts_with("hosta_conn: up for "), "shown as: {shown}");
    let unknown = left.command(["nmstate-ipsec", "status", "nobody"]).output()?;
    ensure!(
        unknown.status == 1 && unknown.stderr.contains("'nobody'"),
        "an unknown one: {}",
        unknown.stderr
    );
    Ok(())
}

/// A second connection beside the one of [`PSK_DOCUMENT`].
const OTHER: &str = "\
- name: other
  type: ipsec
  libreswan:
    left: 192.0.2.251
    leftid: '@other.left'
    leftmodecfgclient: false
    right: 192.0.2.252
    rightid: '@other.right'
    psk: a pre-shared key of the laboratory
    ikev2: insist
    rightsubnet: 198.51.100.0/24
";

/// Interfaces of another type in the same document: applied together, and undone together. A connection that is not in the
/// document is up again after the device under it was changed.
pub(crate) fn mixed(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let bridge = "- name: lab-bridge\n  type: linux-bridge\n  state: up\n  bridge: {port: []}\n";
    let has_bridge = || -> Result<bool> {
        Ok(left
            .command(["ip", "link", "show", "lab-bridge"])
            .output()?
            .success())
    };
    let wrong = format!("{PSK_DOCUMENT}{bridge}").replace(peer::PSK, "another key than right has");
    let output = left.apply_ours(&Document::new(&wrong), &[])?;
    ensure!(
        output.status == 1,
        "a wrong key was applied: {}{}",
        output.stdout,
        output.stderr
    );
    wait_until("the bridge is undone", Duration::from_secs(20), || {
        Ok((!has_bridge()?).then_some(()))
    })?;
    common::leaves_no_trace(world)?;
    nothing_is_open(left)?;

    applied(left, &format!("{PSK_DOCUMENT}{bridge}"), &[])?;
    ensure!(has_bridge()?, "there is no bridge");
    common::is_encrypted(world)?;
    nothing_is_open(left)?;

    // Nobody is asked to do what is done already: not even a checkpoint is made.
    let spis = left.spis()?;
    let checkpoints = || -> Result<usize> {
        let log = left
            .command(["journalctl", "-b", "-u", "NetworkManager", "-o", "cat"])
            .run()?;
        Ok(log.matches("op=\"checkpoint-create\"").count())
    };
    let before = checkpoints()?;
    ensure!(before > 0, "NetworkManager does not tell of its checkpoints");
    applied(left, &format!("{PSK_DOCUMENT}{bridge}"), &[])?;
    ensure!(
        before == checkpoints()? && spis == left.spis()?,
        "the same document again has done something"
    );
    // A profile that would be gone after a reboot is not what was declared.
    left.shell("nmcli connection modify --temporary lab-bridge connection.autoconnect-priority 5")
        .run()?;
    applied(left, &format!("{PSK_DOCUMENT}{bridge}"), &[])?;
    ensure!(
        before < checkpoints()?,
        "a profile that does not last was taken for what was declared"
    );
    ensure!(
        spis == left.spis()?,
        "another interface's profile has changed the SAs"
    );

    let base = "interfaces: [{name: net0, type: ethernet, state: up, mtu: 1400, ipv4: {enabled: true, dhcp: false, \
                address: [{ip: 192.0.2.251, prefix-length: 24}]}}]";
    let said = applied(left, base, &[])?;
    let mtu = left.command(["cat", "/sys/class/net/net0/mtu"]).run()?;
    ensure!(mtu.trim() == "1400", "the device is not changed: {mtu}{said}");
    common::await_state(left, INTERFACE, "activated")?;
    common::is_encrypted(world).with_context(|| format!("after {spis:?}: {said}"))?;
    nothing_is_open(left)
}
