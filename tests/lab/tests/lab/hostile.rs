//! The corpus of hostile profiles, handed over by NetworkManager or by whoever else may call the plugin.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use ::hostile::{Case, Reach, Value};
use anyhow::{Context, Result, bail, ensure};
use lab::agent::wait_until;
use lab::world::{BUS_RECORD, BusMessage, Host, World};

/// A refusal is to come within a second; everything in a guest takes about ten times as long.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

const INVALID_CONNECTION: &str = "org.freedesktop.NetworkManager.VPN.Error.InvalidConnection";

/// The name of a plugin that is called without NetworkManager.
const PLUGIN: &str = "org.freedesktop.NetworkManager.libreswan.Connection_hostile";

/// What is newer than this file came of the profiles.
const STAMP: &str = "/run/lab/hostile.stamp";

/// What every script begins with. NetworkManager waits five seconds for a plugin to appear: no more than four come up at
/// once.
const FUNCTIONS: &str = r#"
refused() { grep -c VPN.Error.InvalidConnection "$record" || true; }
await() {
    deadline=$((SECONDS + 60))
    until [ "$(refused)" -ge "$1" ]; do
        if [ $SECONDS -ge $deadline ]; then echo "$2: not refused" >&2; exit 1; fi
        sleep 0.05
    done
}
networkmanager() {
    busctl --system call -- org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
        org.freedesktop.NetworkManager AddAndActivateConnection2 'a{sa{sv}}ooa{sv}' "$@" / / 0 >/dev/null
}
plugin() {
    busctl --system call -- "$plugin" /org/freedesktop/NetworkManager/VPN/Plugin \
        org.freedesktop.NetworkManager.VPN.Plugin Connect 'a{sa{sv}}' "$@" 2>/dev/null || true
}
"#;

/// What must be refused is, and what looks odd comes up.
pub(crate) fn profiles(world: &World) -> Result<()> {
    refused(world)?;
    accepted(world)
}

/// Each is refused within a second with InvalidConnection, which names key and value; nothing is started for it, and
/// nothing of it is left.
fn refused(world: &World) -> Result<()> {
    let left = world.left();
    // How long the daemon takes to start is not what is measured.
    let prepare =
        format!("systemctl start nmstate-ipsecd; systemctl stop ipsec; mkdir -p /run/lab; touch {STAMP}");
    left.shell(&prepare).run()?;
    let cases = ::hostile::refused();
    let of_reach = |reach| {
        cases
            .iter()
            .filter(move |case| case.reach == reach)
            .collect::<Vec<_>>()
    };
    let (brought, called) = (of_reach(Reach::NetworkManager), of_reach(Reach::Plugin));

    let monitor = world.monitor_bus()?;
    world.agent().shell(&format!("systemd-run --quiet --unit=hostile /usr/libexec/nm-libreswan-service --bus-name {PLUGIN} --persist")).run()?;
    let told = hand_over(world, &brought, &called);
    let messages = monitor.stop()?;
    told?;

    let calls = calls(&messages)?;
    for case in brought {
        // An interactive call that is not supported comes before the last one.
        let call = calls
            .iter()
            .rfind(|call| uuid(call) == Some(&case.uuid()) && call.destination() != PLUGIN);
        let call = call.with_context(|| format!("{}: Connect was never called", case.name))?;
        is_refused(case, call, &messages)?;
    }
    let mut calls_of_plugin = calls.iter().filter(|call| call.destination() == PLUGIN);
    for case in called {
        let call = calls_of_plugin.next();
        let call = call.with_context(|| format!("{}: the plugin was never called", case.name))?;
        is_refused(case, call, &messages)?;
    }
    is_in_the_journal(left, &cases)?;
    nothing_is_left(left)
}

/// What looks odd comes up: a key of every byte, and an identity that a shell would run.
fn accepted(world: &World) -> Result<()> {
    for name in ["psk-of-every-byte", "shell-in-an-identity"] {
        let case = ::hostile::accepted().into_iter().find(|case| case.name == name);
        comes_up(
            world,
            &case.with_context(|| format!("{name} is not in the corpus"))?,
        )
        .with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn comes_up(world: &World, case: &Case) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let psk = case.secrets().remove("pskvalue").unwrap_or_default();
    let digits: String = psk.bytes().map(|byte| format!("{byte:02x}")).collect();
    world.agent().put(
        "/etc/right/ipsec.secrets",
        0o600,
        format!(": PSK 0x{digits}\n").as_bytes(),
    )?;
    right.whack(["--rereadsecrets"]).run()?;
    let identity = case
        .data()
        .remove("leftid")
        .unwrap_or_else(|| "192.0.2.251".into());
    let identity = format!("rightid=\"{identity}\"");
    let ends = [
        "left=192.0.2.252",
        "right=192.0.2.251",
        "authby=secret",
        "ikev2=insist",
    ];
    right.add_connection("peer", &[&ends[..], &[&identity]].concat())?;

    left.shell(&[FUNCTIONS, &call("networkmanager", case)].concat())
        .run()?;
    let uuid = case.uuid();
    wait_until("the connection is activated", Duration::from_secs(60), || {
        let state = left
            .command(["nmcli", "-g", "GENERAL.STATE", "connection", "show", &uuid])
            .run()?;
        Ok((state.trim() == "activated").then_some(()))
    })?;
    left.ping("192.0.2.252")?;
    left.command(["nmcli", "connection", "delete", &uuid]).run()?;
    left.await_empty_kernel()?;
    let run = left
        .command(["find", "/tmp", "/var/tmp", "-name", "hostile*"])
        .run()?;
    ensure!(run.is_empty(), "somebody ran what is in the profile: {run}");
    Ok(())
}

/// Has NetworkManager, then a caller of the plugin, hand over one profile after the other.
fn hand_over(world: &World, brought: &[&Case], called: &[&Case]) -> Result<()> {
    const AT_ONCE: usize = 4;
    let mut script = format!("record={BUS_RECORD} plugin={PLUGIN}\n{FUNCTIONS}");
    for (number, case) in brought.iter().enumerate() {
        script += &format!("await {} {}\n", (number + 1).saturating_sub(AT_ONCE), case.name);
        script += &call("networkmanager", case);
    }
    script += &format!("await {} 'the last of them'\n", brought.len());
    for (number, case) in called.iter().enumerate() {
        script += &call("plugin", case);
        script += &format!("await {} {}\n", brought.len() + number + 1, case.name);
    }
    // It is larger than an argument may be.
    let path = "/run/lab/hostile.sh";
    world.agent().put(path, 0o600, script.as_bytes())?;
    let said = world
        .agent()
        .command(["bash", "-eu", path])
        .timeout(Duration::from_secs(300))
        .run();
    said.context("handing the profiles over").map(drop)
}

/// A line of the script: the function with the settings as busctl wants them.
fn call(function: &str, case: &Case) -> String {
    let mut words = vec![function.to_owned()];
    let settings = case.settings();
    words.push(settings.len().to_string());
    for (setting, keys) in &settings {
        words.extend([(*setting).to_owned(), keys.len().to_string()]);
        for (key, value) in keys {
            words.push((*key).to_owned());
            words.extend(busctl_words(value));
        }
    }
    let quoted = words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ") + "\n"
}

fn busctl_words(value: &Value) -> Vec<String> {
    let counted = |signature: &str, count: usize| vec![signature.to_owned(), count.to_string()];
    match value {
        Value::Text(text) => vec!["s".to_owned(), text.clone()],
        Value::Number(number) => vec!["u".to_owned(), number.to_string()],
        Value::Texts(texts) => [counted("as", texts.len()), texts.clone()].concat(),
        Value::Dictionary(pairs) => {
            let words = pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
            counted("a{ss}", pairs.len()).into_iter().chain(words).collect()
        }
    }
}

fn calls(messages: &[BusMessage]) -> Result<Vec<&BusMessage>> {
    let calls: Vec<_> = messages
        .iter()
        .filter(|message| message.name().starts_with("Connect"))
        .collect();
    if calls.is_empty() {
        bail!("Connect was never called");
    }
    Ok(calls)
}

fn uuid(call: &BusMessage) -> Option<&str> {
    call.argument(0)["connection"]["uuid"]["data"].as_str()
}

fn is_refused(case: &Case, call: &BusMessage, messages: &[BusMessage]) -> Result<()> {
    let name = &case.name;
    let answer = messages.iter().find(|message| message.answers(call));
    let answer = answer.with_context(|| format!("{name}: Connect was not refused"))?;
    ensure!(
        answer.name() == INVALID_CONNECTION,
        "{name}: refused with {}",
        answer.name()
    );
    let text = answer.argument(0).as_str().unwrap_or_default();
    let expected = case
        .refused
        .as_ref()
        .with_context(|| format!("{name}: no refusal in the corpus"))?;
    ensure!(
        text.contains(&expected.key) && text.contains(&expected.says),
        "{name}: the refusal does not say what is wrong: {text}"
    );
    let took = answer.time().saturating_sub(call.time());
    ensure!(took < REFUSAL_LIMIT, "{name}: the refusal took {took:?}");
    Ok(())
}

/// The journal has a reason for every profile that says which it is.
fn is_in_the_journal(left: Host<'_>, cases: &[Case]) -> Result<()> {
    let entries = left
        .command(["journalctl", "-b", "-o", "json", "IPSEC_REASON=invalid-profile"])
        .run()?;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries.lines() {
        let entry: serde_json::Value = serde_json::from_str(entry).context("reading the journal")?;
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        known.insert(field("IPSEC_UUID"), field("MESSAGE"));
    }
    let brought = cases.iter().filter(|case| case.reach == Reach::NetworkManager);
    for case in brought {
        let message = known.get(&case.uuid());
        let message = message.with_context(|| format!("{}: not in the journal", case.name))?;
        ensure!(
            message.len() < 1000,
            "{}: a message of {} bytes",
            case.name,
            message.len()
        );
    }
    Ok(())
}

/// Nothing was started for a refused profile, and neither a file, a process nor a connection is left.
fn nothing_is_left(left: Host<'_>) -> Result<()> {
    let pluto = left
        .command(["systemctl", "is-active", "ipsec.service"])
        .output()?
        .stdout;
    ensure!(
        pluto.trim() == "inactive",
        "pluto was started: ipsec.service is {pluto}"
    );
    let files = left
        .command([
            "find",
            "/etc/ipsec.d",
            "/tmp",
            "/var/tmp",
            "-type",
            "f",
            "-newer",
            STAMP,
        ])
        .run()?;
    let files: HashSet<&str> = files
        .lines()
        .filter(|path| !path.contains("/systemd-private-"))
        .collect();
    ensure!(files.is_empty(), "files are left: {files:?}");
    left.command(["systemctl", "stop", "hostile.service"]).run()?;
    wait_until("the plugins are gone", Duration::from_secs(60), || {
        let running = left
            .command(["pgrep", "-f", "nm-libreswan-service"])
            .output()?
            .stdout;
        Ok(running.is_empty().then_some(()))
    })
}
