//! The host loses its power; the peer lives in a guest of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::peer::{self, INTERFACE};
use lab::world::{BEHIND_V4, Host, LEFT_V4, Pair, RIGHT_V4};

use super::{bring_up, is_back, watch::longest_pause};

/// What a boot may take, and what comes up by itself after it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A second network card that never gets its address, as with a DHCP server that is away; NetworkManager's start takes
/// until it gives up.
const SLOW_CARD: &str = "
nmcli connection add type dummy ifname slow0 con-name slow ipv4.method auto ipv4.dhcp-timeout 20 ipv6.method disabled \
    connection.autoconnect yes connection.wait-device-timeout 5000 >&2
";

/// A kubelet, as far as its place among the units goes.
const KUBELET: &str = "
printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' \
    >/etc/systemd/system/kubelet.service
systemctl enable --quiet kubelet.service
";

/// Without anybody's help the connection is up after the boot, before the unit that others wait for has finished, and
/// nothing waits for itself: neither with a slow second card, nor with the connection as a secondary of its base. What
/// leaves in clear without a guard is counted; with one nothing does.
pub(crate) fn power_cut(pair: &Pair) -> Result<()> {
    let left = pair.left();
    bring_up(left, pair.right())?;
    // What a person brings up again is to be up after the boot.
    for word in ["down", "up"] {
        left.command(["nmstate-ipsec", word, INTERFACE]).run()?;
    }
    left.shell(SLOW_CARD).run()?;
    left.shell(KUBELET).run()?;
    let open = boot(pair, "with a slow second card")?;
    eprintln!("power cut: {open} packets in clear without a guard");

    left.command(["nmstate-ipsec", "guard", INTERFACE, "on"]).run()?;
    let uuid = left
        .command(["nmcli", "-g", "connection.uuid", "connection", "show", INTERFACE])
        .run()?;
    let secondary = |uuid: &str| {
        let modify = [
            "nmcli",
            "connection",
            "modify",
            "base",
            "connection.secondaries",
            uuid,
        ];
        left.command(modify).run()
    };
    secondary(uuid.trim())?;
    let open = boot(pair, "as a secondary of its base, guarded")?;
    ensure!(open == 0, "{open} packets in clear in spite of the guard");

    secondary("")?;
    silent(pair)?;
    stays_down(pair)
}

/// What a person, or a document, has taken down stays down after a loss of power, until somebody wants it up.
fn stays_down(pair: &Pair) -> Result<()> {
    let (left, right) = (pair.left(), pair.right());
    let behind = format!("leftsubnet={BEHIND_V4}/32");
    right.add_connection(
        "second",
        &[&peer::PSK_PEER[..], &[behind.as_str(), "ikev2=insist"]].concat(),
    )?;
    let second = peer::PSK_DOCUMENT
        .replace(INTERFACE, "second\n  state: up")
        .replace("192.0.2.252/32", &format!("{BEHIND_V4}/32"))
        .replace("type: transport", "type: tunnel");
    for state in ["state: up", "state: down"] {
        let declared = Document::new(&second.replace("state: up", state));
        let applied = left.apply_ours(&declared, &["--require-established"])?;
        ensure!(applied.success(), "{state}: {}{}", applied.stdout, applied.stderr);
    }
    left.command(["nmstate-ipsec", "down", INTERFACE]).run()?;
    left.command(["sync"]).run()?;
    pair.left_vm().power_cycle(PATIENCE)?;
    settled(pair)?;
    let spis = left.spis()?;
    ensure!(
        spis.is_empty(),
        "what was taken down is up after the boot: {spis:?}"
    );
    left.command(["nmstate-ipsec", "up", INTERFACE]).run()?;
    is_back(left)?;
    left.command(["nmstate-ipsec", "down", INTERFACE]).run()?;
    left.await_empty_kernel()
        .context("the second one has come up with the first")?;
    left.command(["nmstate-ipsec", "up", "second"]).run()?;
    wait_until("the second one is up", PATIENCE, || {
        Ok((left.spis()?.len() >= 2).then_some(()))
    })
}

/// Cuts the power, and returns how many packets were in clear until the connection was up again.
fn boot(pair: &Pair, how: &str) -> Result<usize> {
    let (left, right) = (pair.left(), pair.right());
    left.command(["sync"]).run()?;
    let capture = pair.capture()?;
    // The peer goes on sending; and so does the host, as soon as it can.
    let script = format!(
        "printf '[Unit]\\nAfter=network-pre.target\\n[Service]\\nExecStart=/bin/sh -c \"while :; do ping -q -n -i 0.1 {RIGHT_V4} || sleep 0.1; done\"\\n[Install]\\nWantedBy=sysinit.target\\n' >/etc/systemd/system/lab-ping.service
         systemctl enable --quiet lab-ping.service; sync"
    );
    left.shell(&script).run()?;
    left.ping(RIGHT_V4)?;
    pair.left_vm()
        .power_cycle(PATIENCE)
        .with_context(|| how.to_owned())?;
    let back = is_back(left).and_then(|()| settled(pair));
    let times = left
        .shell(
            "systemctl show -P ActiveEnterTimestampMonotonic ipsec.service nmstate-ipsec-wait-online.service
             journalctl -b -u nmstate-ipsecd -o short-monotonic --no-pager | grep -m 1 \"'hosta_conn' is up\"
             journalctl -b -u NetworkManager -o short-monotonic --no-pager | grep -m 1 \"eth0.*Activation: successful\"",
        )
        .output()?;
    let captured = capture.stop()?;
    back.with_context(|| format!("{how}:\n{}{}", times.stdout, times.stderr))?;
    ensure!(
        left.spis()? == right.spis()? || right.spis()?.len() >= 2,
        "the peer has no SAs"
    );
    let Order { up, online, kubelet } = Order::of(left)?;
    ensure!(
        up <= online && online <= kubelet,
        "{how}: up {up} s after the boot, {online} s what waits for it, {kubelet} s what waits for that"
    );
    let outage = longest_pause(&captured, RIGHT_V4, LEFT_V4)?;
    eprintln!(
        "power cut, {how}: outage {:.1} s, boot included\n{}",
        outage.as_secs_f64(),
        times.stdout
    );
    Ok(captured.clear_text_from(LEFT_V4, RIGHT_V4)?.len())
}

/// When something came to its end, in seconds since the boot.
struct Order {
    /// The connection was up.
    up: f64,
    /// The unit that others wait for had finished.
    online: f64,
    /// kubelet was started.
    kubelet: f64,
}

impl Order {
    fn of(left: Host<'_>) -> Result<Self> {
        let asked = |script: &str| -> Result<f64> {
            let said = left.shell(script).run()?;
            said.trim().parse().with_context(|| format!("{script}: {said:?}"))
        };
        let of_unit = |property: &str, unit: &str| {
            asked(&format!("systemctl show -P {property}TimestampMonotonic {unit}")).map(|time| time / 1e6)
        };
        Ok(Self {
            up: asked(
                "journalctl -b -u nmstate-ipsecd -o short-monotonic --no-pager | grep -m 1 \"'hosta_conn' is up\" | \
                     sed 's/^\\[ *\\([0-9.]*\\)\\].*/\\1/'",
            )?,
            online: of_unit("ActiveEnter", "nmstate-ipsec-wait-online.service")?,
            kubelet: of_unit("ExecMainStart", "kubelet.service")?,
        })
    }
}

/// Nobody waits longer than a minute for a peer that is silent.
fn silent(pair: &Pair) -> Result<()> {
    let (left, right) = (pair.left(), pair.right());
    right.command(["systemctl", "stop", "ipsec.service"]).run()?;
    left.command(["systemctl", "restart", "ipsec.service"]).run()?;
    // A loss that does not last is not told.
    wait_until("NetworkManager has been told of the loss", PATIENCE, || {
        let active = [
            "nmcli",
            "-t",
            "-f",
            "NAME,STATE",
            "connection",
            "show",
            "--active",
        ];
        let active = left.command(active).output()?.stdout;
        Ok((!active.contains(&format!("{INTERFACE}:activated"))).then_some(()))
    })?;
    let script = "began=$(date +%s)
systemctl restart nmstate-ipsec-wait-online.service
echo $(($(date +%s) - began))";
    let waited = left.shell(script).timeout(PATIENCE).run()?;
    let waited: u64 = waited.trim().parse().context("reading how long was waited")?;
    ensure!(
        (50..=85).contains(&waited) && left.spis()?.is_empty(),
        "a silent peer was waited for, {waited} s"
    );
    right.command(["systemctl", "start", "ipsec.service"]).run()?;
    peer::expect_psk(right)?;
    is_back(left).context("the peer is back")
}

/// The unit that others wait for has finished, by itself.
fn settled(pair: &Pair) -> Result<()> {
    wait_until("the boot has come to its end", PATIENCE, || {
        let asked = pair
            .left()
            .command([
                "systemctl",
                "is-active",
                "nmstate-ipsec-wait-online.service",
                "multi-user.target",
            ])
            .output()?;
        Ok((asked.status == 0).then_some(()))
    })
}
