//! What pluto says of its connections (`whack --status`), as far as both versions say it alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

use nmstate_ipsec_core::{daemon_api::SaTimer, render::PlutoName};

/// What pluto knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Connections by name.
    connections: BTreeMap<String, KnownConnection>,
    /// IKE SAs and child SAs by the number of their state.
    states: BTreeMap<u32, KnownState>,
}

/// An IKE SA or a child SA.
#[derive(Debug, PartialEq, Eq)]
struct KnownState {
    /// The connection that it is of.
    connection: String,
    /// Of a child SA, the number of the IKE SA that it was negotiated by.
    parent: Option<u32>,
    /// Whether it is a child SA.
    is_child: bool,
    /// Whether it is the one that pluto uses, of several of its connection.
    is_newest: bool,
    /// What is due to it, in so many seconds.
    due: Vec<(&'static str, u64)>,
}

/// What pluto does to an SA when its time has come, as it says it and as we do.
const EVENTS: [(&str, &str); 3] = [("REKEY", "rekey"), ("REPLACE", "replace"), ("EXPIRE", "expire")];

/// A connection that pluto knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownConnection {
    /// The program that it runs when a tunnel comes or goes (`leftupdown`).
    pub updown: Option<String>,
    /// Whether its packets are caught: by SAs, or by a trap that waits for them.
    pub is_routed: bool,
    /// Its virtual device.
    pub device: Option<String>,
    /// Its SAs.
    pub sas: Vec<EstablishedSa>,
}

/// The SAs of a child SA, by the addresses of the ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstablishedSa {
    /// The SPI of the packets to the peer.
    pub spi: u32,
    /// The peer.
    pub peer: IpAddr,
    /// This host.
    pub me: IpAddr,
}

impl Status {
    /// Reads what whack printed. Lines that are not about connections are passed over.
    pub fn read(said: &str) -> Self {
        let mut status = Self::default();
        for line in said.lines() {
            // libreswan 4 puts a number before every line.
            let line = line.strip_prefix("000 ").unwrap_or(line);
            if line.starts_with('"') {
                status.read_connection(line);
            } else if line.starts_with('#') {
                status.read_state(line);
            }
        }
        status
    }

    /// `"name": ...`, several lines for each connection.
    fn read_connection(&mut self, line: &str) {
        let Some((name, rest)) = line[1..].split_once("\":") else {
            return;
        };
        let known = self.connections.entry(name.to_owned()).or_default();
        // Of a connection neither of whose ends is this host pluto does not know which side is ours: left, as we write it.
        let updown = rest
            .split_once("my_updown=")
            .or_else(|| rest.split_once(" leftupdown="));
        if let Some((_, rest)) = updown {
            let updown = rest.split(';').next().unwrap_or_default();
            known.updown = Some(updown.trim().to_owned());
        }
        if let Some((_, rest)) = rest.split_once("; interface: ")
            && let Some((device, _)) = rest.split(';').next().and_then(|device| device.split_once('@'))
        {
            known.device = Some(device.to_owned());
        }
        // "routed-tunnel", "routed-ondemand"; in libreswan 4 "erouted", "prospective erouted"
        known.is_routed |= rest.contains("; routed-")
            || rest.contains("; erouted;")
            || rest.contains("; prospective erouted;");
    }

    /// `#2: "name":500 ESTABLISHED_CHILD_SA ...; IKE SA #1; idle;` and, of a child SA, a second line
    /// `#2: "name" esp.c3ba4719@192.0.2.252 esp.53706605@192.0.2.251 ...`
    fn read_state(&mut self, line: &str) {
        let Some((number, rest)) = line[1..].split_once(": \"") else {
            return;
        };
        let (Ok(number), Some((name, rest))) = (number.parse(), rest.split_once('"')) else {
            return;
        };
        if rest.starts_with(':') {
            let parent = rest
                .split("; ")
                .find_map(|part| part.strip_prefix("IKE SA #")?.trim_end_matches(';').parse().ok());
            // With IKEv1 a child SA is called an IPsec SA, and libreswan 4 names its parent otherwise.
            let is_child = parent.is_some() || rest.contains("Child SA)") || rest.contains("(IPsec SA");
            let known = KnownState {
                connection: name.to_owned(),
                parent,
                is_child,
                is_newest: rest.split("; ").any(|part| part == "newest"),
                due: rest.split("; ").filter_map(due).collect(),
            };
            self.states.insert(number, known);
        }
        let words = rest.split_whitespace();
        let mut ends = words.filter_map(|word| {
            let (spi, address) = word.strip_prefix("esp.")?.split_once('@')?;
            Some((
                u32::from_str_radix(spi, 16).ok()?,
                address.parse::<IpAddr>().ok()?,
            ))
        });
        if let (Some((spi, peer)), Some((_, me))) = (ends.next(), ends.next()) {
            let known = self.connections.entry(name.to_owned()).or_default();
            known.sas.push(EstablishedSa { spi, peer, me });
        }
    }

    /// Whether pluto knows of no connection, or does not run.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// What pluto has of the connection `name`: itself, or one for each pair of its subnets.
    pub fn of<'a>(&'a self, name: &'a PlutoName) -> impl Iterator<Item = &'a KnownConnection> {
        self.connections
            .iter()
            .filter(|(known, _)| name.owns(known))
            .map(|(_, connection)| connection)
    }

    /// The names of the connections that run `updown`: ours, from this or from an earlier daemon.
    pub fn with_updown<'a>(&'a self, updown: &'a Path) -> impl Iterator<Item = &'a str> {
        self.connections
            .iter()
            .filter(|(_, known)| known.runs(updown))
            .map(|(name, _)| name.as_str())
    }

    /// Whether connections that do not run `updown`, those of others, have the virtual device `name`.
    pub fn others_have_device(&self, name: &str, updown: &Path) -> bool {
        let mut others = self.connections.values().filter(|known| !known.runs(updown));
        others.any(|known| known.device.as_deref() == Some(name))
    }

    /// Whether other connections have child SAs that were negotiated by an IKE SA of the connection `name`.
    pub fn has_siblings(&self, name: &PlutoName) -> bool {
        self.states.values().any(|child| {
            let parent = child.parent.and_then(|parent| self.states.get(&parent));
            parent.is_some_and(|parent| name.owns(&parent.connection)) && !name.owns(&child.connection)
        })
    }

    /// What is due to the SAs of the connection `name`, and to the IKE SAs that its child SAs were negotiated by.
    pub fn timers(&self, name: &PlutoName) -> Vec<SaTimer> {
        let own = self
            .states
            .iter()
            .filter(|(_, state)| name.owns(&state.connection));
        let numbers: BTreeSet<u32> = own
            .flat_map(|(number, state)| [Some(*number), state.parent])
            .flatten()
            .collect();
        let known = numbers
            .iter()
            .filter_map(|number| Some((*number, self.states.get(number)?)));
        let timers = known.flat_map(|(number, state)| {
            state.due.iter().map(move |(event, seconds)| SaTimer {
                kind: if state.is_child { "child" } else { "ike" }.to_owned(),
                number,
                event: (*event).to_owned(),
                seconds: *seconds,
            })
        });
        timers.collect()
    }

    /// The IKE SAs by which the connection `name` has a child SA beside the newest one for the same subnets, as far as they are
    /// of use to nobody else (IKEv2). A child SA whose IKE SA is gone is not for pluto to delete: libreswan 4 would crash.
    pub fn surplus(&self, name: &PlutoName) -> BTreeSet<u32> {
        let has_newest = |connection: &str| {
            let mut states = self.states.values();
            states.any(|state| state.is_child && state.is_newest && state.connection == connection)
        };
        let older = self.states.iter().filter(|(_, state)| {
            state.is_child
                && !state.is_newest
                && name.owns(&state.connection)
                && has_newest(&state.connection)
        });
        let parents = older.filter_map(|(number, state)| {
            let parent = state.parent?;
            let is_of_use = self
                .states
                .iter()
                .any(|(other, known)| other != number && known.parent == Some(parent));
            (self.states.contains_key(&parent) && !is_of_use).then_some(parent)
        });
        parents.collect()
    }

    /// The connections with child SAs whose IKE SA is gone. libreswan 4 keeps them when it deletes the IKE SA together
    /// with another connection, while the peer does not.
    pub fn orphans(&self) -> BTreeSet<&str> {
        let orphans = self.states.values().filter(|child| {
            child
                .parent
                .is_some_and(|parent| !self.states.contains_key(&parent))
        });
        orphans.map(|child| child.connection.as_str()).collect()
    }

    /// Whether the connection `name` runs `updown` when a tunnel comes or goes: is ours.
    pub fn runs(&self, name: &str, updown: &Path) -> bool {
        self.connections.get(name).is_some_and(|known| known.runs(updown))
    }
}

/// `REKEY in 27779s`
fn due(part: &str) -> Option<(&'static str, u64)> {
    let (event, span) = part.split_once(" in ")?;
    let (_, event) = EVENTS.iter().find(|(known, _)| *known == event)?;
    Some((event, span.strip_suffix('s')?.parse().ok()?))
}

impl KnownConnection {
    /// Whether the connection runs `updown` when a tunnel comes or goes.
    pub fn runs(&self, updown: &Path) -> bool {
        self.updown.as_deref().map(Path::new) == Some(updown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDOWN: &str = "/usr/libexec/nm-libreswan-service-helper";

    #[test]
    fn ours_and_others_are_told_apart_in_both_versions() {
        for (version, name) in [("libreswan-4.10", "a-3447ba72"), ("libreswan-5.2", "a-9a1dbab2")] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures")
                .join(version)
                .join("status.txt");
            let status = Status::read(&std::fs::read_to_string(path).unwrap());
            assert_eq!(status.connections.len(), 2, "{version}: {status:?}");
            assert_eq!(
                status.with_updown(Path::new(UPDOWN)).collect::<Vec<_>>(),
                [name],
                "{version}"
            );
            assert_eq!(status.states.len(), 2, "{version}: {status:?}");
            assert_eq!(status.orphans().len(), 0, "{version}");
            let (ours, theirs) = (&status.connections[name], &status.connections["od"]);
            assert!(ours.is_routed && theirs.is_routed, "{version}");
            let sa = ours.sas[0];
            assert_eq!(ours.sas.len(), 1, "{version}");
            assert!(sa.spi > 0xff);
            assert_eq!(
                (sa.peer, sa.me),
                ("192.0.2.252".parse().unwrap(), "192.0.2.251".parse().unwrap())
            );
            assert_eq!(theirs.updown.as_deref(), Some("/root/dump.sh"));
        }
    }

    #[test]
    fn it_is_told_when_sas_are_negotiated_anew() {
        for (version, name, id, due) in [
            ("libreswan-4.10", "a-3447ba72", 3, [27790, 28799, 28238, 28799]),
            ("libreswan-5.2", "a-9a1dbab2", 3, [28238, 28799, 28070, 28799]),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures")
                .join(version)
                .join("status.txt");
            let status = Status::read(&std::fs::read_to_string(path).unwrap());
            let uuid = format!("{}-0000-4000-8000-000000000001", &name[2..])
                .parse()
                .unwrap();
            let told = status.timers(&PlutoName::new(&"a".parse().unwrap(), &uuid));
            let told: Vec<_> = told
                .iter()
                .map(|timer| {
                    (
                        timer.kind.as_str(),
                        timer.number,
                        timer.event.as_str(),
                        timer.seconds,
                    )
                })
                .collect();
            let expected = [
                ("ike", id, "rekey", due[0]),
                ("ike", id, "replace", due[1]),
                ("child", id + 1, "rekey", due[2]),
                ("child", id + 1, "replace", due[3]),
            ];
            assert_eq!(told, expected, "{version}");
        }
    }

    #[test]
    fn the_ike_sa_of_another_connection_is_told_too() {
        let said = "#1: \"theirs\":500 ESTABLISHED_IKE_SA (established IKE SA); REKEY in 100s; REPLACE in soon; idle;\n\
                    #2: \"a-0cb881c9\":500 ESTABLISHED_CHILD_SA (established Child SA); EXPIRE in 7s; IKE SA #1; idle;\n\
                    #3: \"theirs\":500 STATE_QUICK_I2 (IPsec SA established); REPLACE in 8s; isakmp#1; idle;\n";
        let status = Status::read(said);
        let timers = |name: &str, uuid: &str| {
            let uuid = format!("{uuid}-0000-4000-8000-000000000001").parse().unwrap();
            let timers = status.timers(&PlutoName::new(&name.parse().unwrap(), &uuid));
            let told = timers.iter().map(|timer| {
                format!(
                    "{} #{} {} {}",
                    timer.kind, timer.number, timer.event, timer.seconds
                )
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(timers("a", "0cb881c9"), ["ike #1 rekey 100", "child #2 expire 7"]);
        assert!(timers("a", "0cb881ca").is_empty());
        assert!(status.states[&3].is_child && !status.states[&1].is_child);
    }

    #[test]
    fn of_two_calls_the_older_is_surplus() {
        let uuid = "0cb881c9-0000-4000-8000-000000000001".parse().unwrap();
        let name = PlutoName::new(&"a".parse().unwrap(), &uuid);
        let ike = |number: u32| {
            format!(
                "#{number}: \"a-0cb881c9\":500 ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s; idle;\n"
            )
        };
        let child = |number: u32, of: &str, rest: &str| {
            format!(
                "#{number}: \"{of}\":500 ESTABLISHED_CHILD_SA (established Child SA); REKEY in 9s; {rest}; idle;\n"
            )
        };
        let surplus = |said: &[String]| {
            let surplus = Status::read(&said.concat()).surplus(&name);
            surplus.into_iter().collect::<Vec<_>>()
        };
        let twice = [
            ike(40),
            ike(41),
            child(42, "a-0cb881c9", "IKE SA #40"),
            child(43, "a-0cb881c9", "newest; eroute owner; IKE SA #41"),
        ];
        assert_eq!(surplus(&twice), [40]);
        // Another connection's child SA needs the IKE SA.
        let shared = [&twice[..], &[child(44, "theirs", "newest; IKE SA #40")]].concat();
        assert!(surplus(&shared).is_empty());
        // Its IKE SA is gone.
        assert!(surplus(&twice[1..]).is_empty());
        let one_each = [
            ike(41),
            child(42, "a-0cb881c9/1x1", "newest; IKE SA #41"),
            child(43, "a-0cb881c9/1x2", "newest; IKE SA #41"),
            child(45, "theirs", "IKE SA #41"),
            child(46, "theirs", "newest; IKE SA #41"),
        ];
        assert!(surplus(&one_each).is_empty());
        // None is the newest: nothing is known.
        assert!(surplus(&twice[..3]).is_empty());
    }

    #[test]
    fn one_that_is_not_oriented_is_known_by_its_left_end() {
        for line in [
            "\"a-3447ba72\":   leftupdown=/usr/libexec/nm-libreswan-service-helper; rightupdown=unset;",
            "000 \"a-3447ba72\":     unoriented; my_ip=unset; their_ip=unset; leftupdown=/usr/libexec/nm-libreswan-service-helper; rightupdown=unset;",
        ] {
            assert!(Status::read(line).runs("a-3447ba72", Path::new(UPDOWN)), "{line}");
        }
    }

    #[test]
    fn devices_of_others_are_known() {
        let line = "\"theirs\":   conn_prio: 32,24,0; interface: ipsec5@net0; metric: 0;";
        let status = Status::read(line);
        assert!(status.others_have_device("ipsec5", Path::new(UPDOWN)));
        assert!(!status.others_have_device("ipsec", Path::new(UPDOWN)));
        let ours = format!("{line}\n\"theirs\":   my_updown={UPDOWN};");
        assert!(!Status::read(&ours).others_have_device("ipsec5", Path::new(UPDOWN)));
    }

    #[test]
    fn what_is_no_status_is_passed_over() {
        for said in [
            "",
            "\"",
            "\"a",
            "#",
            "#1",
            "#1: \"a\" esp.x@y esp.z",
            "000",
            "\u{0}",
        ] {
            let status = Status::read(said);
            assert!(
                status.states.is_empty() && status.orphans().is_empty(),
                "{said:?}"
            );
        }
    }

    #[test]
    fn siblings_share_an_ike_sa_and_orphans_have_lost_theirs() {
        let child = |number: u32, name: &str| {
            format!(
                "000 #{number}: \"{name}\":500 STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); newest; IKE SA #1; idle;\n"
            )
        };
        let ike =
            "000 #1: \"host-0cb881c9\":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); newest; idle;\n";
        let (own, theirs) = (child(2, "host-0cb881c9"), child(4, "theirs"));
        let uuid = "0cb881c9-0000-4000-8000-000000000001".parse().unwrap();
        let name = PlutoName::new(&"host".parse().unwrap(), &uuid);
        assert!(!Status::read(&format!("{ike}{own}")).has_siblings(&name));
        assert!(Status::read(&format!("{ike}{own}{theirs}")).has_siblings(&name));
        let orphaned = Status::read(&theirs);
        assert_eq!(orphaned.orphans().into_iter().collect::<Vec<_>>(), ["theirs"]);
        assert!(!orphaned.has_siblings(&name));
    }
}
