//! What lies between the hosts, and when they begin to talk: address translation, and connections on demand.

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer;
use lab::world::{LEFT_V4, RIGHT_V4, World};

use super::{Kind, carries, made_of, ping, told_of};

/// Puts a router that translates addresses between left and the bridge: it answers for right, and right sees
/// it in left's place, as 192.0.2.253.
pub(crate) const TRANSLATION_SCRIPT: &str = "
ip -n wire link set left0 nomaster
ip -n wire address add 192.0.2.253/24 dev br0
ip -n wire route add 192.0.2.251/32 dev left0
ip netns exec wire sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.left0.proxy_arp=1
ip netns exec wire nft -f - <<NFT
table ip translation {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 192.0.2.251 oifname br0 snat to 192.0.2.253
    }
}
NFT
ip neighbour flush dev net0
";

/// right's side of a connection whose addresses are translated: left is known by another than its own.
const TRANSLATED_PEER: [&str; 8] = [
    "left=192.0.2.252",
    "leftid=@right.example.org",
    "leftsubnet=198.51.100.0/24",
    "right=192.0.2.253",
    "rightid=@left.example.org",
    "rightsubnet=192.0.2.251/32",
    "authby=secret",
    "ikev2=insist",
];

/// ESP in UDP, because the profile says so and because addresses are translated on the way.
pub(crate) fn nat(world: &World) -> Result<()> {
    let kind = |name, further: &str| -> Result<Kind<'_>> {
        Ok(Kind {
            profile: Kind::psk(
                name,
                &format!("ikev2=insist, rightsubnet=198.51.100.0/24{further}"),
            ),
            peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
            traffic: &[(LEFT_V4, "198.51.100.1")],
            told: told_of(world, &["198.51.100.0/24"], None)?,
            routes: made_of(world, &["198.51.100.0/24 via 192.0.2.252 dev net0"]),
        })
    };
    let forced = kind("encapsulated", ", encapsulation=yes")?;
    peer::expect_psk_with(world.right(), &[forced.peer, &["encapsulation=yes"]].concat())?;
    is_in_udp(world, &forced).context("encapsulation=yes")?;

    world.left().shell(TRANSLATION_SCRIPT).run()?;
    let translated = kind("translated", "")?;
    world.right().add_connection("peer", &TRANSLATED_PEER)?;
    is_in_udp(world, &translated).context("through address translation")
}

/// Brings it up and sees its ESP on UDP port 4500 alone.
fn is_in_udp(world: &World, kind: &Kind<'_>) -> Result<()> {
    kind.comes_up(world)?;
    let capture = world.capture()?;
    for (source, destination) in kind.traffic {
        ping(world, source, destination)?;
    }
    let captured = capture.stop()?;
    captured.ensure_encrypted((LEFT_V4, RIGHT_V4))?;
    let bare = captured.packets("ip proto 50")?;
    ensure!(bare.is_empty(), "ESP without UDP:\n{}", bare.join("\n"));
    kind.goes(world)
}

/// Up is a trap; the first packet brings the SAs, and taking it down leaves nothing, with SAs or without.
pub(crate) fn on_demand(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let kind = Kind {
        profile: Kind::psk(
            "on-demand",
            "ikev2=insist, rightsubnet=198.51.100.0/24, nm-connect-mode=ondemand",
        ),
        peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
        traffic: &[(LEFT_V4, "198.51.100.1")],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: &[],
    };
    for is_used in [false, true] {
        kind.is_expected(world)?;
        kind.comes_up(world)?;
        ensure!(left.spis()?.is_empty(), "there are SAs before there is traffic");
        let trap = left.policies()?;
        ensure!(
            trap.contains("src 192.0.2.251/32 dst 198.51.100.0/24"),
            "no trap waits for traffic:\n{trap}"
        );
        if is_used {
            let capture = world.capture()?;
            // The first packets are lost while the SAs are negotiated.
            let first = ["ping", "-n", "-c", "1", "-w", "60", "198.51.100.1"];
            left.command(first)
                .run()
                .context("waiting for the first answer")?;
            let open = capture.stop()?.in_the_open()?;
            ensure!(open.is_empty(), "clear text on the wire:\n{}", open.join("\n"));
            wait_until("both hosts have the SAs", super::NEGOTIATION, || {
                Ok((left.spis()? == right.spis()?).then_some(()))
            })?;
            carries(world, kind.traffic)?;
        }
        kind.goes(world)?;
    }
    Ok(())
}
