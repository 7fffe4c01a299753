//! Whoever else acts on a connection: what a person takes down stays down until a person brings it up, and any number of them
//! at once leave one tunnel.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::install::OUR_NMSTATECTL;
use lab::peer::{self, INTERFACE, PSK_DOCUMENT};
use lab::profile::Profile;
use lab::world::{Host, World};
use serde_json::Value;

use crate::apply::nothing_is_open;
use crate::{common, faults, places};

/// What somebody does to a connection is over within so long, and the status says what came of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Surplus pairs of SAs are taken away half a minute after the connection came up.
const SURPLUS: Duration = Duration::from_secs(180);

/// In so long it would have come up again, if anybody wanted that: a first pause is of a second, a second one of two.
const HELD: Duration = Duration::from_secs(20);

/// In so long whatever flaps does so.
const CALM: Duration = Duration::from_secs(30);

/// All loops of [`EVERYBODY`], of which each waits for the others now and then.
const LONG: Duration = Duration::from_secs(900);

/// What has the daemon look again at what may be brought up, from the least to the most.
const REMINDERS: [&str; 4] = [
    "nmcli device reapply net0",
    "ip address add 203.0.113.9/32 dev net0; ip address delete 203.0.113.9/32 dev net0",
    "systemctl restart ipsec.service",
    "systemctl restart nmstate-ipsecd.service",
];

/// Ways to lose a connection that nobody wanted down: NetworkManager hears of the first alone.
const LOSSES: [&str; 2] = [
    faults::ADAPTER_KILLED,
    "ip xfrm policy flush; ip xfrm state flush",
];

/// Who acts at once, and how often.
const APPLIES: usize = 6;
const ROUNDS: usize = 4;
const PERSONS: usize = 4;
const RESTARTS: usize = 2;

/// Where what they say is kept, and what they apply.
const SAID: &str = "/run/lab/all-at-once";
const DECLARED: &str = "/root/declared.yaml";

/// All of them at once. They are in each other's way, so any single command may fail.
const EVERYBODY: &str = r#"
set +e
mkdir -p "$SAID"
# Runs a command and says how it ended.
tries() {
    local status
    echo "\$ $*"
    "$@"
    status=$?
    echo "ended with $status"
    return $status
}
applies() {
    for _ in $(seq "$APPLIES"); do
        tries nmstate-ipsec apply "$DECLARED"
    done
}
operates() {
    for _ in $(seq "$ROUNDS"); do
        tries "$NMSTATECTL" apply --no-commit --timeout 60 "$DECLARED" && tries "$NMSTATECTL" commit
    done
}
takes_down_and_brings_up() {
    for _ in $(seq "$PERSONS"); do
        tries nmcli --wait 30 connection down "$NAME"
        tries nmcli --wait 90 connection up "$NAME"
    done
}
# Not before there was something to lose again, if it comes to that.
restarts() {
    for _ in $(seq "$RESTARTS"); do
        tries systemctl restart ipsec.service
        tries timeout 30 sh -c 'until ip xfrm state list nokeys | grep -q "proto esp"; do sleep 0.2; done'
    done
}
for actor in applies operates takes_down_and_brings_up restarts; do
    $actor >"$SAID/$actor" 2>&1 &
done
wait
exit 0
"#;

/// A person takes down what came up by itself: it stays down, whatever happens to the host, and the status says whom it waits
/// for. What an apply takes down to bring it up anew comes back after a loss: that was nobody's hand.
pub(crate) fn by_hand(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let profile = kept_up(left)?;
    faults::is_back(left).context("nobody has brought it up yet")?;
    common::is_encrypted(world)?;

    let ups_before = ups(left)?;
    profile.down(left)?;
    left.await_empty_kernel()?;
    waits_for_a_person(left).context("it was taken down")?;
    for reminder in REMINDERS {
        left.shell(reminder)
            .run()
            .and_then(|_| waits_for_a_person(left))
            .context(reminder)?;
    }
    places::idle(HELD);
    waits_for_a_person(left)?;
    let came_up = ups(left)? - ups_before;
    ensure!(came_up == 0, "it came up {came_up} times");

    let brought_up = profile.activate(left)?;
    ensure!(
        brought_up.success(),
        "it does not come up: {}{}",
        brought_up.stdout,
        brought_up.stderr
    );
    faults::is_back(left)?;
    common::is_encrypted(world)?;

    is_another_after("applying", world, || {
        let changed = PSK_DOCUMENT.replace("type: transport\n", "type: transport\n    replay-window: 256\n");
        let said = applied(left, &Document::new(&changed))?;
        ensure!(said.contains("modified, up"), "apply says:\n{said}");
        Ok(())
    })?;
    for loss in LOSSES {
        is_another_after(loss, world, || left.shell(loss).run().map(drop))?;
    }
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Documents, an operator, a person and restarts of pluto, all at once: in the end there is one tunnel, and it stays.
pub(crate) fn all_at_once(world: &World) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    let document = Document::new(PSK_DOCUMENT);
    applied(left, &document)?;
    common::is_encrypted(world)?;
    world.agent().put(DECLARED, 0o600, document.text().as_bytes())?;

    let ups_before = ups(left)?;
    let everybody = left
        .shell(EVERYBODY)
        .env("SAID", SAID)
        .env("DECLARED", DECLARED)
        .env("NMSTATECTL", OUR_NMSTATECTL)
        .env("NAME", INTERFACE)
        .env("APPLIES", &APPLIES.to_string())
        .env("ROUNDS", &ROUNDS.to_string())
        .env("PERSONS", &PERSONS.to_string())
        .env("RESTARTS", &RESTARTS.to_string())
        .timeout(LONG);
    let settled = everybody
        .run()
        .and_then(|_| applied(left, &document).context("the last apply"))
        .and_then(|_| is_one_and_stays(world))
        .and_then(|()| came_up_in_reason(left, ups_before));
    settled.with_context(|| {
        let said = left.shell(&format!("tail -n 40 {SAID}/*")).output();
        said.map(|said| said.stdout).unwrap_or_default()
    })?;
    common::removes(world)
}

/// A profile that is up by itself. Nobody but the keeper of connections brings it up: the daemon runs once something happens.
fn kept_up(left: Host<'_>) -> Result<Profile> {
    let profile = peer::psk_profile().property("connection.autoconnect", "yes");
    profile.add(left)?;
    left.shell("nmcli device reapply net0").run()?;
    Ok(profile)
}

/// The status says that whoever took it down has to bring it up, and the kernel has no SA of it.
fn waits_for_a_person(left: Host<'_>) -> Result<()> {
    let mut said = String::new();
    let waits = wait_until("the status says whom it waits for", PATIENCE, || {
        let status = left
            .command(["nmstate-ipsec", "status", INTERFACE, "--json"])
            .output()?;
        said = format!("{}{}", status.stdout, status.stderr);
        let status: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
        let waits_for = status["connections"][0]["waits-for"].as_str().unwrap_or_default();
        Ok(waits_for.starts_with("whoever took it down").then_some(()))
    });
    waits.with_context(|| format!("it says:\n{said}"))?;
    let spis = left.spis()?;
    ensure!(spis.is_empty(), "it is up again: {spis:?}");
    Ok(())
}

/// After whatever happens, the connection is back by itself with SAs that it did not have before.
fn is_another_after(what: &str, world: &World, happens: impl FnOnce() -> Result<()>) -> Result<()> {
    let left = world.left();
    let before = left.spis()?;
    let is_another = || {
        let now = left.spis()?;
        Ok((now.len() >= 2 && before.iter().all(|spi| !now.contains(spi))).then_some(()))
    };
    happens()
        .and_then(|()| wait_until("the tunnel is another one", SURPLUS, is_another))
        .and_then(|()| faults::is_back(left))
        .and_then(|()| common::is_encrypted(world))
        .with_context(|| what.to_owned())
}

/// Applies a document that must be applied, and returns what was said of it.
fn applied(left: Host<'_>, document: &Document) -> Result<String> {
    let output = left.apply_ours(document, &[])?;
    ensure!(
        output.success(),
        "not applied: {}{}",
        output.stdout,
        output.stderr
    );
    Ok(output.stdout)
}

/// One profile, one activation of it, one pair of SAs, nothing half done; and so it stays.
fn is_one_and_stays(world: &World) -> Result<()> {
    let left = world.left();
    faults::is_back(left)?;
    common::is_encrypted(world)?;
    nothing_is_open(left)?;
    let mut spis = Vec::new();
    let is_one_pair = wait_until("there is one pair of SAs", SURPLUS, || {
        spis = left.spis()?;
        Ok((spis.len() == 2).then_some(()))
    });
    is_one_pair.with_context(|| format!("the SAs are {spis:?}"))?;
    is_active_once(left)?;
    places::idle(CALM);
    let after = left.spis()?;
    ensure!(
        spis == after,
        "the SAs were {spis:?} and are {after:?}: it came up again"
    );
    is_active_once(left)?;
    common::is_encrypted(world)
}

/// NetworkManager has one profile of the name, and that active once.
fn is_active_once(left: Host<'_>) -> Result<()> {
    let of_ours = |listed: &str| {
        let lines = listed.lines().filter(|line| line.starts_with(INTERFACE));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let active = "nmcli -t -f NAME,STATE connection show --active";
    let active = of_ours(&left.shell(active).run()?);
    ensure!(
        active == [format!("{INTERFACE}:activated")],
        "active is {active:?}"
    );
    let profiles = of_ours(&left.shell("nmcli -t -f NAME,TYPE connection show").run()?);
    ensure!(
        profiles == [format!("{INTERFACE}:vpn")],
        "the profiles are {profiles:?}"
    );
    Ok(())
}

/// It did not come up oftener than somebody had reason to bring it up: a person each time that they say so, the daemon after
/// each restart of pluto, and each apply and each round of the operator once, where it found the connection down. The last
/// apply, after all loops, is one more. Where the daemon itself answers what a person took down under an apply's checkpoint,
/// there is nothing left for that apply to bring up.
fn came_up_in_reason(left: Host<'_>, before: usize) -> Result<()> {
    let most = PERSONS + RESTARTS + APPLIES + ROUNDS + 1;
    let ups = ups(left)? - before;
    eprintln!("everybody at once: it came up {ups} times, of {most} that have a reason");
    ensure!(ups <= most, "it came up {ups} times, and not {most} at most");
    Ok(())
}

/// How often the connection came up since the host's start, by the journal.
fn ups(left: Host<'_>) -> Result<usize> {
    let count = "journalctl -b -u nmstate-ipsecd -o cat --no-pager | grep -c \"'$NAME' is up$\" || :";
    let count = left.shell(count).env("NAME", INTERFACE).run()?;
    count.trim().parse().with_context(|| format!("reading {count:?}"))
}
