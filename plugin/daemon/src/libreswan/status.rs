//! What pluto says of its connections (`whack --status`), as far as both versions say it alike.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use nmstate_ipsec_core::render::PlutoName;

/// The connections that pluto knows, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status(BTreeMap<String, KnownConnection>);

/// A connection that pluto knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KnownConnection {
    /// The program that it runs when a tunnel comes or goes (`leftupdown`).
    pub updown: Option<String>,
    /// Whether its packets are caught: by SAs, or by a trap that waits for them.
    pub is_routed: bool,
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
        let known = self.0.entry(name.to_owned()).or_default();
        if let Some((_, rest)) = rest.split_once("my_updown=") {
            let updown = rest.split(';').next().unwrap_or_default();
            known.updown = Some(updown.trim().to_owned());
        }
        // "routed-tunnel", "routed-ondemand"; in libreswan 4 "erouted", "prospective erouted"
        known.is_routed |= rest.contains("; routed-")
            || rest.contains("; erouted;")
            || rest.contains("; prospective erouted;");
    }

    /// `#2: "name" esp.c3ba4719@192.0.2.252 esp.53706605@192.0.2.251 ...`
    fn read_state(&mut self, line: &str) {
        let mut words = line.split_whitespace().skip(1);
        let name = words.next().unwrap_or_default().trim_matches('"');
        let mut ends = words.filter_map(|word| {
            let (spi, address) = word.strip_prefix("esp.")?.split_once('@')?;
            Some((
                u32::from_str_radix(spi, 16).ok()?,
                address.parse::<IpAddr>().ok()?,
            ))
        });
        if let (Some((spi, peer)), Some((_, me))) = (ends.next(), ends.next()) {
            let known = self.0.entry(name.to_owned()).or_default();
            known.sas.push(EstablishedSa { spi, peer, me });
        }
    }

    /// Whether pluto knows of no connection, or does not run.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What pluto has of the connection `name`: itself, or one for each pair of its subnets.
    pub fn of<'a>(&'a self, name: &'a PlutoName) -> impl Iterator<Item = &'a KnownConnection> {
        self.0
            .iter()
            .filter(|(known, _)| name.owns(known))
            .map(|(_, connection)| connection)
    }

    /// The names of the connections that run `updown`: ours, from this or from an earlier daemon.
    pub fn with_updown<'a>(&'a self, updown: &'a Path) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|(_, known)| known.runs(updown))
            .map(|(name, _)| name.as_str())
    }

    /// The names of all connections that have SAs.
    pub fn established(&self) -> impl Iterator<Item = &str> {
        let established = self.0.iter().filter(|(_, known)| !known.sas.is_empty());
        established.map(|(name, _)| name.as_str())
    }
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
            assert_eq!(status.0.len(), 2, "{version}: {status:?}");
            assert_eq!(
                status.with_updown(Path::new(UPDOWN)).collect::<Vec<_>>(),
                [name],
                "{version}"
            );
            assert_eq!(status.established().collect::<Vec<_>>(), [name], "{version}");
            let (ours, theirs) = (&status.0[name], &status.0["od"]);
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
            assert_eq!(status.established().count(), 0, "{said:?}");
        }
    }
}
