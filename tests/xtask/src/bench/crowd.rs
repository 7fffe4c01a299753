//! The daemon's memory with very many connections.
//!
//! They come up on demand and lead nowhere, so that two hundred of them fit into a guest: each has its adapter,
//! its worker in the daemon, and its connection and trap in pluto. NetworkManager's part is played by busctl.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::agent::wait_until;
use lab::world::World;

/// So many connections at once.
const CONNECTIONS: usize = 200;

/// Each costs a few programs of libreswan, which are slow under emulation.
const PATIENCE: Duration = Duration::from_secs(900);

const SCRIPT: &str = r#"
name=org.freedesktop.NetworkManager.libreswan.Connection_9
path=/org/freedesktop/NetworkManager/VPN/Plugin
interface=org.freedesktop.NetworkManager.VPN.Plugin
for n in $(seq 1 $CONNECTIONS); do
    /usr/libexec/nm-libreswan-service --bus-name "$name$n" --persist </dev/null >/dev/null 2>&1 &
    until busctl status "$name$n" >/dev/null 2>&1; do :; done
    peer=198.18.0.$n
    uuid=$(printf '%08x-0000-4000-8000-000000000000' "$n")
    busctl call "$name$n" "$path" "$interface" Connect 'a{sa{sv}}' 2 \
        connection 3 id s "crowd$n" uuid s "$uuid" type s vpn \
        vpn 3 service-type s org.freedesktop.NetworkManager.libreswan \
            data 'a{ss}' 6 left 192.0.2.251 right "$peer" rightsubnet "$peer/32" ikev2 insist \
                leftmodecfgclient no nm-connect-mode ondemand \
            secrets 'a{ss}' 1 pskvalue "a key of $n"
done
"#;

/// Memory of the daemon with all connections at once, and of one of their adapters.
pub(super) fn measure(world: &World) -> Result<Vec<String>> {
    let left = world.left();
    let script = SCRIPT.replace("$CONNECTIONS", &CONNECTIONS.to_string());
    left.shell(&script)
        .timeout(PATIENCE)
        .run()
        .context("bringing up very many connections")?;
    // The last that happens to each of them.
    wait_until("all connections are up", PATIENCE, || {
        let up =
            "journalctl -b -u nmstate-ipsecd --no-pager | grep -c \"connection 'crowd[0-9]*' is up\" || true";
        let up: usize = left.shell(up).run()?.trim().parse()?;
        Ok((up >= CONNECTIONS).then_some(()))
    })?;
    let memory = "for name in nmstate-ipsecd nm-libreswan-service; do
        for pid in $(pgrep -x \"${name:0:15}\"); do
            awk '/^Rss/ {rss=$2} /^Pss:/ {pss=$2} END {print rss, pss}' /proc/$pid/smaps_rollup
        done | sort -n | awk -v name=$name '{line[NR]=$0}
            END {split(line[int((NR+1)/2)], of); print name \": \" of[1] \" kB RSS, \" of[2] \" kB PSS\"}'
    done";
    let told = left.shell(memory).run()?;
    Ok(told
        .lines()
        .map(|line| format!("{CONNECTIONS} connections on demand: {line}"))
        .collect())
}
