//! The further documents in `policy-examples/`, each applied as it stands with our own command, and taken back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::document::Document;
use lab::world::{BEHIND_V4, BEHIND_V6, LEFT_V4, LEFT_V6, RIGHT_V4, RIGHT_V6, World};

use crate::{common, kinds};

/// right's other address, and what is behind it.
const SECOND_SCRIPT: &str = "
ip address add 192.0.2.253/24 dev net0
ip address add 203.0.113.1/32 dev behind
";
const SECOND_V4: &str = "192.0.2.253";

/// right's side of every connection in the examples.
const BY_CERTIFICATE: [&str; 4] = [
    "leftcert=right_server",
    "leftrsasigkey=%cert",
    "rightrsasigkey=%cert",
    "ikev2=insist",
];

/// Both ends are known by the subjects of their certificates.
const BY_SUBJECT: [&str; 2] = ["leftid=%fromcert", "rightid=%fromcert"];

/// What goes where, and between which ends it is on the wire.
struct Traffic {
    source: &'static str,
    destination: &'static str,
    ends: (&'static str, &'static str),
}

/// A document, what right expects, and what goes through.
struct Example {
    document: Document,
    /// right's connections, lines of an ipsec.conf beside the certificates.
    peers: Vec<Vec<&'static str>>,
    traffic: Vec<Traffic>,
}

/// Tunnels: to a site, between sites, through a device, and over IPv6.
pub(crate) fn tunnels(world: &World) -> Result<()> {
    let site = [
        "left=192.0.2.252",
        "right=192.0.2.251",
        "leftsubnet=198.51.100.0/24",
    ];
    Example {
        document: Document::example("host-to-site", &[])?,
        peers: vec![[&site[..], &BY_SUBJECT].concat()],
        traffic: vec![between_hosts(LEFT_V4, BEHIND_V4)],
    }
    .works(world)
    .context("host-to-site.yaml")?;

    world.left().shell(kinds::OFFICE_SCRIPT).run()?;
    Example {
        document: Document::example("site-to-site", &[])?,
        peers: vec![[&site[..], &["rightsubnet=10.1.0.0/24"], &BY_SUBJECT].concat()],
        traffic: vec![between_hosts("10.1.0.2", BEHIND_V4)],
    }
    .works(world)
    .context("site-to-site.yaml")?;

    let device = Example {
        document: Document::example("xfrm-interface", &[])?,
        peers: vec![[&site[..], &BY_SUBJECT].concat()],
        traffic: vec![between_hosts(LEFT_V4, BEHIND_V4)],
    };
    goes_through_a_device(world, &device).context("xfrm-interface.yaml")?;

    let six = [
        "left=2001:db8:2::252",
        "right=2001:db8:2::251",
        "leftsubnet=2001:db8:51::/64",
    ];
    Example {
        document: Document::example("ipv6", &[])?,
        peers: vec![[&six[..], &BY_SUBJECT].concat()],
        traffic: vec![Traffic {
            source: LEFT_V6,
            destination: BEHIND_V6,
            ends: (LEFT_V6, RIGHT_V6),
        }],
    }
    .works(world)
    .context("ipv6.yaml")
}

/// Peers: known by name, two of them, and behind address translation.
pub(crate) fn peers(world: &World) -> Result<()> {
    let right = world.right();
    let host = ["left=192.0.2.252", "right=192.0.2.251", "type=transport"];
    Example {
        document: Document::example("host-names", &[])?,
        peers: vec![
            [
                &host[..],
                &["leftid=@right.example.org", "rightid=@left.example.org"],
            ]
            .concat(),
        ],
        traffic: vec![between_hosts(LEFT_V4, RIGHT_V4)],
    }
    .works(world)
    .context("host-names.yaml")?;

    right.shell(SECOND_SCRIPT).run()?;
    right.whack(["--listen"]).run()?;
    let gateway = [
        "left=192.0.2.253",
        "right=192.0.2.251",
        "leftsubnet=203.0.113.0/24",
    ];
    Example {
        document: Document::example("several-peers", &[])?,
        peers: vec![
            [&host[..], &BY_SUBJECT].concat(),
            [&gateway[..], &BY_SUBJECT].concat(),
        ],
        traffic: vec![
            between_hosts(LEFT_V4, RIGHT_V4),
            Traffic {
                source: LEFT_V4,
                destination: "203.0.113.1",
                ends: (LEFT_V4, SECOND_V4),
            },
        ],
    }
    .works(world)
    .context("several-peers.yaml")?;

    right
        .command(["ip", "address", "delete", "192.0.2.253/24", "dev", "net0"])
        .run()?;
    right.whack(["--listen"]).run()?;
    world.left().shell(kinds::TRANSLATION_SCRIPT).run()?;
    let translated = [
        "left=192.0.2.252",
        "right=192.0.2.253",
        "leftsubnet=198.51.100.0/24",
        "rightsubnet=192.0.2.251/32",
    ];
    Example {
        document: Document::example("nat", &[])?,
        peers: vec![[&translated[..], &BY_SUBJECT].concat()],
        traffic: vec![between_hosts(LEFT_V4, BEHIND_V4)],
    }
    .works(world)
    .context("nat.yaml")
}

/// Traffic that is on the wire between left's and right's IPv4 addresses.
fn between_hosts(source: &'static str, destination: &'static str) -> Traffic {
    Traffic {
        source,
        destination,
        ends: (LEFT_V4, RIGHT_V4),
    }
}

/// The device is there with the connection, and what the tunnel is for is routed into it.
fn goes_through_a_device(world: &World, example: &Example) -> Result<()> {
    let left = world.left();
    example.comes_up(world)?;
    let route = left.command(["ip", "route", "get", BEHIND_V4]).run()?;
    ensure!(
        route.contains("dev ipsec1"),
        "it is not routed into the device:\n{route}"
    );
    example.goes(world)?;
    wait_until("the device is gone", Duration::from_secs(20), || {
        let devices = left.command(["ip", "link", "show", "type", "xfrm"]).run()?;
        Ok(devices.is_empty().then_some(()))
    })
}

impl Example {
    /// Applies it, sees its traffic encrypted, and takes it back without a trace.
    fn works(&self, world: &World) -> Result<()> {
        self.comes_up(world)?;
        self.goes(world)
    }

    fn comes_up(&self, world: &World) -> Result<()> {
        for (number, options) in self.peers.iter().enumerate() {
            let options = [&BY_CERTIFICATE[..], options].concat();
            world.right().add_connection(&peer_name(number), &options)?;
        }
        let said = applied(world, &self.document)?;
        for name in self.names()? {
            ensure!(
                said.contains(&format!("{name}: created, up")),
                "{name} is not up:\n{said}"
            );
        }
        for traffic in &self.traffic {
            let capture = world.capture()?;
            kinds::ping(world, traffic.source, traffic.destination)?;
            capture.stop()?.ensure_encrypted(traffic.ends)?;
        }
        Ok(())
    }

    fn goes(&self, world: &World) -> Result<()> {
        let names = self.names()?;
        let absent: Vec<String> = names
            .iter()
            .map(|name| format!("{{name: {name}, type: ipsec, state: absent}}"))
            .collect();
        let removal = Document::new(&format!("interfaces: [{}]", absent.join(", ")));
        applied(world, &removal).context("taking it back")?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        common::leaves_no_trace_of(world, &names)?;
        // What is left on right is its administrator's to remove.
        for number in 0..self.peers.len() {
            let delete = ["--name", &peer_name(number), "--delete"];
            world.right().whack(delete).output()?;
        }
        world.right().await_empty_kernel()
    }

    /// The names of its interfaces.
    fn names(&self) -> Result<Vec<String>> {
        let state: serde_yaml::Value = serde_yaml::from_str(self.document.text())?;
        let interfaces = state["interfaces"].as_sequence().context("no interfaces")?;
        let names = interfaces.iter().map(|interface| {
            let name = interface["name"]
                .as_str()
                .context("an interface without a name")?;
            Ok(name.to_owned())
        });
        names.collect()
    }
}

fn peer_name(number: usize) -> String {
    format!("peer{number}")
}

/// Applies a document that must be applied, and returns what was said of it.
fn applied(world: &World, document: &Document) -> Result<String> {
    world.left().apply_ours(document, &[])?.checked()
}
