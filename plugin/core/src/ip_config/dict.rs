//! The dictionaries as they travel on D-Bus.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use zbus::zvariant::{DynamicType, Value};

use super::{Config, Ip4Config, Ip6Config, IpConfig, Route};

/// `a{sv}`.
pub type Dict = HashMap<&'static str, Value<'static>>;

/// The name under which NetworkManager understands that there is no device.
const NO_DEVICE: &str = "_none_";

impl Config {
    /// The dictionary `Config`.
    pub fn to_dict(&self) -> Dict {
        let mut dict = Dict::new();
        match self.gateway {
            Some(IpAddr::V4(address)) => put(&mut dict, "gateway", number(address)),
            Some(IpAddr::V6(address)) => put(&mut dict, "gateway", bytes(address)),
            None => {}
        }
        let tundev = self.tundev.as_ref().map_or(NO_DEVICE, |name| name.as_str());
        put(&mut dict, "tundev", tundev.to_owned());
        if let Some(banner) = &self.banner {
            put(&mut dict, "banner", banner.clone());
        }
        if let Some(mtu) = self.mtu {
            put(&mut dict, "mtu", mtu);
        }
        put(&mut dict, "has-ip4", self.has_ip4);
        put(&mut dict, "has-ip6", self.has_ip6);
        dict
    }
}

impl Ip4Config {
    /// The dictionary `Ip4Config`: addresses are numbers whose bytes in memory are the address in network byte order.
    pub fn to_dict(&self) -> Dict {
        let mut dict = self.common(32, number);
        if !self.dns.is_empty() {
            put(
                &mut dict,
                "dns",
                self.dns.iter().copied().map(number).collect::<Vec<_>>(),
            );
        }
        let routes: Vec<Vec<u32>> = self.routes.iter().map(route4).collect();
        if !routes.is_empty() {
            put(&mut dict, "routes", routes);
        }
        dict
    }
}

impl Ip6Config {
    /// The dictionary `Ip6Config`: addresses are sixteen bytes.
    pub fn to_dict(&self) -> Dict {
        let mut dict = self.common(128, bytes);
        if !self.dns.is_empty() {
            put(
                &mut dict,
                "dns",
                self.dns.iter().copied().map(bytes).collect::<Vec<_>>(),
            );
        }
        if self.routes.iter().any(|route| route.source.is_some()) {
            put(
                &mut dict,
                "routes",
                self.routes.iter().map(route6_with_source).collect::<Vec<_>>(),
            );
        } else if !self.routes.is_empty() {
            put(
                &mut dict,
                "routes",
                self.routes.iter().map(route6).collect::<Vec<_>>(),
            );
        }
        dict
    }
}

impl<A: Copy> IpConfig<A> {
    /// What both families write alike.
    ///
    /// `never-default` always: the routes say what the tunnel is for, and a default route through a policy-based connection
    /// would be one of the base device's.
    fn common<T>(&self, bits: u32, encode: impl Fn(A) -> T) -> Dict
    where
        T: Into<Value<'static>> + DynamicType,
    {
        let mut dict = Dict::new();
        if let Some(next_hop) = self.internal_gateway {
            put(&mut dict, "internal-gateway", encode(next_hop));
        }
        if let Some(address) = self.address {
            put(&mut dict, "address", encode(address));
            put(&mut dict, "ptp", encode(address));
            put(&mut dict, "prefix", bits);
        }
        if !self.domains.is_empty() {
            put(&mut dict, "domains", self.domains.clone());
        }
        put(&mut dict, "never-default", true);
        dict
    }
}

fn put<T>(dict: &mut Dict, key: &'static str, value: T)
where
    T: Into<Value<'static>> + DynamicType,
{
    dict.insert(key, Value::new(value));
}

fn number(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

fn bytes(address: Ipv6Addr) -> Vec<u8> {
    address.octets().to_vec()
}

/// Network, prefix, next hop, metric, and the source address if there is one.
fn route4(route: &Route<Ipv4Addr>) -> Vec<u32> {
    let next_hop = route.next_hop.map_or(0, number);
    let mut words = vec![number(route.network), u32::from(route.prefix), next_hop, 0];
    words.extend(route.source.map(number));
    words
}

type Route6 = (Vec<u8>, u32, Vec<u8>, u32);
type Route6WithSource = (Vec<u8>, u32, Vec<u8>, u32, Vec<u8>);

fn route6(route: &Route<Ipv6Addr>) -> Route6 {
    let next_hop = route.next_hop.unwrap_or(Ipv6Addr::UNSPECIFIED);
    (bytes(route.network), u32::from(route.prefix), bytes(next_hop), 0)
}

fn route6_with_source(route: &Route<Ipv6Addr>) -> Route6WithSource {
    let (network, prefix, next_hop, metric) = route6(route);
    (
        network,
        prefix,
        next_hop,
        metric,
        bytes(route.source.unwrap_or(Ipv6Addr::UNSPECIFIED)),
    )
}
