//! Upstream's command and ours on the same input: the same output, byte for byte, and the same exit status.

use anyhow::{Context, Result, ensure};
use lab::agent::Output;
use lab::peer::{self, PSK_DOCUMENT};
use lab::world::{Host, World};

use super::{BRIDGE, called, complaints, ended, has_bridge, ours, shown};

/// Upstream's own, in the same guest.
const UPSTREAMS: &str = "/usr/bin/nmstatectl";

const POLICY: &str = "\
capture:
  base: interfaces.name == \"net0\"
  vpn: interfaces.name == \"hosta_conn\"
desiredState:
  interfaces:
  - name: other
    type: ipsec
    libreswan:
      left: '{{ capture.base.interfaces.0.ipv4.address.0.ip }}'
      right: '{{ capture.vpn.interfaces.0.libreswan.right }}'
      psk: a pre-shared key of the laboratory
      ikev2: insist
  - name: lab-vlan
    type: vlan
    vlan: {id: 7, base-iface: '{{ capture.base.interfaces.0.name }}'}
";

/// What both are asked. `/root/state` is a state with an ipsec interface, `/root/policy` a policy, `/root/current` what
/// `show` prints.
const ASKED: [&str; 38] = [
    "show",
    "s --json",
    "show -k",
    "show --kernel --json",
    "show -r",
    "show --running-config --json",
    "show -s",
    "show net0",
    "show net0 --json",
    "show hosta_conn",
    "show hosta_conn --show-secrets --json",
    "show -k lo",
    "show none",
    "format /root/state",
    "f /root/policy",
    "fmt /root/none",
    "gr /root/state",
    "gr /root/state --json -c /root/current",
    "st /root/state",
    "statistic /root/state /root/other --json -c /root/current",
    "policy /root/policy",
    "p /root/policy --current /root/current --json",
    "policy -c /root/current /root/empty",
    "policy /root/state",
    "v /root/state",
    "validate /root/policy -c /root/current",
    "validate /root/state -c /root/policy",
    "apply /root/broken",
    "apply /root/none",
    "apply --timeout soon /root/state",
    "commit",
    "rollback",
    "commit /org/freedesktop/NetworkManager/Checkpoint/99",
    "service -c /root/nothing",
    "autoconf --dry-run",
    "autoconf none",
    "persist-nic-names --dry-run",
    "version",
];

/// What upstream prints of an unchanged world, and what it makes of changes.
pub(crate) fn same(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    left.apply(&lab::document::Document::new(PSK_DOCUMENT))?;
    let current = ended(called(left, UPSTREAMS, "show"), 0)?.stdout;
    let changed = PSK_DOCUMENT.replace("type: transport", "type: tunnel");
    for (name, text) in [
        ("state", format!("{PSK_DOCUMENT}{BRIDGE}").as_str()),
        ("other", &format!("{changed}{BRIDGE}")),
        ("policy", POLICY),
        ("current", &current),
        ("empty", ""),
        (
            "broken",
            "interfaces:\n- name: net0\n  type: ethernet\n  mtu: many\n",
        ),
    ] {
        world
            .agent()
            .put(&format!("/root/{name}"), 0o600, text.as_bytes())?;
    }
    for arguments in ASKED {
        answers(left, arguments).with_context(|| arguments.to_owned())?;
    }
    profiles(left)?;
    refuses_alike(left)?;
    captures_alike(left)?;
    changes_alike(world)?;
    tells_further_keys(left)
}

/// Both answer alike: exit status, standard output, and standard error without what is logged.
fn answers(left: Host<'_>, arguments: &str) -> Result<()> {
    let [theirs, our] =
        [UPSTREAMS, lab::install::OUR_NMSTATECTL].map(|program| called(left, program, arguments).output());
    alike(&theirs?, &our?)
}

fn alike(theirs: &Output, our: &Output) -> Result<()> {
    let parts = |output: &Output| {
        let complaints = complaints(output).join("\n");
        (output.status, output.stdout.clone(), complaints)
    };
    let (theirs, our) = (parts(theirs), parts(our));
    ensure!(theirs == our, "upstream says\n{theirs:#?}\nand we\n{our:#?}");
    Ok(())
}

/// Profiles have their keys in another order every time.
fn profiles(left: Host<'_>) -> Result<()> {
    let [theirs, our] = [UPSTREAMS, lab::install::OUR_NMSTATECTL].map(|program| -> Result<_> {
        let printed = ended(called(left, program, "gc /root/state"), 0)?.stdout;
        let mut lines: Vec<String> = printed.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        Ok(lines)
    });
    let (theirs, our) = (theirs?, our?);
    ensure!(
        theirs == our,
        "upstream's profiles are\n{theirs:#?}\nand ours\n{our:#?}"
    );
    Ok(())
}

/// Wrong command lines have upstream's exit status, in our words.
fn refuses_alike(left: Host<'_>) -> Result<()> {
    for arguments in ["", "none", "gc", "show a b", "apply -n /root/state", "st"] {
        for program in [UPSTREAMS, lab::install::OUR_NMSTATECTL] {
            ended(called(left, program, arguments), 2)?;
        }
    }
    Ok(())
}

/// Captured states are the same, but for the time and the order.
fn captures_alike(left: Host<'_>) -> Result<()> {
    let captured = |program| -> Result<serde_json::Value> {
        let arguments = "policy --current /root/current --json --output-captured /root/captured /root/policy";
        ended(called(left, program, arguments), 0)?;
        let text = left.command(["cat", "/root/captured"]).run()?;
        let mut captured: serde_json::Value = serde_json::from_str(&text)?;
        for state in captured.as_object_mut().context("no captures")?.values_mut() {
            let time = state["metaInfo"]["time"].take();
            ensure!(
                time.as_str().is_some_and(|time| time.ends_with('Z')),
                "no time: {time}"
            );
        }
        Ok(captured)
    };
    let theirs = captured(UPSTREAMS)?;
    let our = captured(lab::install::OUR_NMSTATECTL)?;
    ensure!(theirs == our, "upstream captures {theirs:#}\nand we {our:#}");
    // Each reads what the other has captured; the file is ours.
    answers(left, "policy --captured /root/captured --json /root/policy")
}

/// What has changed is said alike, of a bridge and of a connection, made, unmade, and made again.
fn changes_alike(world: &World) -> Result<()> {
    let left = world.left();
    let absent = "interfaces: [{name: lab-bridge, type: linux-bridge, state: absent}, {name: hosta_conn, type: ipsec, \
                  state: absent}]";
    world.agent().put("/root/absent", 0o600, absent.as_bytes())?;
    ended(called(left, UPSTREAMS, "apply /root/absent"), 0)?;
    for arguments in [
        "apply /root/state",
        "apply -q /root/absent",
        "set /root/state --show-secrets",
    ] {
        let theirs = called(left, UPSTREAMS, arguments).output()?;
        undo(left, arguments)?;
        let our = called(left, lab::install::OUR_NMSTATECTL, arguments).output()?;
        alike(&theirs, &our).with_context(|| arguments.to_owned())?;
    }
    ensure!(has_bridge(left)?, "there is no bridge");
    super::super::common::is_encrypted(world)
}

/// What upstream has applied is undone by upstream.
fn undo(left: Host<'_>, arguments: &str) -> Result<()> {
    let opposite = if arguments.contains("absent") {
        "apply /root/state"
    } else {
        "apply /root/absent"
    };
    ended(called(left, UPSTREAMS, opposite), 0).map(drop)
}

/// Keys that upstream does not know are shown by us beside those that it does, and by `nmstate-ipsec show` too.
fn tells_further_keys(left: Host<'_>) -> Result<()> {
    let changed = PSK_DOCUMENT.replace(
        "type: transport\n",
        "type: transport\n    mobike: false\n    replay-window: 128\n",
    );
    let said = ended(ours(left, "apply -").stdin(changed), 0)?.stdout;
    ensure!(
        said.contains("mobike: false") && said.contains("psk: <_password_hid_by_nmstate>"),
        "what has changed is\n{said}"
    );
    let theirs = ended(called(left, UPSTREAMS, "show hosta_conn --json"), 0)?.stdout;
    let our = ended(ours(left, "show hosta_conn --json"), 0)?.stdout;
    let (theirs, mut interface) = (shown(&theirs, "hosta_conn")?, shown(&our, "hosta_conn")?);
    let libreswan = interface["libreswan"].as_object_mut().context("no connection")?;
    ensure!(
        libreswan.remove("mobike") == Some("no".into())
            && libreswan.remove("replay-window") == Some("128".into()),
        "we show {libreswan:#?}"
    );
    ensure!(interface == theirs, "upstream shows {theirs:#}, we {interface:#}");
    let also = ended(called(left, "nmstate-ipsec", "show hosta_conn --json"), 0)?.stdout;
    ensure!(also.trim_end() == our.trim_end(), "another command shows {also}");
    let secret = ended(ours(left, "show hosta_conn --json -s"), 0)?.stdout;
    ensure!(
        shown(&secret, "hosta_conn")?["libreswan"]["psk"] == peer::PSK && !our.contains(peer::PSK),
        "the secret is hidden, or not: {our}{secret}"
    );
    // Shown and applied as it is, nothing changes.
    let spis = left.spis()?;
    ended(ours(left, "apply -").stdin(our), 0)?;
    ensure!(left.spis()? == spis, "what is shown is not what is there");
    // An interface is found without its type.
    ended(
        ours(left, "apply -").stdin("interfaces: [{name: hosta_conn, state: absent}]"),
        0,
    )?;
    left.await_empty_kernel()
}
