//! What `nmstate-ipsec render machine-config` sends to a node, done as a node does it.

use anyhow::{Context, Result, ensure};
use lab::peer;
use lab::world::{Host, RIGHT_V4, World};
use serde_json::Value;

use super::{NSS, ensure_imported, forget_certificates, keys, listed};
use crate::common;

/// The files and units of both forms, put in place and started twice: with the script, which names authorities as
/// documented, and with the package's own unit.
pub(crate) fn machine_config(world: &World) -> Result<()> {
    let left = world.left();
    left.shell("systemctl stop nmstate-ipsec-certificates.path")
        .run()?;
    forget_certificates(left)?;
    peer::expect_certificate(world.right(), &["type=transport"])?;

    let script = rendered(left, &["--script"])?;
    put_in_place(left, &script)?;
    for _ in 0..2 {
        left.command(["systemctl", "start", "ipsec-import.service"])
            .run()
            .context("the script")?;
        let listed = listed(left)?;
        ensure!(
            listed == ["CA CT,C,C", "left_server u,u,u"],
            "the script has made {listed:?}"
        );
        ensure!(keys(left)? == 1, "the script has left more than one key");
    }
    left.apply(&peer::policy("transport", RIGHT_V4)?)
        .context("applying the document")?;
    common::is_encrypted(world).context("with what the script imported")?;
    common::removes(world)?;

    left.shell(&format!(
        "systemctl disable --quiet ipsec-import.service
         rm -r /etc/systemd/system/ipsec-import.service /usr/local/bin/ipsec-addcert.sh /etc/pki/certs
         certutil -F -d {NSS} -n left_server && certutil -D -d {NSS} -n CA"
    ))
    .run()?;
    let ours = rendered(left, &[])?;
    put_in_place(left, &ours)?;
    for _ in 0..2 {
        left.command(["systemctl", "start", "nmstate-ipsec-certificates.service"])
            .run()
            .context("our unit")?;
        ensure_imported(left)?;
    }
    left.apply(&peer::policy("transport", RIGHT_V4)?)
        .context("applying the document")?;
    common::is_encrypted(world)?;
    common::removes(world)
}

/// The MachineConfig, which is written first.
fn rendered(left: Host<'_>, further: &[&str]) -> Result<Value> {
    let command = [
        "nmstate-ipsec",
        "render",
        "machine-config",
        "--role",
        "worker",
        "--json",
    ];
    let bundle = [
        "--bundle",
        "/etc/lab-pki/left_server.p12",
        "--ca",
        "/etc/lab-pki/ca.pem",
    ];
    let command = command.iter().chain(&bundle).chain(further).copied();
    let list: Value = serde_json::from_str(&left.command(command).run()?)?;
    let config = list["items"][0]["spec"]["config"].clone();
    ensure!(
        config["ignition"]["version"].is_string(),
        "there is no Ignition in {list}"
    );
    Ok(config)
}

/// Writes the files and enables the units, as Ignition and the Machine Config Operator do.
fn put_in_place(left: Host<'_>, config: &Value) -> Result<()> {
    for file in config["storage"]["files"].as_array().into_iter().flatten() {
        let path = file["path"].as_str().context("a file without a path")?;
        let mode = file["mode"].as_u64().context("a file without a mode")?;
        let source = file["contents"]["source"].as_str().unwrap_or_default();
        let content = source.split_once("base64,").context("a file without content")?.1;
        let script = format!("mkdir -p $(dirname {path}) && base64 -d >{path} && chmod {mode:o} {path}");
        left.shell(&script)
            .stdin(content.to_owned())
            .run()
            .with_context(|| path.to_owned())?;
    }
    for unit in config["systemd"]["units"].as_array().into_iter().flatten() {
        let name = unit["name"].as_str().context("a unit without a name")?;
        if let Some(contents) = unit["contents"].as_str() {
            let script = format!("cat >/etc/systemd/system/{name} && systemctl daemon-reload");
            left.shell(&script).stdin(contents.to_owned()).run()?;
        }
        ensure!(unit["enabled"] == true, "{name} is not enabled");
        left.command(["systemctl", "enable", "--quiet", name]).run()?;
    }
    Ok(())
}
