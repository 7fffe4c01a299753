//! What a cluster's operator calls, in its order, from a container that has nothing of the host's but the bus.

use anyhow::{Context, Result, ensure};
use lab::agent::{GuestCommand, Output};
use lab::peer;
use lab::world::{BEHIND_V4, Host, LEFT_V4, RIGHT_V4, World};

use super::{BRIDGE, TIME_OUT, ended, has_bridge, shown};
use crate::apply::nothing_is_open;
use crate::common;

const CONTAINER_SCRIPT: &str = include_str!("container.sh");

/// A policy over a capture, with keys that upstream does not know, and what a cluster makes of an unquoted `yes`.
const POLICY: &str = "\
capture:
  base: interfaces.name == \"net0\"
desiredState:
  interfaces:
  - name: hosta_conn
    type: ipsec
    ipv4: {enabled: true, dhcp: true}
    libreswan:
      left: '{{ capture.base.interfaces.0.ipv4.address.0.ip }}'
      leftid: left.example.org
      leftmodecfgclient: false
      right: 192.0.2.252
      rightid: right.example.org
      rightsubnet: 198.51.100.0/24
      psk: a pre-shared key of the laboratory
      ikev2: insist
      ipsec-interface: true
      replay-window: 128
";

/// How the operator ends what it has applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

struct Operator<'world>(&'world World);

/// The whole sequence: committed, again without a change, rolled back, failed, and without ipsec.
pub(crate) fn operator(world: &World) -> Result<()> {
    let (left, operator) = (world.left(), Operator(world));
    peer::expect_psk_with(world.right(), &["ikev2=insist", "leftsubnet=198.51.100.0/24"])?;
    world
        .agent()
        .put("/run/lab/container.sh", 0o755, CONTAINER_SCRIPT.as_bytes())?;
    ended(operator.calls("show -vvv"), 0)?;

    let both = format!("{POLICY}{}", indented(BRIDGE));
    operator.carries_out(&both, End::Commit).context("committing")?;
    ensure!(has_bridge(left)?, "there is no bridge");
    is_up(world)?;
    let spis = left.spis()?;

    // The operator applies again whatever it is not sure of, and ends also what has changed nothing.
    for (policy, end) in [
        (&both, End::Commit),
        (&POLICY.to_owned(), End::Commit),
        (&POLICY.to_owned(), End::Rollback),
    ] {
        operator
            .carries_out(policy, end)
            .with_context(|| format!("without a change: {end:?}"))?;
        ensure!(left.spis()? == spis, "the connection was touched");
    }
    nothing_is_open(left)?;

    let changed = both
        .replace("replay-window: 128", "replay-window: 256")
        .replace("lab-bridge", "lab-bridge2");
    operator
        .carries_out(&changed, End::Rollback)
        .context("rolling back")?;
    is_up(world).context("after a rollback")?;
    let links = left.command(["ip", "link"]).run()?;
    ensure!(!links.contains("lab-bridge2"), "a bridge is left:\n{links}");

    let wrong = both
        .replace(peer::PSK, "another key than right has")
        .replace("lab-bridge", "lab-bridge2");
    let refused = operator.fails(&wrong)?;
    ensure!(
        refused.stderr.contains("hosta_conn: ") && refused.stderr.contains("authentication-refused"),
        "no reason is given: {}",
        refused.stderr
    );
    is_up(world).context("after a failure")?;
    nothing_is_open(left)?;

    let other = format!("desiredState:\n  interfaces:\n{}", indented(BRIDGE));
    let gone = other.replace("state: up", "state: absent");
    operator
        .carries_out(&gone, End::Rollback)
        .context("rolling back without ipsec")?;
    ensure!(has_bridge(left)?, "the bridge is not back");
    operator
        .carries_out(&gone, End::Commit)
        .context("committing without ipsec")?;
    ensure!(!has_bridge(left)?, "the bridge is still there");
    is_up(world).context("after changes without ipsec")
}

/// The tunnel carries traffic, and nothing waits for its end.
fn is_up(world: &World) -> Result<()> {
    common::await_state(world.left(), "hosta_conn", "activated")?;
    let capture = world.capture()?;
    let ping = ["ping", "-n", "-c", "3", "-w", "20", "-I", LEFT_V4, BEHIND_V4];
    world.left().command(ping).run()?;
    capture.stop()?.ensure_encrypted((LEFT_V4, RIGHT_V4))?;
    nothing_is_open(world.left())
}

fn indented(interfaces: &str) -> String {
    interfaces.lines().map(|line| format!("  {line}\n")).collect()
}

impl Operator<'_> {
    fn left(&self) -> Host<'_> {
        self.0.left()
    }

    /// Our command in the container.
    fn calls(&self, arguments: &str) -> GuestCommand<'_> {
        let script = format!("exec sh /run/lab/container.sh {arguments}");
        self.left().shell(&script).timeout(TIME_OUT)
    }

    /// All calls for one policy, which must succeed.
    fn carries_out(&self, policy: &str, end: End) -> Result<()> {
        let applied = self.applies(policy)?;
        ensure!(
            applied.success(),
            "not applied: {}{}",
            applied.stdout,
            applied.stderr
        );
        let state = ended(self.calls("show --json"), 0)?.stdout;
        if policy.contains("ipsec") {
            let libreswan = shown(&state, "hosta_conn")?["libreswan"].take();
            ensure!(
                libreswan["ipsec-interface"] == "yes"
                    && libreswan["left"] == LEFT_V4
                    && libreswan["replay-window"].is_string()
                    && libreswan["psk"] == "<_password_hid_by_nmstate>",
                "shown is {libreswan:#}"
            );
        }
        let end = match end {
            End::Commit => "commit",
            End::Rollback => "rollback",
        };
        ended(self.calls(end), 0)?;
        ended(self.calls("show"), 0).map(drop)
    }

    /// All calls for a policy that cannot be applied: it does not roll back then.
    fn fails(&self, policy: &str) -> Result<Output> {
        let applied = self.applies(policy)?;
        ensure!(
            applied.status == 1 && !applied.timed_out,
            "it was applied: {}",
            applied.stdout
        );
        Ok(applied)
    }

    /// Up to the call that changes the network.
    fn applies(&self, policy: &str) -> Result<Output> {
        let current = ended(self.calls("show"), 0)?.stdout;
        for (name, text) in [
            ("current", current.as_str()),
            ("policy", policy),
            ("captured", ""),
        ] {
            let path = format!("/var/lab-container/tmp/{name}");
            self.0.agent().put(&path, 0o600, text.as_bytes())?;
        }
        let policy = "policy --current /tmp/current --json --output-captured /tmp/captured /tmp/policy";
        let state = ended(self.calls(policy), 0)?.stdout;
        let features = ended(self.calls("st -").stdin(state.as_str()), 0)?.stdout;
        ensure!(
            features.contains("ipsec") == state.contains("\"ipsec\""),
            "features of\n{state}\nare\n{features}"
        );
        ended(self.calls("show"), 0)?;
        // Nothing waits, which the operator does not know.
        ended(self.calls("rollback"), 1)?;
        let apply = self.calls("apply -vv --no-commit --timeout 480").stdin(state);
        let applied = apply.output()?;
        ensure!(
            !applied.stderr.contains(peer::PSK) && !applied.stdout.contains(peer::PSK),
            "the secret is told: {}{}",
            applied.stdout,
            applied.stderr
        );
        Ok(applied)
    }
}
