//! Whoever is not root can call, own, forge and overhear nothing of ours on the bus.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer;
use lab::world::{Host, World};

use crate::common;

const DAEMON: (&str, &str) = ("org.nmstate.Ipsec1", "/org/nmstate/Ipsec1");
const PLUGIN_PATH: &str = "/org/freedesktop/NetworkManager/VPN/Plugin";
const PLUGIN_INTERFACE: &str = "org.freedesktop.NetworkManager.VPN.Plugin";

/// What nobody overhears goes into this file.
const OVERHEARD: &str = "/run/lab/overheard";

const SIGTERM: i32 = 15;

/// While a connection is up, an unprivileged user is refused every method of the daemon and of its plugin, whatever
/// they may be, and sees no signal that tells what is in the profile.
pub(crate) fn on_the_bus(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let ear = as_nobody(left, &["dbus-monitor", "--system", "type=signal"]).spawn(OVERHEARD)?;
    wait_until("nobody listens", Duration::from_secs(30), || {
        Ok((!world.agent().get(&ear.stdout)?.is_empty()).then_some(()))
    })?;
    left.apply(&Document::new(peer::PSK_DOCUMENT))?;
    ear.signal(SIGTERM)?;
    ear.wait(Duration::from_secs(30))?;

    let overheard = String::from_utf8_lossy(&world.agent().get(&ear.stdout)?).into_owned();
    ensure!(
        overheard.contains("interface=org.freedesktop.NetworkManager"),
        "nobody heard nothing at all:\n{overheard}"
    );
    for ours in [
        "interface=org.nmstate.Ipsec1",
        "member=Config",
        "member=Ip4Config",
        "member=Ip6Config",
    ] {
        ensure!(!overheard.contains(ours), "nobody heard {ours}:\n{overheard}");
    }

    let plugin = plugin_name(left)?;
    for (name, path) in [DAEMON, (&plugin, PLUGIN_PATH)] {
        can_call_nothing(left, name, path)?;
    }
    can_own_nothing(left, &plugin)?;
    can_forge_nothing(left, &plugin)?;
    common::is_encrypted(world)?;
    common::removes(world)
}

fn as_nobody<'world>(left: Host<'world>, argv: &[&str]) -> lab::agent::GuestCommand<'world> {
    left.command([&["runuser", "-u", "nobody", "--"], argv].concat())
}

/// The name of the one plugin that runs.
fn plugin_name(left: Host<'_>) -> Result<String> {
    let names = left
        .command(["busctl", "--system", "--no-legend", "list"])
        .run()?;
    let mut names = names.lines().filter_map(|line| line.split(' ').next());
    let name = names.find(|name| name.contains(".libreswan.Connection_"));
    Ok(name.context("no plugin is on the bus")?.to_owned())
}

/// Every method that root finds there is refused to nobody.
fn can_call_nothing(left: Host<'_>, name: &str, path: &str) -> Result<()> {
    let introspect = ["busctl", "--system", "--no-legend", "introspect", name, path];
    let listed = left.command(introspect).run()?;
    let mut interface = "";
    let mut refused = 0;
    for line in listed.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns[..] {
            [name, "interface", ..] => interface = name,
            [method, "method", signature, ..] => {
                let method = method.trim_start_matches('.');
                let arguments = arguments(signature);
                let call = [
                    &["busctl", "--system", "call", name, path, interface, method],
                    &arguments[..],
                ];
                is_refused(as_nobody(left, &call.concat()), &format!("{interface}.{method}"))?;
                refused += 1;
            }
            [property, "property", ..] => {
                let property = property.trim_start_matches('.');
                let get = [
                    "busctl",
                    "--system",
                    "get-property",
                    name,
                    path,
                    interface,
                    property,
                ];
                is_refused(as_nobody(left, &get), &format!("{interface}.{property}"))?;
                refused += 1;
            }
            _ => {}
        }
    }
    is_refused(as_nobody(left, &introspect), "introspection")?;
    // The three standard interfaces of an object have six methods; ours come beside them.
    ensure!(
        refused > 6,
        "only {refused} members were found at {name}:\n{listed}"
    );
    Ok(())
}

/// The signature and some arguments of it, as busctl wants them.
fn arguments(signature: &str) -> Vec<&str> {
    if signature == "-" {
        return Vec::new();
    }
    let mut words = vec![signature];
    let mut rest = signature;
    while let Some(kind) = rest.chars().next() {
        rest = rest.get(1..).unwrap_or_default();
        match kind {
            // busctl has no sign for a structure: its members follow one another.
            '(' | ')' => {}
            's' => words.push("x"),
            'v' => words.extend(["s", "x"]),
            'a' => {
                words.push("0");
                rest = behind_element(rest);
            }
            _ => words.push("0"),
        }
    }
    words
}

/// What comes behind the type of an array's elements.
fn behind_element(types: &str) -> &str {
    let mut depth = 0;
    for (position, kind) in types.char_indices() {
        match kind {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            'a' => continue,
            _ => {}
        }
        if depth == 0 {
            return types.get(position + 1..).unwrap_or_default();
        }
    }
    ""
}

fn is_refused(command: lab::agent::GuestCommand<'_>, what: &str) -> Result<()> {
    let output = command.output()?;
    let said = output.stdout + &output.stderr;
    ensure!(
        output.status != 0 && (said.contains("Access denied") || said.contains("AccessDenied")),
        "{what} was not refused: {said}"
    );
    Ok(())
}

fn can_own_nothing(left: Host<'_>, plugin: &str) -> Result<()> {
    let others = [
        "org.freedesktop.NetworkManager.libreswan",
        "org.freedesktop.NetworkManager.libreswan.Connection_99",
    ];
    for name in [DAEMON.0, plugin].into_iter().chain(others) {
        let wanted = format!("string:{name}");
        let request = [
            "dbus-send",
            "--system",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.RequestName",
            &wanted,
            "uint32:7",
        ];
        is_refused(as_nobody(left, &request), &format!("owning {name}"))?;
    }
    Ok(())
}

/// A signal of nobody's to the plugin, in the daemon's name, changes nothing.
fn can_forge_nothing(left: Host<'_>, plugin: &str) -> Result<()> {
    let uuid = left
        .command([
            "nmcli",
            "-g",
            "connection.uuid",
            "connection",
            "show",
            peer::INTERFACE,
        ])
        .run()?;
    let to = format!("--destination={plugin}");
    let failed = ["suss", uuid.trim(), "0", "authentication-refused", "forged"];
    let manager = [
        "busctl",
        "--system",
        "emit",
        &to,
        DAEMON.1,
        "org.nmstate.Ipsec1.Manager",
        "ConnectionFailed",
    ];
    as_nobody(left, &[&manager[..], &failed].concat()).run()?;
    let to_all = [
        "busctl",
        "--system",
        "emit",
        PLUGIN_PATH,
        PLUGIN_INTERFACE,
        "Failure",
        "u",
        "0",
    ];
    as_nobody(left, &to_all).run()?;
    // The plugin and NetworkManager answer root after they have read what came before.
    let state = [
        "busctl",
        "--system",
        "get-property",
        plugin,
        PLUGIN_PATH,
        PLUGIN_INTERFACE,
        "State",
    ];
    let state = left.command(state).run()?;
    ensure!(
        state.trim() == "u 4",
        "the plugin believed nobody and is in state {state}"
    );
    let shown = left
        .command(["nmcli", "-g", "GENERAL.STATE", "connection", "show", uuid.trim()])
        .run()?;
    ensure!(
        shown.trim() == "activated",
        "NetworkManager believed nobody: {shown}"
    );
    Ok(())
}
