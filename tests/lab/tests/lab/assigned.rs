//! An address that the peer assigns: `x509.yaml` as it stands, and what NetworkManager and the kernel make of it.

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::world::{BEHIND_V4, BusMessage, LEFT_V4, RIGHT_V4, World};

use crate::common;

/// The only address of right's pool.
const ASSIGNED: &str = "203.0.113.100";

/// Gives left the certificate `hosta.example.org` and right `hostb.example.org`, as `x509.yaml` names them.
const CERTIFICATES: &str = r#"
umask 077
cd /etc/lab-pki
issue() {
    openssl req -new -newkey rsa:2048 -nodes -keyout "$1.key" -subj "/O=Example/CN=$1" -out "$1.csr" 2> "$1.log"
    printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$1" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -set_serial "$2" -days 3650 -extfile "$1.ext" -out "$1.pem"
    openssl pkcs12 -export -inkey "$1.key" -in "$1.pem" -certfile ca.pem -name "$1" -passout pass: -out "$1.p12"
    pk12util -i "$1.p12" -d "sql:$3" -W ""
}
issue hosta.example.org 101 /var/lib/ipsec/nss
issue hostb.example.org 102 /etc/right/nss
"#;

/// The address is in `Ip4Config`, on the interface, and the source of what left sends.
pub(crate) fn x509(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    left.shell(CERTIFICATES)
        .run()
        .context("issuing the certificates")?;
    right.add_connection(
        "peer",
        &[
            "left=192.0.2.252",
            "leftcert=hostb.example.org",
            "leftid=@hostb.example.org",
            "leftrsasigkey=%cert",
            "leftsubnet=0.0.0.0/0",
            "right=192.0.2.251",
            "rightid=%fromcert",
            "rightrsasigkey=%cert",
            "rightaddresspool=203.0.113.100-203.0.113.100",
            "leftmodecfgserver=yes",
            "rightmodecfgclient=yes",
            "modecfgpull=yes",
            "modecfgdns=192.0.2.252",
            "modecfgdomains=example.org",
            "ikev2=insist",
        ],
    )?;

    let monitor = world.monitor_bus()?;
    left.apply(&Document::example("x509", &[])?)
        .context("applying x509.yaml")?;
    let messages = monitor.stop()?;
    told_to_network_manager(&messages)?;
    in_the_kernel(world)?;

    common::is_encrypted_to(world, BEHIND_V4, (LEFT_V4, RIGHT_V4))?;
    common::removes(world)?;
    let addresses = left.command(["ip", "-4", "address", "show"]).run()?;
    ensure!(
        !addresses.contains(ASSIGNED),
        "the assigned address is left behind:\n{addresses}"
    );
    Ok(())
}

/// The signals that NetworkManager got, in their order and with their types.
fn told_to_network_manager(messages: &[BusMessage]) -> Result<()> {
    let signals = ["Config", "Ip4Config", "Ip6Config", "StateChanged", "Failure"];
    let signals: Vec<&BusMessage> = messages
        .iter()
        .filter(|message| signals.contains(&message.name()))
        .collect();
    let names: Vec<&str> = signals.iter().map(|signal| signal.name()).collect();
    ensure!(
        names == ["StateChanged", "Config", "Ip4Config", "StateChanged"],
        "signals in another order: {names:?}"
    );
    let (config, ip4) = (signals[1], signals[2]);
    ensure!(
        config.entry("gateway") == network_order(RIGHT_V4)?,
        "another gateway: {config:?}"
    );
    ensure!(
        config.entry("has-ip4") == true,
        "IPv4 is not announced: {config:?}"
    );
    ensure!(config.entry("has-ip6") == false, "IPv6 is announced: {config:?}");
    ensure!(
        ip4.entry("address") == network_order(ASSIGNED)?,
        "another address: {ip4:?}"
    );
    ensure!(ip4.entry("prefix") == 32, "another prefix: {ip4:?}");
    ensure!(
        ip4.entry("dns")[0] == network_order(RIGHT_V4)?,
        "another name server: {ip4:?}"
    );
    ensure!(
        ip4.entry("domains")[0] == "example.org",
        "another domain: {ip4:?}"
    );
    Ok(())
}

/// An IPv4 address as the contract has it: the four bytes as they are in memory.
fn network_order(address: &str) -> Result<u32> {
    let address: std::net::Ipv4Addr = address.parse()?;
    Ok(u32::from_ne_bytes(address.octets()))
}

fn in_the_kernel(world: &World) -> Result<()> {
    let left = world.left();
    let addresses = left
        .command(["ip", "-4", "-o", "address", "show", "dev", "net0"])
        .run()?;
    ensure!(
        addresses.contains(&format!("{ASSIGNED}/32")),
        "the address is not on the interface:\n{addresses}"
    );
    let route = left.command(["ip", "route", "get", BEHIND_V4]).run()?;
    ensure!(
        route.contains(&format!("src {ASSIGNED}")),
        "packets come from elsewhere:\n{route}"
    );
    let policies = left.policies()?;
    ensure!(
        policies.contains(&format!("src {ASSIGNED}/32 dst 0.0.0.0/0")),
        "the kernel has no policy for the assigned address:\n{policies}"
    );
    Ok(())
}
