mod captured;

use std::collections::HashMap;

use proptest::prelude::*;
use zbus::zvariant::Value;

use super::*;
use crate::testing::{ends, profile};

/// One call of the updown command for a subnet behind the peer.
fn up(replaced: &[(&str, &str)]) -> Updown {
    let mut variables = HashMap::from([
        ("PLUTO_VERB", "up-client"),
        ("PLUTO_CONNECTION", "hosta_conn-1f2e3d4c"),
        ("PLUTO_PEER", "192.0.2.252"),
        ("PLUTO_NEXT_HOP", "198.51.100.1"),
        ("PLUTO_PEER_CLIENT_NET", "10.2.0.0"),
        ("PLUTO_PEER_CLIENT_MASK", "255.255.0.0"),
    ]);
    variables.extend(replaced.iter().copied());
    Updown::from_env(variables).unwrap()
}

fn configure(pairs: &[(&str, &str)], updowns: &[Updown]) -> NetworkConfig {
    let pairs = [&[("ikev2", "insist"), ("leftmodecfgclient", "no")], pairs].concat();
    network_config(&profile(&pairs, &[]), &ends("", "192.0.2.252"), updowns)
}

fn ip(text: &str) -> u32 {
    u32::from_ne_bytes(text.parse::<Ipv4Addr>().unwrap().octets())
}

fn v6(text: &str) -> Vec<u8> {
    text.parse::<Ipv6Addr>().unwrap().octets().to_vec()
}

fn dict(pairs: Vec<(&'static str, Value<'static>)>) -> Dict {
    pairs.into_iter().collect()
}

#[test]
fn a_policy_based_connection_to_a_subnet() {
    let network = configure(&[], &[up(&[])]);
    assert_eq!(
        network.config.to_dict(),
        dict(vec![
            ("gateway", Value::new(ip("192.0.2.252"))),
            ("tundev", Value::new("_none_")),
            ("has-ip4", Value::new(true)),
            ("has-ip6", Value::new(false)),
        ])
    );
    assert_eq!(
        network.ip4.unwrap().to_dict(),
        dict(vec![
            ("internal-gateway", Value::new(ip("198.51.100.1"))),
            (
                "routes",
                Value::new(vec![vec![ip("10.2.0.0"), 16, ip("198.51.100.1"), 0]])
            ),
            ("never-default", Value::new(true)),
        ])
    );
    assert_eq!(network.ip6, None);
}

#[test]
fn dictionaries_have_the_contract_s_signatures() {
    let updown = up(&[
        ("PLUTO_MY_SOURCEIP", "10.9.0.7"),
        ("PLUTO_PEER_DNS_INFO", "10.2.0.53"),
        ("PLUTO_PEER_DOMAIN_INFO", "example.org"),
        ("PLUTO_PEER_BANNER", "hello"),
    ]);
    let network = configure(&[("leftmodecfgclient", "yes")], &[updown]);
    let signatures: HashMap<_, _> = network
        .config
        .to_dict()
        .into_iter()
        .chain(network.ip4.unwrap().to_dict())
        .map(|(key, value)| (key, value.value_signature().to_string()))
        .collect();
    let expected = [
        ("gateway", "u"),
        ("tundev", "s"),
        ("banner", "s"),
        ("has-ip4", "b"),
        ("has-ip6", "b"),
        ("internal-gateway", "u"),
        ("address", "u"),
        ("ptp", "u"),
        ("prefix", "u"),
        ("dns", "au"),
        ("domains", "as"),
        ("routes", "aau"),
        ("never-default", "b"),
    ];
    assert_eq!(
        signatures,
        expected
            .iter()
            .map(|(key, signature)| (*key, (*signature).to_owned()))
            .collect()
    );
}

#[test]
fn dictionaries_of_ipv6_have_the_contract_s_signatures() {
    let updown = up(&[
        ("PLUTO_MY_SOURCEIP", "2001:db8:9::7"),
        ("PLUTO_PEER_DNS_INFO", "2001:db8:2::53"),
        ("PLUTO_PEER", "2001:db8::252"),
        ("PLUTO_NEXT_HOP", "fe80::1"),
        ("PLUTO_PEER_CLIENT_NET", "2001:db8:2::"),
        ("PLUTO_PEER_CLIENT_MASK", "ffff:ffff:ffff::"),
    ]);
    let network = configure(
        &[("leftmodecfgclient", "yes"), ("right", "2001:db8::252")],
        &[updown],
    );
    assert_eq!(
        network.config.to_dict().get("gateway"),
        Some(&Value::new(v6("2001:db8::252")))
    );
    assert!(network.config.has_ip6 && !network.config.has_ip4);
    let dict = network.ip6.unwrap().to_dict();
    for (key, signature) in [
        ("internal-gateway", "ay"),
        ("address", "ay"),
        ("ptp", "ay"),
        ("prefix", "u"),
        ("dns", "aay"),
        ("routes", "a(ayuayuay)"),
        ("never-default", "b"),
    ] {
        assert_eq!(
            dict.get(key)
                .map(|value| value.value_signature().to_string())
                .as_deref(),
            Some(signature),
            "{key}"
        );
    }
    assert_eq!(dict.get("prefix"), Some(&Value::new(128_u32)));
}

#[test]
fn routes_of_ipv6_have_four_members_without_a_source() {
    let updown = up(&[
        ("PLUTO_PEER_CLIENT_NET", "2001:db8:2::"),
        ("PLUTO_PEER_CLIENT_MASK", "ffff:ffff:ffff::"),
    ]);
    // Clients of IPv6 between ends of IPv4: the next hop is of the other family.
    let network = configure(&[], &[updown]);
    let routes = vec![(v6("2001:db8:2::"), 48_u32, v6("::"), 0_u32)];
    assert_eq!(
        network.ip6.unwrap().to_dict().get("routes"),
        Some(&Value::new(routes))
    );
}

#[test]
fn an_assigned_address_is_configured() {
    let updown = up(&[
        ("PLUTO_MY_SOURCEIP", "10.9.0.7"),
        ("PLUTO_PEER_CLIENT_NET", "0.0.0.0"),
        ("PLUTO_PEER_CLIENT_MASK", "0.0.0.0"),
        ("PLUTO_PEER_DNS_INFO", "10.2.0.53 2001:db8::53"),
        ("PLUTO_PEER_DOMAIN_INFO", "example.org"),
    ]);
    let network = configure(&[("leftmodecfgclient", "yes")], std::slice::from_ref(&updown));
    let ip4 = network.ip4.unwrap().to_dict();
    for key in ["address", "ptp"] {
        assert_eq!(ip4.get(key), Some(&Value::new(ip("10.9.0.7"))));
    }
    let route = |network| vec![ip(network), 1, ip("198.51.100.1"), 0, ip("10.9.0.7")];
    assert_eq!(
        ip4.get("routes"),
        Some(&Value::new(vec![route("0.0.0.0"), route("128.0.0.0")]))
    );
    let ip6 = network.ip6.unwrap();
    assert_eq!((ip6.dns.len(), ip6.routes.len(), ip6.address), (1, 0, None));
    // Without mode configuration the address is the host's own business.
    assert_eq!(configure(&[], &[updown]).ip4.unwrap().address, None);
}

#[test]
fn everything_of_ipv6_is_the_global_part() {
    let updown = up(&[("PLUTO_PEER_CLIENT_NET", "::"), ("PLUTO_PEER_CLIENT_MASK", "::")]);
    let ip6 = configure(&[], &[updown]).ip6.unwrap();
    let route = &ip6.routes[0];
    assert_eq!(
        (route.network, route.prefix, ip6.routes.len()),
        ("2000::".parse().unwrap(), 3, 1)
    );
}

#[test]
fn a_virtual_device_takes_the_routes() {
    let updown = up(&[("PLUTO_VIRT_INTERFACE", "ipsec7")]);
    let network = configure(&[("ipsec-interface", "7"), ("mtu", "1400")], &[updown]);
    assert_eq!(
        network.config.to_dict().get("tundev"),
        Some(&Value::new("ipsec7"))
    );
    assert_eq!(network.config.mtu, Some(1400));
    let ip4 = network.ip4.unwrap();
    assert_eq!((ip4.internal_gateway, ip4.routes[0].next_hop), (None, None));
    // Without one, pluto names the base device there, and its MTU is not ours to set.
    let network = configure(&[("mtu", "1400")], &[up(&[("PLUTO_VIRT_INTERFACE", "eth0")])]);
    assert_eq!((network.config.tundev, network.config.mtu), (None, None));
}

#[test]
fn the_peer_is_reached_as_ever() {
    let host = [
        ("PLUTO_PEER_CLIENT_NET", "192.0.2.252"),
        ("PLUTO_PEER_CLIENT_MASK", "255.255.255.255"),
    ];
    let with = |more: &[(&str, &str)]| up(&[&host, more].concat());
    // By way of a router, as existing users have it.
    let routed = configure(&[], &[with(&[])]).ip4.unwrap();
    assert_eq!(routed.routes[0].next_hop, "198.51.100.1".parse().ok());
    // On the same link, or through the tunnel's own device, the route would lead nowhere.
    for updown in [
        with(&[("PLUTO_NEXT_HOP", "192.0.2.252")]),
        with(&[("PLUTO_NEXT_HOP", "")]),
    ] {
        let network = configure(&[], &[updown]);
        assert_eq!((network.ip4, network.config.has_ip4), (None, false));
        assert!(network.config.gateway.is_some());
    }
    assert_eq!(configure(&[("ipsec-interface", "yes")], &[with(&[])]).ip4, None);
}

#[test]
fn families_that_the_profile_does_not_want_are_left_out() {
    let pairs = [("ikev2", "insist"), ("leftmodecfgclient", "no")];
    for method in [IpMethod::Disabled, IpMethod::Other] {
        let profile = Profile {
            ip4: method,
            ..profile(&pairs, &[])
        };
        let network = network_config(&profile, &ends("", "192.0.2.252"), &[up(&[])]);
        assert_eq!((network.ip4, network.config.has_ip4), (None, false));
    }
}

#[test]
fn several_subnets_are_gathered() {
    let second = up(&[("PLUTO_PEER_CLIENT_NET", "10.3.0.0")]);
    let network = configure(&[("leftsourceip", "10.1.0.1")], &[up(&[]), second, up(&[])]);
    let routes = network.ip4.unwrap().routes;
    assert_eq!(
        routes
            .iter()
            .map(|route| route.network.to_string())
            .collect::<Vec<_>>(),
        ["10.2.0.0", "10.3.0.0"]
    );
    assert!(routes.iter().all(|route| route.source == "10.1.0.1".parse().ok()));
}

#[test]
fn an_on_demand_connection_takes_the_profile_s_word() {
    let network = configure(
        &[
            ("leftsubnets", "10.1.0.0/16,2001:db8:1::/48"),
            ("rightsubnets", "10.2.0.0/16,2001:db8:2::/48"),
        ],
        &[],
    );
    assert_eq!(network.config.gateway, "192.0.2.252".parse().ok());
    assert_eq!(
        (
            network.ip4.unwrap().routes.len(),
            network.ip6.unwrap().routes.len()
        ),
        (1, 1)
    );
    let whole = configure(&[], &[]).ip4.unwrap();
    assert_eq!(whole.routes.len(), 2);
    let any = network_config(&profile(&[("right", "%any")], &[]), &ends("", "%any"), &[]);
    assert!(!any.config.to_dict().contains_key("gateway"));
}

proptest! {
    #[test]
    fn no_updown_makes_the_configuration_panic(net: [u8; 16], prefix in 0_u8..=128, next_hop: [u8; 4], v4: bool, device: bool, client: bool) {
        let (net, mask) = match v4 {
            true => (
                Ipv4Addr::new(net[0], net[1], net[2], net[3]).to_string(),
                Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix % 33)).unwrap_or(0)).to_string(),
            ),
            false => (
                Ipv6Addr::from(net).to_string(),
                Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)).to_string(),
            ),
        };
        let next_hop = Ipv4Addr::from(next_hop).to_string();
        let updown = up(&[("PLUTO_PEER_CLIENT_NET", &net), ("PLUTO_PEER_CLIENT_MASK", &mask), ("PLUTO_NEXT_HOP", &next_hop), ("PLUTO_MY_SOURCEIP", &next_hop)]);
        let pairs = [("ipsec-interface", if device { "yes" } else { "no" }), ("leftmodecfgclient", if client { "yes" } else { "no" })];
        let network = configure(&pairs, &[updown]);
        prop_assert_eq!(network.config.has_ip4, network.ip4.is_some());
        prop_assert_eq!(network.config.has_ip6, network.ip6.is_some());
        for dict in [network.ip4.map(|config| config.to_dict()), network.ip6.map(|config| config.to_dict())].into_iter().flatten() {
            prop_assert!(dict.get("address") != Some(&Value::new(0_u32)));
        }
    }
}
