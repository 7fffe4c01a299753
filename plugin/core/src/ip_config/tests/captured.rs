//! What real plutos told their updown commands (tests/fixtures), and what becomes of it.

use std::{fmt::Display, fs, path::Path};

use super::*;

/// Versions, captures, keys of the profile, and what NetworkManager is told: gateway, device; then for each family
/// address, next hop, name servers, domains, routes.
const CAPTURES: &str = "
    4.10 5.2 | host-to-host                 |                                                | 192.0.2.252 -
    4.10 5.2 | ipsec-interface              | ipsec-interface=7 leftsubnet=10.1.0.0/16       | 192.0.2.252 ipsec7; - - [] [] [198.51.100.0/24]
    4.10 5.2 | ipsec-interface-host-to-host | ipsec-interface=7                              | 192.0.2.252 ipsec7
    4.10 5.2 | modecfg-v4-in-v4             | leftmodecfgclient=yes                          | 192.0.2.252 -; 10.9.0.10 192.0.2.252 [10.2.0.53] [example.org corp.example.org] [0.0.0.0/1 128.0.0.0/1]; - - [2001:db8::53] [example.org corp.example.org] []
    5.2      | modecfg-v6-in-v4             | leftmodecfgclient=yes clientaddrfamily=ipv6    | 192.0.2.252 -; - 192.0.2.252 [10.2.0.53] [example.org corp.example.org] []; 2001:db8:9:: - [2001:db8::53] [example.org corp.example.org] [2000::/3]
    4.10 5.2 | rightsubnets                 | rightsubnets=198.51.100.0/25,198.51.100.128/25 | 192.0.2.252 -; - 192.0.2.252 [] [] [198.51.100.0/25 198.51.100.128/25]
";

#[test]
fn captured_calls_become_configurations() {
    for line in CAPTURES.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [versions, name, pairs, expected] = columns[..] else {
            panic!("{line}")
        };
        let pairs: Vec<_> = pairs
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .collect();
        for version in versions.split_whitespace() {
            let updowns = read_capture(version, name);
            assert!(
                updowns
                    .iter()
                    .all(|updown| updown.conn_type == Some(crate::connection::ConnType::Tunnel))
            );
            assert!(
                updowns
                    .iter()
                    .all(|updown| updown.reqid.is_some() && updown.spi_in.is_some())
            );
            assert_eq!(
                summary(&configure(&pairs, &updowns)),
                expected,
                "{version} {name}"
            );
        }
    }
}

#[test]
fn only_packets_that_would_loop_are_marked() {
    for version in ["4.10", "5.2"] {
        let to_the_peer = &read_capture(version, "ipsec-interface-host-to-host")[0];
        assert!(to_the_peer.xfrmi_route && to_the_peer.xfrmi_fwmark.is_some());
        let behind_it = &read_capture(version, "ipsec-interface")[0];
        assert!(behind_it.xfrmi_route && behind_it.xfrmi_fwmark.is_none());
    }
}

#[test]
fn a_peer_behind_the_device_is_reached_around_it() {
    for version in ["4.10", "5.2"] {
        let routing = |name| {
            let updowns = read_capture(version, name);
            let wanted = configure(&[("ipsec-interface", "7")], &updowns);
            let told = NetworkConfig {
                ip4: None,
                ..wanted.clone()
            };
            (
                Routing::new(&wanted, &wanted, &updowns),
                Routing::new(&wanted, &told, &updowns),
            )
        };
        let (with_routes, without) = routing("ipsec-interface-host-to-host");
        let detour = with_routes.detour.as_ref().unwrap();
        assert_eq!(detour.peer.to_string(), "192.0.2.252");
        assert_eq!((detour.mark, detour.mask), (7, u32::MAX));
        assert_eq!(detour.interface.as_ref().map(InterfaceName::as_str), Some("net0"));
        assert_eq!(detour.next_hop, None);
        let earlier = Routing::of_earlier(
            &profile(&[("ipsec-interface", "7"), ("ikev2", "insist")], &[]),
            &ends("", "192.0.2.252"),
        );
        let earlier = earlier.detour.unwrap();
        assert_eq!(
            (earlier.peer, earlier.mark, earlier.mask),
            (detour.peer, 7, u32::MAX)
        );
        assert_eq!(with_routes, without);
        let [route] = &without.routes[..] else {
            panic!("{without:?}")
        };
        assert_eq!((route.network, route.prefix), (detour.peer, 32));
        assert_eq!(route.device, "ipsec7".parse().ok());
        let (with_routes, without) = routing("ipsec-interface");
        assert!(with_routes.is_empty() && without.detour.is_none() && without.routes.len() == 1);
        assert!(routing("host-to-host").1.routes.is_empty());
    }
}

#[test]
fn a_source_needs_a_route_of_its_own() {
    for version in ["4.10", "5.2"] {
        let updowns = read_capture(version, "rightsubnets");
        let pairs = [("leftsubnet", "10.1.0.0/16"), ("leftsourceip", "10.1.0.1")];
        let routing = |pairs: &[(&str, &str)]| {
            let wanted = configure(pairs, &updowns);
            let told = NetworkConfig {
                ip4: None,
                ..wanted.clone()
            };
            Routing::new(&wanted, &told, &updowns).routes
        };
        let routes = routing(&pairs);
        assert_eq!(routes.len(), updowns.len(), "{version}");
        assert_eq!(routes[0].device, "net0".parse().ok());
        assert_eq!(routes[0].next_hop, "192.0.2.252".parse().ok());
        assert_eq!(routes[0].source, "10.1.0.1".parse().ok());
        assert!(routing(&pairs[..1]).is_empty());
    }
}

/// The calls of one capture; each begins with the variable that sorts first.
fn read_capture(version: &str, name: &str) -> Vec<Updown> {
    let path = format!("tests/fixtures/libreswan-{version}/{name}.env");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.split("PLUTO_ADDTIME=")
        .filter(|call| !call.is_empty())
        .map(|call| Updown::from_env(call.lines().filter_map(|line| line.split_once('='))).unwrap())
        .collect()
}

fn summary(network: &NetworkConfig) -> String {
    let mut summary = format!(
        "{} {}",
        or_dash(network.config.gateway),
        or_dash(network.config.tundev.as_ref())
    );
    if let Some(ip4) = &network.ip4 {
        summary.push_str(&family_summary(ip4));
    }
    if let Some(ip6) = &network.ip6 {
        summary.push_str(&family_summary(ip6));
    }
    summary
}

fn family_summary<A: Copy + Display>(config: &IpConfig<A>) -> String {
    let routes = config
        .routes
        .iter()
        .map(|route| format!("{}/{}", route.network, route.prefix));
    format!(
        "; {} {} [{}] [{}] [{}]",
        or_dash(config.address),
        or_dash(config.internal_gateway),
        config
            .dns
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        config.domains.join(" "),
        routes.collect::<Vec<_>>().join(" "),
    )
}

fn or_dash<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
