use proptest::prelude::*;

use super::*;

#[test]
fn pluto_waits_only_for_reports_that_are_of_use() {
    for (verb, of_use) in [
        ("up-client", true),
        ("up-host-v6", true),
        ("route-client", true),
        ("prepare-client", false),
        ("down-client-v6", false),
        ("unroute-host", false),
        ("", false),
    ] {
        assert_eq!(is_of_use(verb), of_use, "{verb}");
    }
}

/// The variables of an established tunnel, with some replaced.
fn variables(replaced: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = [
        ("PLUTO_VERB", "up-client"),
        ("PLUTO_CONNECTION", "hosta_conn-1f2e3d4c/1x2"),
        ("PLUTO_INTERFACE", "eth0"),
        ("PLUTO_VIRT_INTERFACE", "ipsec1"),
        ("PLUTO_XFRMI_ROUTE", "yes"),
        ("PLUTO_XFRMI_FWMARK", "1/0xffffffff"),
        ("PLUTO_NEXT_HOP", "192.0.2.1"),
        ("PLUTO_ME", "192.0.2.251"),
        ("PLUTO_MY_CLIENT", "10.1.0.0/16"),
        ("PLUTO_MY_CLIENT_NET", "10.1.0.0"),
        ("PLUTO_MY_CLIENT_MASK", "255.255.0.0"),
        ("PLUTO_MY_SOURCEIP", "10.1.0.7"),
        ("PLUTO_PEER", "198.51.100.9"),
        ("PLUTO_PEER_CLIENT_NET", "10.2.0.0"),
        ("PLUTO_PEER_CLIENT_MASK", "255.255.0.0"),
        ("PLUTO_PEER_DNS_INFO", "10.2.0.53 2001:db8::53 10.2.0.53"),
        ("PLUTO_PEER_DOMAIN_INFO", "example.org corp.example.org"),
        ("PLUTO_PEER_BANNER", "Welcome"),
        ("PLUTO_SA_REQID", "16389"),
        ("PLUTO_CONNECTION_TYPE", "tunnel"),
        ("PLUTO_MTU", "0"),
        ("SPI_IN", "0x1a2b"),
        ("SPI_OUT", "0xffffffff"),
        ("PATH", "/bin"),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    variables.extend(
        replaced
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    variables
}

fn read(replaced: &[(&'static str, &str)]) -> Result<Updown, InvalidUpdown> {
    Updown::from_env(variables(replaced))
}

#[test]
fn an_established_tunnel_is_read() {
    let updown = read(&[]).unwrap();
    assert_eq!(
        updown.verb,
        Verb {
            action: Action::Up,
            scope: Scope::Client,
            family: Family::Ipv4
        }
    );
    assert_eq!(updown.connection, "hosta_conn-1f2e3d4c/1x2");
    assert_eq!(updown.peer, "198.51.100.9".parse().ok());
    assert_eq!(updown.peer_client, "10.2.0.0/16".parse().ok());
    assert_eq!(updown.my_client, "10.1.0.0/16".parse().ok());
    assert_eq!(updown.my_sourceip, "10.1.0.7".parse().ok());
    assert_eq!(updown.next_hop, "192.0.2.1".parse().ok());
    assert_eq!(updown.interface, "eth0".parse().ok());
    assert_eq!(updown.virt_interface, "ipsec1".parse().ok());
    assert!(updown.xfrmi_route);
    assert_eq!(
        updown.xfrmi_fwmark,
        Some(Mark::Value {
            mark: 1,
            mask: u32::MAX
        })
    );
    assert_eq!(updown.dns.len(), 2);
    assert_eq!(
        updown.domains.iter().map(HostName::as_str).collect::<Vec<_>>(),
        ["example.org", "corp.example.org"]
    );
    assert_eq!(updown.banner.as_deref(), Some("Welcome"));
    assert_eq!(
        (updown.reqid, updown.conn_type, updown.mtu),
        (Some(16389), Some(ConnType::Tunnel), None)
    );
    assert_eq!((updown.spi_in, updown.spi_out), (Some(0x1a2b), Some(u32::MAX)));
    assert!(!updown.is_mobike_move);
}

#[test]
fn verbs_have_a_scope_and_a_family() {
    for (text, action, scope, family) in [
        ("up-host", Action::Up, Scope::Host, Family::Ipv4),
        ("down-client-v6", Action::Down, Scope::Client, Family::Ipv6),
        ("prepare-client", Action::Prepare, Scope::Client, Family::Ipv4),
        ("route-host-v6", Action::Route, Scope::Host, Family::Ipv6),
        ("unroute-host", Action::Unroute, Scope::Host, Family::Ipv4),
        ("suspend-client", Action::Other, Scope::Client, Family::Ipv4),
    ] {
        assert_eq!(
            read(&[("PLUTO_VERB", text)]).unwrap().verb,
            Verb {
                action,
                scope,
                family
            },
            "{text}"
        );
    }
    for text in [
        "up",
        "up-",
        "-host",
        "up-peer",
        "UP-host",
        "up-host-v7",
        "up;x-host",
        "",
    ] {
        assert!(read(&[("PLUTO_VERB", text)]).is_err(), "{text}");
    }
}

#[test]
fn what_is_not_there_is_nothing() {
    let least = [("PLUTO_VERB", "route-host"), ("PLUTO_CONNECTION", "a-1f2e3d4c")];
    let updown = Updown::from_env(least).unwrap();
    assert_eq!(
        (updown.peer, updown.peer_client, updown.virt_interface.clone()),
        (None, None, None)
    );
    assert!(updown.dns.is_empty() && updown.banner.is_none() && !updown.xfrmi_route);
    let none = [
        ("PLUTO_NEXT_HOP", "0.0.0.0"),
        ("PLUTO_MY_SOURCEIP", ""),
        ("PLUTO_VIRT_INTERFACE", "NULL"),
    ];
    let updown = read(&none).unwrap();
    assert_eq!(
        (updown.next_hop, updown.my_sourceip, updown.virt_interface),
        (None, None, None)
    );
    assert_eq!(
        Updown::from_env([("PLUTO_VERB", "up-host")]),
        Err(InvalidUpdown::Missing("PLUTO_CONNECTION"))
    );
}

#[test]
fn pluto_s_own_words_must_be_of_their_form() {
    for (variable, value) in [
        ("PLUTO_CONNECTION", "a b"),
        ("PLUTO_CONNECTION", "a\nb"),
        ("PLUTO_PEER", "host"),
        ("PLUTO_PEER_CLIENT_MASK", "255.0.255.0"),
        ("PLUTO_PEER_CLIENT_MASK", "ffff::"),
        ("PLUTO_INTERFACE", "a/b"),
        ("PLUTO_SA_REQID", "-1"),
        ("SPI_IN", "0x"),
        ("PLUTO_XFRMI_FWMARK", "x"),
    ] {
        let fault = read(&[(variable, value)]).unwrap_err().to_string();
        assert!(
            fault.contains(variable) && !fault.chars().any(char::is_control),
            "{fault}"
        );
    }
}

#[test]
fn the_peer_s_words_are_bounded() {
    let many = |item: fn(usize) -> String| (0..200).map(item).collect::<Vec<_>>().join(" ");
    let updown = read(&[
        (
            "PLUTO_PEER_DNS_INFO",
            &format!(
                "x 0.0.0.0 224.0.0.1 $(reboot) {}",
                many(|number| format!("10.0.0.{}", number + 1))
            ),
        ),
        (
            "PLUTO_PEER_DOMAIN_INFO",
            &format!("a;b a_b ../x {}", many(|number| format!("d{number}.example.org"))),
        ),
        (
            "PLUTO_PEER_BANNER",
            &format!(" a\n\u{1b}[2J\u{202e}b{}", "x".repeat(5000)),
        ),
    ])
    .unwrap();
    assert_eq!(
        (updown.dns.len(), updown.domains.len()),
        (MAX_PEER_LIST, MAX_PEER_LIST)
    );
    assert_eq!(updown.dns.first(), "10.0.0.1".parse().ok().as_ref());
    assert_eq!(
        updown.domains.first().map(HostName::as_str),
        Some("d0.example.org")
    );
    let banner = updown.banner.unwrap();
    assert!(
        banner.starts_with("a[2Jbx") && banner.chars().count() <= MAX_BANNER,
        "{banner}"
    );
}

proptest! {
    #[test]
    fn no_environment_makes_the_reader_panic(
        replaced in proptest::collection::vec((proptest::sample::select(FORWARDED), prop_oneof![any::<String>(), "[0-9a-fx./ :-]{0,40}"]), 0..6),
    ) {
        let mut all = variables(&[]);
        all.extend(replaced.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        match Updown::from_env(all) {
            Ok(updown) => {
                let words = updown.banner.iter().cloned().chain(updown.domains.iter().map(ToString::to_string));
                for word in words.chain([updown.connection]) {
                    prop_assert!(!word.chars().any(char::is_control));
                }
            }
            Err(fault) => prop_assert!(!fault.to_string().chars().any(char::is_control)),
        }
    }
}
