//! What must not come up, and what the user is told instead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::peer::{self, PSK};
use lab::profile::Profile;
use lab::world::{Host, World};
use serde_json::Value;

use crate::common;

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
        let said = activate(left, name, data, PSK)?;
        let messages = monitor.stop()?;
        let called = messages
            .iter()
            .find(|message| message.name() == "ConnectInteractive")
            .with_context(|| format!("{name}: it was never begun; nmcli said: {said}"))?;
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
        profile(name, data, PSK).ensure_gone(left)?;
    }
    Ok(())
}

/// Everything else that keeps a connection down has a reason of its own in the journal.
pub(crate) fn reasons(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    peer::expect_psk_with(right, &["ikev2=insist"])?;
    let unknown_certificate = "right=192.0.2.252, leftcert=nobody, ikev2=insist";
    let unknown_name = "right=nowhere.example.org, ikev2=insist";
    // Nobody has this address; a neighbour entry keeps the kernel from saying so.
    left.shell("ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev net0")
        .run()?;
    let nobody = "left=192.0.2.251, right=192.0.2.9, ikev2=insist";
    let cases = [
        ("wrong-psk", GOOD, "not the psk", "authentication-refused"),
        ("no-certificate", unknown_certificate, PSK, "certificate-missing"),
        ("no-name", unknown_name, PSK, "name-unresolved"),
        ("nobody", nobody, PSK, "peer-silent"),
    ];
    for (name, data, psk, code) in cases {
        fails_with(left, name, data, psk, code)?;
    }
    daemon_keeps(left, &cases.map(|(name, _, _, code)| (name, code)))?;

    left.shell("systemctl mask --runtime --now ipsec.service").run()?;
    fails_with(left, "no-pluto", GOOD, PSK, "pluto-down")?;
    left.shell("systemctl unmask --runtime ipsec.service").run()?;
    comes_up_after_all(left)
}

/// Whoever asks the daemon gets the names and codes of the last failures, the oldest first, each with a text.
fn daemon_keeps(left: Host<'_>, expected: &[(&str, &str)]) -> Result<()> {
    let manager = [
        "org.nmstate.Ipsec1",
        "/org/nmstate/Ipsec1",
        "org.nmstate.Ipsec1.Manager",
    ];
    let call = ["busctl", "--json=short", "call"];
    let said = left
        .command(call.into_iter().chain(manager).chain(["RecentFailures"]))
        .run()?;
    let answer: Value = serde_json::from_str(&said).with_context(|| format!("reading {said}"))?;
    let kept = answer["data"][0].as_array().context("no list of failures")?;
    let kept: Vec<(&str, &str)> = kept
        .iter()
        .filter(|failure| failure[4].as_str().is_some_and(|text| !text.is_empty()))
        .filter_map(|failure| Some((failure[1].as_str()?, failure[3].as_str()?)))
        .collect();
    ensure!(kept == expected, "the daemon keeps {kept:?}, not {expected:?}");
    Ok(())
}

/// A document with a wrong key fails; the next one with the right key comes up, pluto having been stopped meanwhile.
pub(crate) fn wrong_then_right(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    peer::expect_psk_with(right, &["ikev2=insist"])?;
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
    profile("hosta_conn", GOOD, PSK).ensure_gone(left)?;
    left.shell("systemctl stop ipsec.service").run()?;
    left.apply(&document(PSK)).context("applying the right key")?;
    left.ping("192.0.2.252")?;
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );
    Ok(())
}

/// The good profile comes up: what failed before has left nothing in its way. pluto is started for it.
fn comes_up_after_all(left: Host<'_>) -> Result<()> {
    // Starting pluto takes a good part of the short limit.
    profile("good", GOOD, PSK)
        .property("vpn.timeout", "60")
        .up(left)?;
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
    profile(name, data, psk).ensure_gone(left)
}

/// Brings a new profile up with nmcli, deletes it, and returns what nmcli said of the first.
fn activate(left: Host<'_>, name: &str, data: &str, psk: &str) -> Result<String> {
    let profile = profile(name, data, psk);
    profile.add(left)?;
    let output = profile.activate(left)?;
    profile.delete(left)?;
    Ok(output.stdout + &output.stderr)
}

fn profile(name: &str, data: &str, psk: &str) -> Profile {
    Profile::new(name, data)
        .secret("pskvalue", psk)
        .property("vpn.timeout", VPN_TIMEOUT_SECONDS)
}

/// The code of the last reason that the daemon gave for the connection.
fn reason(left: Host<'_>, name: &str) -> Result<String> {
    let entry = common::last_reason(left, name)?;
    Ok(entry["IPSEC_REASON"].as_str().unwrap_or("no reason").to_owned())
}
