//! Very many connections to one peer.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Result;

use crate::peer;
use crate::world::{ADDCONN, Host};

/// How long pluto may take to load all of them.
const PATIENCE: Duration = Duration::from_secs(600);

/// The address behind right that the connection `number` leads to, from 1.
#[must_use]
pub fn behind(number: usize) -> String {
    format!("198.18.{}.{}", number / 250, number % 250 + 1)
}

/// Has right expect the connections 1 to `count`, each with ids of its own, so that each negotiates for itself.
///
/// # Errors
/// pluto does not take them.
pub fn expect(right: Host<'_>, count: usize) -> Result<()> {
    right.set_psk(peer::PSK)?;
    let mut config = String::new();
    for number in 1..=count {
        writeln!(
            config,
            "conn peer{number}\n left=192.0.2.252\n leftid=@right{number}.example.org\n leftsubnet={}/32\n \
             right=192.0.2.251\n rightid=@left{number}.example.org\n authby=secret\n ikev2=insist",
            behind(number)
        )?;
    }
    load(right, right.control_socket(), &config, "peer", count)
}

/// Hands the connections `<prefix>1` to `<prefix><count>` of `config` to pluto.
fn load(host: Host<'_>, socket: &str, config: &str, prefix: &str, count: usize) -> Result<()> {
    let script = format!("{ADDCONN} --ctlsocket {socket} --config - $(seq -f {prefix}%g {count}) >/dev/null");
    host.shell(&script)
        .stdin(config.to_owned())
        .timeout(PATIENCE)
        .run()
        .map(drop)
}

/// left's side of them for libreswan alone, with our updown helper: `plain1` and so on.
///
/// # Errors
/// Never.
pub fn plain_config(count: usize) -> Result<String> {
    let mut config = String::new();
    for number in 1..=count {
        writeln!(
            config,
            "conn plain{number}\n left=192.0.2.251\n leftid=@left{number}.example.org\n right=192.0.2.252\n \
             rightid=@right{number}.example.org\n rightsubnet={}/32\n authby=secret\n ikev2=insist\n \
             leftupdown=/usr/libexec/nm-libreswan-service-helper",
            behind(number)
        )?;
    }
    Ok(config)
}

/// The connections 1 to `count` as a document, `how` being further lines of each.
///
/// # Errors
/// Never.
pub fn document(count: usize, how: &str) -> Result<String> {
    let mut text = String::from("interfaces:\n");
    for number in 1..=count {
        writeln!(
            text,
            "- name: ipsec_{number}\n  type: ipsec\n  libreswan:\n    left: 192.0.2.251\n    \
             leftid: left{number}.example.org\n    leftmodecfgclient: false\n    right: 192.0.2.252\n    \
             rightid: right{number}.example.org\n    rightsubnet: {}/32\n    psk: {}\n    ikev2: insist{how}",
            behind(number),
            peer::PSK
        )?;
    }
    Ok(text)
}

/// What removes them.
///
/// # Errors
/// Never.
pub fn removal(count: usize) -> Result<String> {
    let mut text = String::from("interfaces:\n");
    for number in 1..=count {
        writeln!(text, "- name: ipsec_{number}\n  type: ipsec\n  state: absent")?;
    }
    Ok(text)
}
