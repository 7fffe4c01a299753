//! Connections of an ipsec.conf: what a document could not say of them, what is weak, and with what else on the host they
//! would interfere.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use nmstate_ipsec_core::{
    connection::{Connection, HostAddress, Subnet},
    profile::shown,
};

use super::{Finding, Known, Severity, algorithms, authentication, certificate, subject::Subject, traffic};
use crate::{
    document::{Form, Given, InterfaceState, IpsecInterface, Libreswan, Location},
    ipsec_conf::{self, Imported, Place, Said},
};

/// What is said of documents and not of a configuration: its secrets are in another file.
const OF_DOCUMENTS: [&str; 2] = ["missing-secret", "unused-secret"];

/// Connections that were looked at, by their ends: an IKE SA is for all of one pair.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<(HostAddress, HostAddress), Vec<Looked>>);

/// A connection that was looked at.
#[derive(Debug)]
struct Looked {
    name: String,
    place: Place,
    traffic: Traffic,
}

/// What goes through a connection: each side's subnets and protocol, and what tells policies with the same ones apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Traffic {
    mine: Vec<String>,
    peers: Vec<String>,
    apart: Vec<Option<String>>,
}

/// Looks at the connections of a file and of what it includes, and tells how many there are.
pub(super) fn file(path: &Path, known: &Known<'_>, seen: &mut Seen, findings: &mut Vec<Finding>) -> usize {
    let import = match ipsec_conf::import(path, ipsec_conf::Options::default()) {
        Ok(import) => import,
        Err(faults) => {
            findings.extend(
                faults
                    .iter()
                    .map(|fault| said(fault, Severity::Error, "conf-fault")),
            );
            return 0;
        }
    };
    findings.extend(import.remarks.iter().map(|remark| match remark.code {
        "" => said(remark, Severity::Info, "conf-note"),
        code => said(remark, Severity::Warning, code),
    }));
    for conn in &import.connections {
        self::conn(conn, known, seen, findings);
    }
    import.connections.len()
}

fn said(said: &Said, severity: Severity, code: &'static str) -> Finding {
    Finding {
        code,
        severity,
        file: said.place.file.clone(),
        location: location(&said.place),
        path: String::new(),
        text: said.text.clone(),
    }
}

fn conn(conn: &Imported, known: &Known<'_>, seen: &mut Seen, findings: &mut Vec<Finding>) {
    let interface = interface(conn);
    let libreswan = Libreswan {
        data: conn.data.clone(),
        ..Libreswan::default()
    };
    let mut found = Vec::new();
    let mut subject = Subject {
        file: &conn.place.file,
        interface: &interface,
        libreswan: &libreswan,
        findings: &mut found,
    };
    algorithms::proposals(&mut subject);
    if let Some(connection) = subject.connection() {
        authentication::check(&mut subject, &connection);
        traffic::check(&mut subject, &connection);
        traffic::pods(&mut subject, &connection, known.pods);
        certificate::check(&mut subject, &connection, known.certs);
        seen.compare(conn, &connection, &mut subject);
    }
    let of_conf = found
        .into_iter()
        .filter(|finding| !OF_DOCUMENTS.contains(&finding.code));
    findings.extend(of_conf.map(|finding| placed(finding, conn)));
}

/// The connection as the other checks know one, each key where the configuration has it.
fn interface(conn: &Imported) -> IpsecInterface {
    let places = conn.places.iter().filter_map(|(key, place)| {
        let given = Given {
            at: location(place)?,
            form: Form::Text,
        };
        Some((format!("libreswan.{key}"), given))
    });
    IpsecInterface {
        name: conn.name.clone(),
        state: InterfaceState::Up,
        profile_name: None,
        description: None,
        ipv4: None,
        ipv6: None,
        libreswan: None,
        rest: serde_json::Map::new(),
        location: location(&conn.place).unwrap_or(Location { line: 1, column: 1 }),
        path: format!("conn {}", shown(&conn.name)),
        given: places.collect::<BTreeMap<_, _>>(),
    }
}

/// A finding of another check, in the words of a configuration; the key may stand in an included file.
fn placed(finding: Finding, conn: &Imported) -> Finding {
    let name = format!("conn {}", shown(&conn.name));
    let key = finding
        .path
        .strip_prefix(&format!("{name}.libreswan."))
        .unwrap_or_default();
    let place = conn.places.get(key).unwrap_or(&conn.place);
    Finding {
        file: place.file.clone(),
        path: if key.is_empty() {
            name
        } else {
            format!("{name}: {key}")
        },
        ..finding
    }
}

/// ipsec.conf has one key a line.
fn location(place: &Place) -> Option<Location> {
    (place.line > 0).then_some(Location {
        line: place.line,
        column: 1,
    })
}

impl Seen {
    /// Looks for a connection between the same ends, whichever of them it calls left, and keeps this one in mind.
    fn compare(&mut self, conn: &Imported, connection: &Connection, subject: &mut Subject<'_>) {
        // Whoever comes is not one end.
        if connection.right == HostAddress::Any {
            return;
        }
        let ends = (connection.left.clone(), connection.right.clone());
        let traffic = Traffic::of(conn, connection);
        let mirrored = self.0.get(&(ends.1.clone(), ends.0.clone()));
        let same = self
            .0
            .get(&ends)
            .into_iter()
            .flatten()
            .map(|known| (known, known.traffic.clone()));
        let all = same.chain(
            mirrored
                .into_iter()
                .flatten()
                .map(|known| (known, known.traffic.flipped())),
        );
        let mut others: Vec<_> = all.filter(|(known, _)| known.name != conn.name).collect();
        others.sort_by_key(|(_, of_other)| *of_other != traffic);
        if let Some((other, of_other)) = others.first() {
            let name = format!("'conn {}' at {}", shown(&other.name), other.place);
            if *of_other == traffic {
                subject.warn("same-traffic", "right", format!(
                    "{name} has the same ends and the same traffic: the kernel has one policy for it, and whichever connection is \
                     brought up last takes it from the other; keep one of them, or give them different subnets"
                ));
            } else {
                subject.inform("same-ends", "right", format!(
                    "{name} has the same ends: both share one IKE SA, and whoever deletes the connection that has it interrupts \
                     the other; put their subnets into one connection ('rightsubnets'), or take care of the order"
                ));
            }
        }
        let known = Looked {
            name: conn.name.clone(),
            place: conn.place.clone(),
            traffic,
        };
        self.0.entry(ends).or_default().push(known);
    }
}

impl Traffic {
    fn of(conn: &Imported, connection: &Connection) -> Self {
        let side = |subnets: Vec<Subnet>, end: &str, protocol: &str| {
            let mut side: Vec<String> = subnets.iter().map(ToString::to_string).collect();
            if side.is_empty() {
                side.extend(conn.data.get(end).cloned());
            }
            side.sort();
            side.extend(conn.data.get(protocol).cloned());
            side
        };
        let (mine, peers) = traffic::sides(connection);
        Self {
            mine: side(mine, "left", "leftprotoport"),
            peers: side(peers, "right", "rightprotoport"),
            apart: ["mark", "ipsec-interface"]
                .map(|key| conn.data.get(key).cloned())
                .into(),
        }
    }

    fn flipped(&self) -> Self {
        Self {
            mine: self.peers.clone(),
            peers: self.mine.clone(),
            apart: self.apart.clone(),
        }
    }
}
