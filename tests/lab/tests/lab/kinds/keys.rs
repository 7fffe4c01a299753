//! Raw RSA keys, and the keys that today's tools do not have.

use anyhow::{Context, Result, ensure};
use lab::peer::{self, PSK};
use lab::profile::Profile;
use lab::world::{Host, LEFT_V4, World};

use super::{ENDS, Kind, OFFICE_SCRIPT, carries, told_of};

/// Makes a key pair in an NSS database, whose directory follows, and prints its public key.
const KEY_SCRIPT: &str = "
said=$(ipsec newhostkey --nssdir \"$NSS_DIR\" --bits 2192 2>&1) || { echo \"$said\" >&2; exit 1; }
id=$(grep -o '[0-9a-f]\\{40\\}' <<< \"$said\" | head -n 1)
ipsec showhostkey --nssdir \"$NSS_DIR\" --left --ckaid \"$id\" | grep -o '0s.*'
";

/// Both ends have each other's public key in their configuration.
pub(crate) fn raw_keys(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let key = |nss_dir: &str| -> Result<String> {
        let printed = left.shell(KEY_SCRIPT).env("NSS_DIR", nss_dir).run();
        Ok(printed.context("making an RSA key")?.trim().to_owned())
    };
    let (of_left, of_right) = (key("/var/lib/ipsec/nss")?, key("/etc/right/nss")?);
    let (own, theirs) = (
        format!("leftrsasigkey={of_right}"),
        format!("rightrsasigkey={of_left}"),
    );
    let options = [
        "left=192.0.2.252",
        "leftid=@right.example.org",
        "right=192.0.2.251",
        "rightid=@left.example.org",
        "ikev2=insist",
        &own,
        &theirs,
    ];
    right.add_connection("peer", &options)?;
    let data = format!(
        "{ENDS}, ikev2=insist, rightsubnet=192.0.2.252/32, leftrsasigkey={of_left}, rightrsasigkey={of_right}"
    );
    let profile = Profile::new("raw-keys", &data);
    profile.up(left)?;
    carries(world, &[(LEFT_V4, super::RIGHT_V4)])?;
    said_by_pluto(left, "authenticated peer")?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// Keys whose effect is in the kernel, on routes, or in what pluto says.
pub(crate) fn further_keys(world: &World) -> Result<()> {
    world.left().shell(OFFICE_SCRIPT).run()?;
    in_the_kernel(world)?;
    marked(world)?;
    asymmetric(world)
}

fn in_the_kernel(world: &World) -> Result<()> {
    let left = world.left();
    let kind = Kind {
        profile: Kind::psk(
            "many-keys",
            "ikev2=insist, leftsubnet=10.1.0.0/24, leftsourceip=10.1.0.1, rightsubnet=198.51.100.0/24, \
             priority=1234, replay-window=64, retransmit-timeout=21s, mtu=1300, dpddelay=47s, salifetime=1h, \
             ike=aes256-sha2_512;modp2048, esp=aes128-sha2_256, pfs=no, rekey=no, fragmentation=no, mobike=yes",
        ),
        peer: &[
            "ikev2=insist",
            "leftsubnet=198.51.100.0/24",
            "rightsubnet=10.1.0.0/24",
        ],
        traffic: &[("10.1.0.1", "198.51.100.1"), ("10.1.0.2", "198.51.100.1")],
        told: told_of(world, &["198.51.100.0/24"], Some("10.1.0.1"))?,
        routes: &["198.51.100.0/24 via 192.0.2.252 dev net0 proto static src 10.1.0.1"],
    };
    kind.is_expected(world)?;
    kind.comes_up(world)?;
    let policies = left.policies()?;
    ensure!(
        policies.contains("priority 1234 "),
        "another priority:\n{policies}"
    );
    let states = left.security_associations()?;
    for words in ["replay_window 64", "cbc(aes)", "hmac(sha256)"] {
        ensure!(states.contains(words), "the SAs have no {words}:\n{states}");
    }
    let status = left.whack(["--status"]).run()?;
    for words in [
        "replay_window: 64",
        "retransmit-timeout: 21s",
        "sa_prio:1234",
        "mtu: 1300",
        "ipsec_life: 3600s",
        "DONT_REKEY",
        "MOBIKE",
    ] {
        ensure!(
            status.contains(words),
            "pluto's status has no '{words}':\n{status}"
        );
    }
    ensure!(
        !status.contains("IKE_FRAG_ALLOW") && !status.contains("+PFS"),
        "fragmentation=no or pfs=no is not heeded:\n{status}"
    );
    carries(world, kind.traffic)?;
    kind.goes(world)
}

/// The policy is for packets with the mark alone.
fn marked(world: &World) -> Result<()> {
    let left = world.left();
    let kind = Kind {
        profile: Kind::psk(
            "marked",
            "ikev2=insist, rightsubnet=198.51.100.0/24, mark=0x5/0xff",
        ),
        peer: &["ikev2=insist", "leftsubnet=198.51.100.0/24"],
        traffic: &[],
        told: told_of(world, &["198.51.100.0/24"], None)?,
        routes: &[],
    };
    kind.is_expected(world)?;
    kind.comes_up(world)?;
    let policies = left.policies()?;
    ensure!(
        policies.contains("mark 0x5/0xff"),
        "the policies have no mark:\n{policies}"
    );
    kind.goes(world)
}

/// left shows a certificate, right a pre-shared key; and both show certificates, with the signature of `authby`.
fn asymmetric(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let mixed = [
        "leftid=@right.example.org",
        "leftauth=secret",
        "rightauth=rsasig",
        "rightid=%fromcert",
        "rightrsasigkey=%cert",
        "left=192.0.2.252",
        "right=192.0.2.251",
        "ikev2=insist",
    ];
    right.set_psk(PSK)?;
    right.add_connection("peer", &mixed)?;
    let data = "left=192.0.2.251, leftid=%fromcert, leftcert=left_server, leftauth=rsasig, right=192.0.2.252, \
         rightid=@right.example.org, rightauth=secret, leftmodecfgclient=no, ikev2=insist, rightsubnet=192.0.2.252/32";
    let profile = Profile::new("asymmetric", data).secret("pskvalue", PSK);
    profile.up(left)?;
    carries(world, &[(LEFT_V4, super::RIGHT_V4)])?;
    profile.delete(left)?;
    profile.ensure_gone(left)?;

    peer::expect_certificate(right, &["authby=rsa-sha2_384"])?;
    let data = "left=192.0.2.251, leftid=%fromcert, leftcert=left_server, right=192.0.2.252, rightid=%fromcert, \
         authby=rsa-sha2_384, leftmodecfgclient=no, ikev2=insist, rightsubnet=192.0.2.252/32";
    let profile = Profile::new("authby", data);
    profile.up(left)?;
    said_by_pluto(left, "SHA2_384")?;
    profile.delete(left)?;
    profile.ensure_gone(left)
}

/// What left's pluto has logged since it was started holds these words.
fn said_by_pluto(left: Host<'_>, words: &str) -> Result<()> {
    let said = left
        .command(["journalctl", "-b", "-u", "ipsec", "-o", "cat"])
        .run()?;
    ensure!(said.contains(words), "pluto has not said '{words}':\n{said}");
    Ok(())
}
