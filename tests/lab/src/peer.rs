//! What stories, demonstration and measurements share: right's side of the connections, and documents.

use std::time::Duration;

use anyhow::Result;

use crate::agent::GuestCommand;
use crate::document::Document;
use crate::profile::Profile;
use crate::world::Host;

/// NSS writes a bundle's key a million times over, and pluto checks its database before it starts: slow under emulation.
const PATIENCE: Duration = Duration::from_secs(300);

/// The name of the connection that is declared on left.
pub const INTERFACE: &str = "hosta_conn";

/// The key in [`PSK_DOCUMENT`].
pub const PSK: &str = "a pre-shared key of the laboratory";

/// Host to host in transport mode with a pre-shared key; of all connections it is negotiated the quickest.
pub const PSK_DOCUMENT: &str = "\
interfaces:
- name: hosta_conn
  type: ipsec
  libreswan:
    left: 192.0.2.251
    leftid: left.example.org
    leftmodecfgclient: false
    right: 192.0.2.252
    rightid: right.example.org
    rightsubnet: 192.0.2.252/32
    psk: a pre-shared key of the laboratory
    ikev2: insist
    type: transport
";

/// The profile that [`PSK_DOCUMENT`] declares, as a user of nmcli makes it.
#[must_use]
pub fn psk_profile() -> Profile {
    let data = "left=192.0.2.251, leftid=left.example.org, leftmodecfgclient=no, right=192.0.2.252, \
                rightid=right.example.org, rightsubnet=192.0.2.252/32, ikev2=insist, type=transport";
    Profile::new(INTERFACE, data).secret("pskvalue", PSK)
}

/// right's side of every connection that authenticates with [`PSK`].
pub const PSK_PEER: [&str; 5] = [
    "left=192.0.2.252",
    "leftid=@right.example.org",
    "right=192.0.2.251",
    "rightid=@left.example.org",
    "authby=secret",
];

/// The hosts as right sees them.
const HOSTS: [&str; 2] = ["left=192.0.2.252", "right=192.0.2.251"];

/// right's side of every connection that authenticates with certificates.
const CERTIFICATE_PEER: [&str; 6] = [
    "leftcert=right_server",
    "leftid=%fromcert",
    "leftrsasigkey=%cert",
    "rightid=%fromcert",
    "rightrsasigkey=%cert",
    "ikev2=insist",
];

/// Has right expect what [`PSK_DOCUMENT`] declares.
///
/// # Errors
/// pluto does not take it.
pub fn expect_psk(right: Host<'_>) -> Result<()> {
    expect_psk_with(right, &["ikev2=insist", "type=transport"])
}

/// Has right expect left with [`PSK`], under the ids in [`PSK_DOCUMENT`]; `further` are lines of an ipsec.conf.
///
/// # Errors
/// pluto does not take it.
pub fn expect_psk_with(right: Host<'_>, further: &[&str]) -> Result<()> {
    right.set_psk(PSK)?;
    right.add_connection("peer", &[&PSK_PEER, further].concat())
}

/// Has right expect left with [`PSK`] from whatever address it has, for what is behind right.
///
/// # Errors
/// pluto does not take it.
pub fn expect_psk_from_anywhere(right: Host<'_>, address: &str, behind: &str) -> Result<()> {
    right.set_psk(PSK)?;
    let (bits, family) = match address.contains(':') {
        true => (128, "hostaddrfamily=ipv6"),
        false => (32, "hostaddrfamily=ipv4"),
    };
    let (address, behind) = (format!("left={address}"), format!("leftsubnet={behind}/{bits}"));
    let options = [
        &address,
        &behind,
        family,
        "leftid=@right.example.org",
        "right=%any",
        "rightid=@left.example.org",
        "authby=secret",
        "ikev2=insist",
    ];
    right.add_connection("peer", &options)
}

/// Has right expect left with a certificate; `further` are lines of an ipsec.conf.
///
/// # Errors
/// pluto does not take it.
pub fn expect_certificate(right: Host<'_>, further: &[&str]) -> Result<()> {
    expect_certificate_at(right, &[&HOSTS, further].concat())
}

/// The same with the addresses among `further`.
///
/// # Errors
/// pluto does not take it.
pub fn expect_certificate_at(right: Host<'_>, further: &[&str]) -> Result<()> {
    right.add_connection("peer", &[&CERTIFICATE_PEER, further].concat())
}

/// Has right expect left with a certificate whenever its pluto starts, also after a boot.
///
/// # Errors
/// pluto does not come back.
pub fn keep_expecting_certificate(right: Host<'_>, further: &[&str]) -> Result<()> {
    let options = [&HOSTS[..], &CERTIFICATE_PEER, further].concat();
    let config = format!("conn peer\n auto=add\n {}\n", options.join("\n "));
    right
        .shell("cat >/etc/ipsec.d/peer.conf; systemctl enable --quiet ipsec.service; systemctl restart ipsec.service; sync")
        .stdin(config)
        .run()
        .map(drop)
}

/// The subject of the certificate that left has from the beginning.
pub const LEFT_SUBJECT: &str = "/O=Example/CN=left.example.org";

/// Issues another certificate for left by the authority of the lab, with a key of its own, into `/etc/lab-pki/<name>.p12`.
/// It expires in so many days, or did so many days ago.
///
/// # Errors
/// OpenSSL refuses.
pub fn issue(host: Host<'_>, name: &str, subject: &str, days: i32) -> Result<()> {
    let issue = issuing(host, name, "ca", "left.ext").env("SUBJECT", subject);
    issue.env("DAYS", &days.to_string()).run().map(drop)
}

/// Gives right another certificate for its name under the nickname that it uses, and restarts pluto. `authority` is the lab's
/// `ca`, or another one in `/etc/lab-pki`.
///
/// # Errors
/// OpenSSL or NSS refuses, or pluto does not come back.
pub fn exchange_certificate(right: Host<'_>, authority: &str) -> Result<()> {
    let issue = issuing(right, "right_server", authority, "right.ext");
    let issue = issue.env("SUBJECT", "/O=Example/CN=right.example.org");
    issue.env("DAYS", "30").run()?;
    right
        .shell(
            "certutil -F -d sql:/var/lib/ipsec/nss -n right_server
             pk12util -i /etc/lab-pki/right_server.p12 -d sql:/var/lib/ipsec/nss -W ''
             systemctl restart ipsec.service",
        )
        .timeout(PATIENCE)
        .run()
        .map(drop)
}

fn issuing<'world>(
    host: Host<'world>,
    name: &str,
    authority: &str,
    extensions: &str,
) -> GuestCommand<'world> {
    let issue = host.shell(include_str!("world/files/issue.sh")).env("NAME", name);
    issue.env("AUTHORITY", authority).env("EXTENSIONS", extensions)
}

/// `transport.yaml` or `tunnel.yaml` with its placeholders filled in.
///
/// # Errors
/// The example cannot be read, or a placeholder is left.
pub fn policy(name: &str, protected: &str) -> Result<Document> {
    Document::example(
        name,
        &[
            ("<hostname>", "left"),
            ("<interface_name>", INTERFACE),
            ("<cluster_node>", "left.example.org"),
            ("<external_host>", "right.example.org"),
            ("<external_address>", protected),
        ],
    )
}

/// `remove.yaml` with its placeholders filled in.
///
/// # Errors
/// The example cannot be read, or a placeholder is left.
pub fn removal() -> Result<Document> {
    Document::example(
        "remove",
        &[
            ("<name>", "remove"),
            ("<node_name>", "left"),
            ("<tunnel_name>", INTERFACE),
        ],
    )
}
