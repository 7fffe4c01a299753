//! What must not come up, and what the user is told instead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::world::{Host, World};
use serde_json::Value;

/// NetworkManager's limit for a connection that nobody answers; the plugin gives up a little earlier.
const VPN_TIMEOUT_SECONDS: &str = "20";

/// A refusal is to come within a second; everything in a guest takes about ten times as long.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

const INVALID_CONNECTION: &str = "org.freedesktop.NetworkManager.VPN.Error.InvalidConnection";

/// The ends and the ids of the connection that right accepts.
const GOOD: &str = "left=192.0.2.251, leftid=left.example.org, right=192.0.2.252, rightid=right.example.org, \
     ikev2=insist, leftmodecfgclient=no, rightsubnet=192.0.2.252/32";

/// Profiles that cannot be used are refused with InvalidConnection, which names key and value.
pub(crate) fn invalid_profiles(world: &World) -> Result<()> {
    let left = world.left();
    let cases: [(&str, &str, [&str; 2]); 4] = [
        (
            "unknown",
            "right=192.0.2.252, leftupdown=/bin/sh",
            ["leftupdown", "not supported"],
        ),
        ("malformed", "right=192.0.2.300", ["right", "192.0.2.300"]),
        ("missing", "left=192.0.2.251", ["right", "missing"]),
        (
            "smuggled",
            "right=192.0.2.252, esp=aes\\\\x0aleftupdown=/bin/sh",
            ["esp", "aes"],
        ),
    ];
    for (name, data, words) in cases {
        let monitor = world.monitor_bus()?;
        let said = activate(left, name, data, "psk")?;
        let messages = monitor.stop()?;
        let called = messages
            .iter()
            .find(|message| message.name() == "Connect")
            .with_context(|| format!("{name}: Connect was never called; nmcli said: {said}"))?;
        let refused = messages
            .iter()
            .find(|message| message.name() == INVALID_CONNECTION)
            .with_context(|| format!("{name}: not refused with InvalidConnection; nmcli said: {said}"))?;
        let text = refused.argument(0).as_str().unwrap_or_default();
        ensure!(
            words.iter().all(|word| text.contains(word)),
            "{name}: the refusal does not say what is wrong: {text}"
        );
        ensure!(
            refused.time().saturating_sub(called.time()) < REFUSAL_LIMIT,
            "{name}: the refusal took too long"
        );
        ensure!(
            reason(left, name)? == "invalid-profile",
            "{name}: another reason in the journal"
        );
        nothing_is_left(left, name)?;
    }
    Ok(())
}

/// Everything else that keeps a connection down has a reason of its own in the journal.
pub(crate) fn reasons(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    accept_psk(right)?;
    let unknown_certificate = "right=192.0.2.252, leftcert=nobody, ikev2=insist";
    let unknown_name = "right=nowhere.example.org, ikev2=insist";
    // Nobody has this address; a neighbour entry keeps the kernel from saying so.
    left.shell("ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev net0")
        .run()?;
    let nobody = "left=192.0.2.251, right=192.0.2.9, ikev2=insist";
    for (name, data, psk, code) in [
        ("wrong-psk", GOOD, "not the psk", "authentication-refused"),
        (
            "no-certificate",
            unknown_certificate,
            "psk",
            "certificate-missing",
        ),
        ("no-name", unknown_name, "psk", "name-unresolved"),
        ("nobody", nobody, "psk", "peer-silent"),
    ] {
        fails_with(left, name, data, psk, code)?;
    }

    left.shell("systemctl mask --runtime --now ipsec.service").run()?;
    fails_with(left, "no-pluto", GOOD, "psk", "pluto-down")?;
    left.shell("systemctl unmask --runtime ipsec.service").run()?;
    comes_up_after_all(left)
}

/// A document with a wrong key fails; the next one with the right key comes up, pluto having been stopped meanwhile.
pub(crate) fn wrong_then_right(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    accept_psk(right)?;
    let document = |psk: &str| {
        Document::new(&format!(
            "interfaces:
- name: hosta_conn
  type: ipsec
  libreswan:
    left: 192.0.2.251
    leftid: left.example.org
    right: 192.0.2.252
    rightid: right.example.org
    rightsubnet: 192.0.2.252/32
    leftmodecfgclient: false
    ikev2: insist
    psk: {psk}
"
        ))
    };
    left.apply_expecting_failure(&document("not the psk"))?;
    ensure!(
        reason(left, "hosta_conn")? == "authentication-refused",
        "another reason in the journal"
    );
    nothing_is_left(left, "hosta_conn")?;
    left.shell("systemctl stop ipsec.service").run()?;
    left.apply(&document("psk")).context("applying the right key")?;
    left.ping("192.0.2.252")?;
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );
    Ok(())
}

fn accept_psk(right: Host<'_>) -> Result<()> {
    right.set_psk("psk")?;
    right.add_connection(
        "peer",
        &[
            "left=192.0.2.252",
            "leftid=@right.example.org",
            "right=192.0.2.251",
            "rightid=@left.example.org",
            "authby=secret",
            "ikev2=insist",
        ],
    )
}

/// The good profile comes up: what failed before has left nothing in its way. pluto is started for it.
fn comes_up_after_all(left: Host<'_>) -> Result<()> {
    let said = activate_and_keep(left, "good", GOOD, "psk")?;
    ensure!(
        said.contains("successfully activated"),
        "the good profile failed: {said}"
    );
    left.ping("192.0.2.252")
}

fn fails_with(left: Host<'_>, name: &str, data: &str, psk: &str, code: &str) -> Result<()> {
    let said = activate(left, name, data, psk)?;
    ensure!(!said.contains("successfully activated"), "{name} came up: {said}");
    let found = reason(left, name)?;
    ensure!(
        found == code,
        "{name}: the journal says {found}, not {code}; nmcli said: {said}"
    );
    nothing_is_left(left, name)
}

/// Brings a new profile up with nmcli, deletes it, and returns what nmcli said of the first.
fn activate(left: Host<'_>, name: &str, data: &str, psk: &str) -> Result<String> {
    let said = activate_and_keep(left, name, data, psk)?;
    left.command(["nmcli", "connection", "delete", name]).run()?;
    Ok(said)
}

fn activate_and_keep(left: Host<'_>, name: &str, data: &str, psk: &str) -> Result<String> {
    let secret = format!("pskvalue={psk}");
    let profile = [
        ["con-name", name],
        ["ifname", "net0"],
        ["vpn-type", "libreswan"],
        ["vpn.data", data],
        ["vpn.secrets", &secret],
        ["vpn.timeout", VPN_TIMEOUT_SECONDS],
        ["ipv4.method", "auto"],
        ["ipv6.method", "disabled"],
    ];
    let add = ["nmcli", "connection", "add", "type", "vpn"];
    left.command(add.into_iter().chain(profile.into_iter().flatten()))
        .run()
        .with_context(|| format!("adding the profile {name}"))?;
    let output = left
        .command(["nmcli", "connection", "up", name])
        .timeout(Duration::from_secs(120))
        .output()?;
    Ok(output.stdout + &output.stderr)
}

/// The code of the last reason that the daemon gave for the connection.
fn reason(left: Host<'_>, name: &str) -> Result<String> {
    let connection = format!("IPSEC_CONNECTION={name}");
    let entry = left
        .command(["journalctl", "-b", "-o", "json", "-n", "1", &connection])
        .run()?;
    let entry: Value =
        serde_json::from_str(&entry).with_context(|| format!("{name}: nothing in the journal"))?;
    Ok(entry["IPSEC_REASON"].as_str().unwrap_or("no reason").to_owned())
}

/// Neither pluto, nor the kernel, nor the disk has anything of the connection.
fn nothing_is_left(left: Host<'_>, name: &str) -> Result<()> {
    left.await_empty_kernel()?;
    let secrets = left
        .command(["find", "/etc/ipsec.d", "-name", "*nmstate-ipsec-*"])
        .run()?;
    ensure!(
        secrets.is_empty(),
        "{name}: secrets are left on the disk: {secrets}"
    );
    let status = left.whack(["--status"]).output()?.stdout;
    ensure!(
        !status.contains(&format!("\"{name}-")),
        "{name}: pluto still knows the connection:\n{status}"
    );
    Ok(())
}
