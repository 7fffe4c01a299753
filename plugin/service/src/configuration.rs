//! What the daemon says of a tunnel that is up, in the form in which NetworkManager wants it.

use nmstate_ipsec_core::daemon_api::Dictionary;

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
