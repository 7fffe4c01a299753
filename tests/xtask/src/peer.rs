//! What the demonstration and the measurements share: right's side of the connections, and documents.

use anyhow::Result;
use lab::document::Document;
use lab::world::World;

/// The name of the connection that is declared on left.
pub(crate) const INTERFACE: &str = "hosta_conn";

/// right's options for a peer with a certificate, without addresses and mode.
const WITH_CERTIFICATES: [&str; 8] = [
    "left=192.0.2.252",
    "leftcert=right_server",
    "leftid=%fromcert",
    "leftrsasigkey=%cert",
    "right=192.0.2.251",
    "rightid=%fromcert",
    "rightrsasigkey=%cert",
    "ikev2=insist",
];

/// Has right expect left with a certificate; `further` are lines of an ipsec.conf.
pub(crate) fn expect_certificate(world: &World, further: &[&str]) -> Result<()> {
    world
        .right()
        .add_connection("peer", &[&WITH_CERTIFICATES, further].concat())
}

/// `transport.yaml` or `tunnel.yaml` with its placeholders filled in.
pub(crate) fn policy(name: &str, protected: &str) -> Result<Document> {
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
pub(crate) fn removal() -> Result<Document> {
    let placeholders = [
        ("<name>", "remove-ipsec"),
        ("<node_name>", "left"),
        ("<tunnel_name>", INTERFACE),
    ];
    Document::example("remove", &placeholders)
}
