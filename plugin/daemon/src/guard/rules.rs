//! What a guard lets through and what it holds back: the nftables rules of one connection, as a pure function.
//!
//! The rules stand where packets leave (`postrouting`), after source NAT: what is sent and what is forwarded, of either
//! family, passes there with the addresses that it leaves with. A packet that a policy of the kernel encrypts passes twice:
//! before that with the policy's SAs attached to its route (`rt ipsec exists`), and as ESP. One that would leave in clear
//! passes once, with none (`rt ipsec missing`). A packet that a trap queues passes when it has SAs; `output` would be too
//! early for it.
//!
//! Every connection has a chain of its own in that hook: it is replaced, and goes, without a look at any other.

use std::{fmt::Write as _, net::IpAddr};

use nmstate_ipsec_core::{
    connection::{
        Connection, Family, HostAddress, Subnet,
        value::policy::{EnableTcp, Mark},
    },
    profile::Uuid,
};

use super::selectors::{Flow, Place, Protocol, flows};

/// The one table of all guards, of the family `inet`.
pub(super) const TABLE: &str = "nmstate_ipsec";

/// After source NAT, which is 100: what leaves is judged, not what it is made of.
const PRIORITY: i32 = 150;

/// What is no connection's to encrypt. IKE and ESP go to any address: what a connection protects may be what another one's
/// peer is in, and pluto's own packets and ESP pass no policy either. IKE to a peer behind NAT, and ESP in UDP, may have
/// any port there, and have 500 or 4500 here. Without neighbour discovery, and the membership in its groups, no IPv6 host on
/// the same link is found, without DHCP no address is kept. All of that stays on the link or is IPsec itself. What is routed
/// into an XFRM device, whosever it is, is encrypted there or dropped.
const EXEMPT: &[&str] = &[
    "rt ipsec exists accept",
    "oifname \"lo\" accept",
    "meta oifkind \"xfrm\" accept",
    "meta l4proto { esp, ah } accept",
    "udp sport { 500, 4500 } accept",
    "udp dport { 500, 4500 } accept",
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect, \
     mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept",
    "udp sport . udp dport { 68 . 67, 546 . 547 } accept",
];

/// The port of IKE and ESP over TCP, on both sides.
const TCP_PORT: u16 = 4500;

/// What names are asked for at, in whatever way.
const DNS: &str = "meta l4proto { tcp, udp } th dport { 53, 853 } accept";

/// How the line begins that says which addresses the rules have for which peer.
const PEER: &str = "# right=";

/// The name of a connection's chain and of its counter.
pub(super) fn name(uuid: &Uuid) -> String {
    format!("guard-{uuid}")
}

/// The connection whose chain and counter have that name.
pub(super) fn of_name(name: &str) -> Option<Uuid> {
    name.strip_prefix("guard-")?.parse().ok()
}

/// What nft is given for the connection to be guarded, in place of the guard that it has. `peers` are the addresses that the
/// peer's name leads to, and led to before; they do not matter if `right` is an address.
pub(super) fn ruleset(uuid: &Uuid, connection: &Connection, peers: &[IpAddr]) -> String {
    let name = name(uuid);
    let flows = flows(connection, peers);
    let mark = mark(connection);
    let mut text = format!("{PEER}{}", connection.right);
    for peer in peers {
        let _ = write!(text, " {peer}");
    }
    text.push('\n');
    text.push_str(&declaration(&name));
    let _ = write!(
        text,
        "flush chain inet {TABLE} {name}\ntable inet {TABLE} {{\n\tchain {name} {{\n"
    );
    let exempt = EXEMPT.iter().map(|rule| (*rule).to_owned());
    let further = further(connection, peers, &flows);
    let held = flows.iter().flat_map(|flow| held_back(flow, &mark, &name));
    for rule in exempt.chain(further).chain(held) {
        let _ = writeln!(text, "\t\t{rule}");
    }
    text.push_str("\t}\n}\n");
    text
}

/// What nft is given for the connection's guard to go, whether it is there or not.
pub(super) fn removal(uuid: &Uuid) -> String {
    let name = name(uuid);
    let mut text = declaration(&name);
    for what in ["flush chain", "delete chain", "delete counter"] {
        let _ = writeln!(text, "{what} inet {TABLE} {name}");
    }
    text
}

/// What nft is given for the table to go when no guard is left in it.
pub(super) fn removal_of_table() -> String {
    format!("table inet {TABLE} {{\n}}\ndelete table inet {TABLE}\n")
}

/// The addresses of the peer that a text of [`ruleset`] was made with; none if it was made for another one.
pub(super) fn peers_in(text: &str, right: &HostAddress) -> Vec<IpAddr> {
    let line = text.lines().next().and_then(|line| line.strip_prefix(PEER));
    let mut words = line.unwrap_or_default().split(' ');
    if words.next() != Some(right.to_string().as_str()) {
        return Vec::new();
    }
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Chain and counter, which stay as they are if they are there.
fn declaration(name: &str) -> String {
    format!(
        "table inet {TABLE} {{\n\tcounter {name} {{\n\t}}\n\tchain {name} {{\n\t\ttype filter hook postrouting priority {PRIORITY}; policy accept;\n\t}}\n}}\n"
    )
}

/// What is let through because this connection is as it is.
fn further(connection: &Connection, peers: &[IpAddr], flows: &[Flow]) -> Vec<String> {
    let mut rules = Vec::new();
    if connection.enable_tcp.is_some_and(|tcp| tcp != EnableTcp::No) {
        let literal = match connection.right {
            HostAddress::Ip(address) => Some(address),
            _ => None,
        };
        let known: Vec<IpAddr> = literal.into_iter().chain(peers.iter().copied()).collect();
        for side in ["sport", "dport"] {
            let rule = |to: String| format!("{to}tcp {side} {TCP_PORT} accept");
            if known.is_empty() {
                rules.push(rule(String::new()));
            }
            for family in [Family::Ipv4, Family::Ipv6] {
                let of_family = known.iter().filter(|address| Family::of(**address) == family);
                let hosts: Vec<Subnet> = of_family.map(|address| Subnet::host(*address)).collect();
                if !hosts.is_empty() {
                    rules.push(rule(format!("{} ", among("daddr", family, &hosts))));
                }
            }
        }
    }
    // If all addresses are held back, nobody could be asked where the peer is.
    let asks = matches!(connection.right, HostAddress::Name(_));
    if asks
        && flows
            .iter()
            .any(|flow| flow.to.iter().any(|to| to.is_everything()))
    {
        rules.push(DNS.to_owned());
    }
    rules
}

/// The mark that packets have, if it is not all of them that the connection encrypts.
fn mark(connection: &Connection) -> String {
    match connection.mark {
        Some(Mark::Value { mark, mask }) if mask != 0 => {
            format!(" meta mark & {mask:#010x} == {:#010x}", mark & mask)
        }
        _ => String::new(),
    }
}

/// The rules that hold a flow back. The parts of a packet that was taken to pieces before have no ports but for the first:
/// the others are held back whatever their ports were, for no policy that asks for ports encrypts them.
fn held_back(flow: &Flow, mark: &str, name: &str) -> Vec<String> {
    let family = flow.family;
    let from = match &flow.from {
        Place::Own => format!("meta nfproto {family} fib saddr type local"),
        Place::In(subnets) => among("saddr", family, subnets),
    };
    let to = among("daddr", family, &flow.to);
    let to = if from.starts_with(&to) {
        String::new()
    } else {
        format!(" {to}")
    };
    let drop = |further: &str| format!("{from}{to}{mark}{further} counter name \"{name}\" drop");
    let Some(Protocol {
        protocol,
        from_port,
        to_port,
    }) = &flow.protocol
    else {
        return vec![drop("")];
    };
    let mut matches = format!(" meta l4proto {}", word(protocol));
    let all = matches.clone();
    for (side, port) in [("sport", from_port), ("dport", to_port)] {
        if let Some(port) = port {
            let _ = write!(matches, " th {side} {}", word(port));
        }
    }
    if matches == all {
        return vec![drop(&all)];
    }
    let offset = match family {
        Family::Ipv4 => "ip frag-off & 0x1fff != 0",
        Family::Ipv6 => "frag frag-off != 0",
    };
    vec![drop(&matches), drop(&format!("{all} {offset}"))]
}

/// A number as it is, and a name as a text, which is no word of nft's own then.
fn word(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}

/// `saddr` or `daddr` among subnets of one family. One that is in another is left out: a set may not have both.
fn among(key: &str, family: Family, subnets: &[Subnet]) -> String {
    if subnets.iter().any(|subnet| subnet.is_everything()) {
        return format!("meta nfproto {family}");
    }
    let is_in = |one: &Subnet, other: &Subnet| {
        one != other && other.prefix() <= one.prefix() && other.contains(one.network())
    };
    let widest = subnets
        .iter()
        .filter(|one| !subnets.iter().any(|other| is_in(one, other)));
    let mut texts: Vec<String> = widest
        .map(|subnet| match subnet.is_host() {
            true => subnet.network().to_string(),
            false => subnet.to_string(),
        })
        .collect();
    texts.dedup();
    let key = match family {
        Family::Ipv4 => format!("ip {key}"),
        Family::Ipv6 => format!("ip6 {key}"),
    };
    match texts.as_slice() {
        [one] => format!("{key} {one}"),
        several => format!("{key} {{ {} }}", several.join(", ")),
    }
}
