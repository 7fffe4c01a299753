//! What the daemon says of a tunnel that is up, in the form in which NetworkManager wants it.

use std::net::Ipv4Addr;

use nmstate_ipsec_core::daemon_api::Dictionary;
use zbus::zvariant::{OwnedValue, Str};

/// The three dictionaries of the contract; an empty one is not sent.
#[derive(Debug, Default, PartialEq)]
pub struct Configuration {
    /// `Config`: gateway, device, and which of the other two follow.
    pub config: Dictionary,
    /// `Ip4Config`.
    pub ip4: Dictionary,
    /// `Ip6Config`.
    pub ip6: Dictionary,
}

impl Configuration {
    /// The same again.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            config: copy_dictionary(&self.config),
            ip4: copy_dictionary(&self.ip4),
            ip6: copy_dictionary(&self.ip6),
        }
    }

    /// What the peer wants its users to read, for `LoginBanner`; NetworkManager takes it from there or from `Config`.
    #[must_use]
    pub fn banner(&self) -> Option<&str> {
        self.config.get("banner")?.downcast_ref().ok()
    }

    /// A `Config` that NetworkManager finds different, and that would do no harm if it were applied: a proxy script
    /// without an address, and a route to the gateway that the kernel's table of local addresses goes before.
    ///
    /// 1.42 does not compare the one; the other is not made for profiles with `ipv4.auto-route-ext-gw=no`.
    #[must_use]
    pub fn differing(&self) -> Dictionary {
        let mut config = copy_dictionary(&self.config);
        let loopback = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
        config.insert("gateway".into(), OwnedValue::from(loopback));
        config.insert("pac".into(), OwnedValue::from(Str::from_static("")));
        config
    }
}

/// A copy of a dictionary; values that hold file descriptors do not occur in them and are left out.
fn copy_dictionary(values: &Dictionary) -> Dictionary {
    let pairs = values
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)));
    pairs.collect()
}
