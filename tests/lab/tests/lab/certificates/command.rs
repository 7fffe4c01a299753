//! `nmstate-ipsec cert` on a host whose daemon does the work.

use anyhow::{Context, Result, ensure};
use lab::document::Document;
use lab::peer::{self, INTERFACE};
use lab::world::{Host, RIGHT_V4, World};
use serde_json::Value;

use super::{NSS, ensure_imported, forget_certificates, listed, said};
use crate::common;

/// Certificates come, are looked at, are used, and go, each by the daemon, which alone can read the files' contents here.
/// What is expired is refused before NetworkManager is asked.
pub(crate) fn command(world: &World) -> Result<()> {
    let left = world.left();
    forget_certificates(left)?;
    left.shell("cp /etc/lab-pki/left_server.p12 /etc/lab-pki/ca.pem /root/; printf sesame >/root/password")
        .run()?;
    let import = ["import", "/root/left_server.p12", "--ca", "/root/ca.pem"];
    let told = cert(left, &import)?;
    ensure!(told.contains("left_server: imported"), "{told}");
    ensure_imported(left)?;
    let again = cert(left, &import)?;
    ensure!(again.contains("left_server: there already"), "{again}");

    peer::expect_certificate(world.right(), &["type=transport"])?;
    left.apply(&peer::policy("transport", RIGHT_V4)?)
        .context("applying the document")?;
    let before = left.spis()?;
    let all: Value = serde_json::from_str(&cert(left, &["list", "--json"])?)?;
    let own = all["certificates"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["nickname"] == "left_server"));
    ensure!(own.is_some_and(|own| own["used-by"][0] == INTERFACE), "{all}");
    let used = left
        .command(["nmstate-ipsec", "cert", "remove", "left_server"])
        .output()?;
    ensure!(
        used.status == 1 && said(&used).contains(INTERFACE),
        "{}",
        said(&used)
    );
    cert(left, &["verify", "left_server"])?;
    cert(
        left,
        &[
            "export",
            "left_server",
            "-o",
            "/root/copy.p12",
            "--password-file",
            "/root/password",
        ],
    )?;
    left.shell(
        "openssl pkcs12 -in /root/copy.p12 -passin file:/root/password -nodes | grep -q 'PRIVATE KEY'",
    )
    .run()?;
    ensure!(before == left.spis()?, "looking at certificates has changed SAs");

    bad_bundles(world)?;
    nobody_else(left)?;
    expired(world)?;
    common::removes(world)?;
    let gone = cert(left, &["remove", "left_server", "--with-ca"])?;
    ensure!(gone.contains("Lab CA") && listed(left)?.is_empty(), "{gone}");
    let log = left
        .shell("journalctl -b -u nmstate-ipsecd -o cat --no-pager")
        .run()?;
    ensure!(!log.contains("sesame"), "a password is in the journal");
    Ok(())
}

fn cert(left: Host<'_>, arguments: &[&str]) -> Result<String> {
    let command = ["nmstate-ipsec", "cert"].iter().chain(arguments).copied();
    left.command(command).run()
}

/// Bundles that are of no use under the nickname of the one that is in use.
const BAD_BUNDLES: &str = "
mkdir /root/bad && cd /root/bad
head -c 900 ../left_server.p12 >cut_off.p12
: >empty.p12
openssl pkcs12 -in ../left_server.p12 -passin pass: -nodes -out all.pem
openssl pkcs12 -export -in all.pem -name left_server -passout pass:sesame -out sealed.p12
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj /O=Example/CN=Stranger -days 30 -out other.pem
openssl req -newkey rsa:2048 -nodes -keyout stranger.key -subj /O=Example/CN=left.example.org -out stranger.csr
openssl x509 -req -in stranger.csr -CA other.pem -CAkey other.key -CAcreateserial -days 30 -out stranger.pem
openssl pkcs12 -export -in stranger.pem -inkey stranger.key -name left_server -passout pass: -out stranger.p12
openssl x509 -in all.pem -out mismatch.pem
cat other.key >>mismatch.pem
rm all.pem
";

/// Each is refused with the database as it was, and pluto authenticates with what it has.
fn bad_bundles(world: &World) -> Result<()> {
    let left = world.left();
    left.shell(BAD_BUNDLES).run()?;
    let (listed, keys) = (super::listed(left)?, super::keys(left)?);
    for bundle in [
        "cut_off.p12",
        "empty.p12",
        "sealed.p12",
        "stranger.p12",
        "mismatch.pem",
    ] {
        let import =
            format!("nmstate-ipsec cert import /root/bad/{bundle} --nickname left_server --ca /root/ca.pem");
        let refused = left.shell(&import).output()?;
        ensure!(
            refused.status == 2 && said(&refused).contains(bundle),
            "{bundle}: {}{}",
            refused.status,
            said(&refused)
        );
        ensure!(
            listed == super::listed(left)? && keys == super::keys(left)?,
            "{bundle} has changed the database"
        );
    }
    let again =
        format!("nmcli --wait 60 connection down {INTERFACE}; nmcli --wait 60 connection up {INTERFACE}");
    left.shell(&again).run()?;
    common::is_encrypted(world)
}

/// A user is refused by the bus, and by the command in words.
fn nobody_else(left: Host<'_>) -> Result<()> {
    let refused = left
        .shell(
            "useradd bob 2>/dev/null || true
             runuser -u bob -- busctl call org.nmstate.Ipsec1 /org/nmstate/Ipsec1 org.nmstate.Ipsec1.Certificates Ask s '{\"do\":\"list\"}'",
        )
        .output()?;
    ensure!(
        refused.status != 0 && said(&refused).contains("denied"),
        "{}",
        said(&refused)
    );
    let refused = left.shell("runuser -u bob -- nmstate-ipsec cert list").output()?;
    ensure!(
        refused.status != 0 && said(&refused).contains("run this as root"),
        "{}",
        said(&refused)
    );
    Ok(())
}

/// Whoever takes a certificate that has expired meanwhile is told so before NetworkManager is asked.
fn expired(world: &World) -> Result<()> {
    let left = world.left();
    let spis = left.spis()?;
    peer::issue(left, "new", "/O=Example/CN=old.example.org", -1)?;
    let import = ["nmstate-ipsec", "cert", "import", "/etc/lab-pki/new.p12"];
    let refused = left.command(import).output()?;
    ensure!(
        refused.status == 2 && said(&refused).contains("expired"),
        "{}",
        said(&refused)
    );
    left.command(["pk12util", "-i", "/etc/lab-pki/new.p12", "-d", NSS, "-W", ""])
        .run()?;
    let document = Document::new(
        "interfaces:\n- name: expired\n  type: ipsec\n  libreswan:\n    left: 192.0.2.251\n    leftcert: new\n    right: 192.0.2.253\n    \
         ikev2: insist\n",
    );
    let refused = left.apply_ours(&document, &[])?;
    ensure!(
        refused.status == 1 && said(&refused).contains("'new' expired"),
        "{}",
        said(&refused)
    );
    let profiles = left.command(["nmcli", "-t", "-f", "NAME", "connection"]).run()?;
    cert(left, &["remove", "new"])?;
    ensure!(
        !profiles.contains("expired"),
        "NetworkManager was asked:\n{profiles}"
    );
    ensure!(spis == left.spis()?, "another connection was touched");
    Ok(())
}
