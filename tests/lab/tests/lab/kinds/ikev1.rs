//! IKEv1: main mode with a pre-shared key alone, and the client of a Cisco-like gateway.

use anyhow::{Context, Result, ensure};
use lab::image::Image;
use lab::peer::PSK;
use lab::profile::Profile;
use lab::world::{BEHIND_V4, LEFT_V4, RIGHT_V4, World};
use serde_json::{Value, json};

use super::{Kind, carries, routes, told_of};
use crate::{common, interactive::User, told};

/// Lets both plutos accept IKEv1, which libreswan 5 does not by itself.
const ACCEPT_SCRIPT: &str = "
for file in /etc/ipsec.conf /etc/right/ipsec.conf; do
    sed -i 's/^config setup/&\\n\\tikev1-policy=accept/' \"$file\"
done
systemctl restart ipsec.service right-ipsec.service
";

/// right's users: joe, with the password that `PASSWORD` has.
const USERS_SCRIPT: &str = "
mkdir -p /etc/right/ipsec.d
printf 'joe:%s:peer\\n' \"$(openssl passwd -6 \"$PASSWORD\")\" > /etc/right/ipsec.d/passwd
";

/// The gateway that existing profiles were written for.
const GATEWAY: [&str; 18] = [
    "left=192.0.2.252",
    "leftsubnet=0.0.0.0/0",
    "right=%any",
    "leftid=192.0.2.252",
    "authby=secret",
    "ikev2=no",
    "ike=aes256-sha1;modp1536,aes256-sha1;modp2048",
    "esp=aes256-sha1,aes128-sha1",
    "leftxauthserver=yes",
    "rightxauthclient=yes",
    "leftmodecfgserver=yes",
    "rightmodecfgclient=yes",
    "modecfgpull=yes",
    "rightaddresspool=203.0.113.100-203.0.113.100",
    "xauthby=file",
    "modecfgdns=192.0.2.252",
    "modecfgdomains=example.org",
    "modecfgbanner=\"Welcome to the laboratory\"",
];

/// What the gateway has its users read.
const GREETING: &str = "Welcome to the laboratory";

/// The only address of right's pool.
const ASSIGNED: &str = "203.0.113.100";

/// Without IKEv1 the reason says so; with it, both ways of IKEv1 carry traffic, and wrong passwords and keys are
/// told apart.
pub(crate) fn ikev1(world: &World) -> Result<()> {
    if world.image() == Image::Trixie {
        let profile = main_mode(world)?.profile;
        fails_with(world, &profile, "ikev1-off", "ikev1-policy=accept")?;
    }
    world.left().shell(ACCEPT_SCRIPT).run()?;
    main_mode(world)?.is_as_expected(world)?;
    wrong_psk(world)?;
    gateway(world)?;
    asked_for_the_password(world)
}

fn main_mode(world: &World) -> Result<Kind<'static>> {
    Ok(Kind {
        profile: Kind::psk(
            "main-mode",
            "ikev2=no, nm-auto-defaults=no, rightsubnet=198.51.100.0/24",
        ),
        peer: &["ikev2=no", "leftsubnet=198.51.100.0/24"],
        traffic: &[(LEFT_V4, BEHIND_V4)],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: &[],
    })
}

/// In main mode a peer with another key only falls silent.
fn wrong_psk(world: &World) -> Result<()> {
    let kind = main_mode(world)?;
    kind.is_expected(world)?;
    world.right().set_psk("another key than left has")?;
    let profile = kind.profile.property("vpn.timeout", "20");
    fails_with(world, &profile, "authentication-refused", "pre-shared key")
}

/// Aggressive mode with a group's name, main mode without, user name and password in both.
fn gateway(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    right.set_psk(PSK)?;
    let with_password = |password| set_password(world, password);
    for (name, group, peer) in [
        (
            "aggressive",
            ", leftid=group",
            &["rightid=@group", "aggrmode=yes"][..],
        ),
        ("main", "", &["rightid=192.0.2.251"]),
    ] {
        let data = format!("right=192.0.2.252, leftusername=joe{group}");
        let profile = Profile::new(name, &data)
            .secret("pskvalue", PSK)
            .secret("xauthpassword", "right password");
        let options: Vec<&str> = GATEWAY.iter().chain(peer).copied().collect();
        right.whack(["--name", "peer", "--delete"]).output()?;
        right.add_connection("peer", &options)?;

        with_password("another password")?;
        fails_with(world, &profile, "password-refused", "xauthpassword")?;
        with_password("right password")?;
        let monitor = world.monitor_bus()?;
        profile.up(left)?;
        let messages = monitor.stop()?;
        told::ensure_told(&messages, &told_of_gateway()?)?;
        let greeting = messages.iter().find(|message| message.name() == "LoginBanner");
        ensure!(
            greeting.is_some_and(|message| message.argument(0) == GREETING),
            "no LoginBanner with the greeting of the gateway"
        );
        holds(world, name)?;
        carries(world, &[(ASSIGNED, BEHIND_V4)]).with_context(|| format!("in {name} mode"))?;
        profile.delete(left)?;
        profile.ensure_gone(left)?;
        let held = routes(world)?;
        ensure!(!held.contains(ASSIGNED), "the address is left behind:\n{held}");
    }
    Ok(())
}

/// A password that is not saved is asked for, and asked for again with the reason when the gateway refuses it. The
/// gateway is the last one of [`gateway`], with the same password.
fn asked_for_the_password(world: &World) -> Result<()> {
    let left = world.left();
    let data = "right=192.0.2.252, leftusername=joe, xauthpassword-flags=2";
    let profile = Profile::new("asks", data).secret("pskvalue", PSK);
    profile.add(left)?;
    let user = User::activates(left, &profile, "xauthpassword")?;
    user.is_asked(1)?;
    user.answers("wrong password")?;
    let said = user.is_asked(2)?;
    ensure!(
        said.contains("refused the user name or the password"),
        "the user is not told why the password is asked for again: {said}"
    );
    user.answers("right password")?;
    let said = user.ends()?;
    ensure!(said.contains("successfully activated"), "not activated: {said}");
    carries(world, &[(ASSIGNED, BEHIND_V4)])?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

fn set_password(world: &World, password: &str) -> Result<()> {
    let script = world.right().shell(USERS_SCRIPT);
    script.env("PASSWORD", password).run().map(drop)
}

/// Address, name server, domain and greeting; everything is routed in two halves.
fn told_of_gateway() -> Result<Value> {
    let (gateway, address) = (told::number(RIGHT_V4)?, told::number(ASSIGNED)?);
    let halves = ["0.0.0.0/1", "128.0.0.0/1"];
    let halves: Result<Vec<Value>> = halves
        .iter()
        .map(|half| told::route(half, RIGHT_V4, Some(ASSIGNED)))
        .collect();
    Ok(json!({
        "Config": {
            "gateway": gateway,
            "tundev": "_none_",
            "banner": GREETING,
            "has-ip4": true,
            "has-ip6": false,
        },
        "Ip4Config": {
            "internal-gateway": gateway,
            "address": address,
            "ptp": address,
            "prefix": 32,
            "dns": [gateway],
            "domains": ["example.org"],
            "routes": halves?,
            "never-default": true,
        },
    }))
}

/// What kernel, resolver and NetworkManager hold of it.
fn holds(world: &World, name: &str) -> Result<()> {
    let left = world.left();
    let held = left
        .shell("ip -4 -o address show dev net0; ip route; cat /etc/resolv.conf; nmcli connection show $NAME")
        .env("NAME", name)
        .run()?;
    for words in [
        "203.0.113.100/32",
        "0.0.0.0/1 via 192.0.2.252 dev net0 proto static src 203.0.113.100",
        "128.0.0.0/1 via 192.0.2.252 dev net0 proto static src 203.0.113.100",
        "default via 192.0.2.252 dev net0",
        "search example.org",
        "nameserver 192.0.2.252",
        GREETING,
    ] {
        ensure!(held.contains(words), "left does not hold '{words}':\n{held}");
    }
    Ok(())
}

/// It does not come up; the journal has the reason's code and a text with these words, and nothing is left.
fn fails_with(world: &World, profile: &Profile, code: &str, words: &str) -> Result<()> {
    let left = world.left();
    profile.add(left)?;
    let output = profile.activate(left)?;
    ensure!(!output.success(), "{} came up", profile.name());
    let entry = common::last_reason(left, profile.name())?;
    ensure!(
        entry["IPSEC_REASON"] == code && entry["MESSAGE"].as_str().is_some_and(|text| text.contains(words)),
        "another reason for {}: {entry:#}",
        profile.name()
    );
    profile.delete(left)?;
    profile.ensure_gone(left)
}
