//! The host loses its power; the peer lives in a guest of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::INTERFACE;
use lab::world::{LEFT_V4, Pair, RIGHT_V4};

use super::{bring_up, is_back, watch::longest_pause};

/// What a boot may take, and what comes up by itself after it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A second network card that never gets its address, as with a DHCP server that is away; NetworkManager's start takes
/// until it gives up.
const SLOW_CARD: &str = "
nmcli connection add type dummy ifname slow0 con-name slow ipv4.method auto ipv4.dhcp-timeout 20 ipv6.method disabled \
    connection.autoconnect yes connection.wait-device-timeout 5000 >&2
";

/// Without anybody's help the connection is up after the boot, before the unit that others wait for has finished, and
/// nothing waits for itself: neither with a slow second card, nor with the connection as a secondary of its base. What
/// leaves in clear without a guard is counted; with one nothing does.
pub(crate) fn power_cut(pair: &Pair) -> Result<()> {
    let left = pair.left();
    bring_up(left, pair.right())?;
    left.shell(SLOW_CARD).run()?;
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
    left.command(["nmstate-ipsec", "down", INTERFACE]).run()?;
    left.command(["sync"]).run()?;
    pair.left_vm().power_cycle(PATIENCE)?;
    settled(pair)?;
    ensure!(
        left.spis()?.is_empty(),
        "what was taken down is up after the boot"
    );
    left.command(["nmstate-ipsec", "up", INTERFACE]).run()?;
    is_back(left)
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
    let outage = longest_pause(&captured, RIGHT_V4, LEFT_V4)?;
    eprintln!(
        "power cut, {how}: outage {:.1} s, boot included\n{}",
        outage.as_secs_f64(),
        times.stdout
    );
    Ok(captured.clear_text_from(LEFT_V4, RIGHT_V4)?.len())
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
