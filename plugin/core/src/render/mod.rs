//! Rendering a profile for libreswan: a configuration for `addconn --config -` and a secrets file.
//!
//! Everything is written from typed values, numbers bare, every other value between double quotes. What cannot stand
//! there makes an error of [`ipsec_conf`], whatever the types let through: a line of a profile's choosing cannot come about.

use std::{net::IpAddr, path::Path};

mod conf;
mod name;
mod secrets;
mod version;

pub use conf::{RenderError, ipsec_conf};
pub use name::PlutoName;
pub use secrets::ipsec_secrets;
pub use version::{LibreswanVersion, NoVersion};

use crate::connection::Family;

/// The local end once names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeftEnd {
    /// pluto takes the address that the default route leaves from.
    DefaultRoute,
    /// This address.
    Ip(IpAddr),
}

/// The peer once names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RightEnd {
    /// This address.
    Ip(IpAddr),
    /// Whoever comes.
    Any,
}

impl LeftEnd {
    /// The address, if it is not pluto's to find.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::DefaultRoute => None,
        }
    }
}

impl RightEnd {
    /// The address, if it is not anybody's.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Any => None,
        }
    }
}

/// Both ends once names are resolved. pluto gets addresses only: it resolves names once, in one family, and blocks
/// while it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResolvedEnds {
    /// This host.
    pub left: LeftEnd,
    /// The peer.
    pub right: RightEnd,
}

impl ResolvedEnds {
    /// The family of the ends, if either of them is an address.
    pub fn family(&self) -> Option<Family> {
        match (self.right, self.left) {
            (RightEnd::Ip(address), _) | (RightEnd::Any, LeftEnd::Ip(address)) => Some(Family::of(address)),
            (RightEnd::Any, LeftEnd::DefaultRoute) => None,
        }
    }
}

/// What the rendering needs to know of the host.
#[derive(Debug, Clone, Copy)]
pub struct RenderOptions<'a> {
    /// The updown helper; an absolute path without blanks, to which pluto hands its variables.
    pub updown: &'a Path,
    /// The system's cryptographic policy for libreswan, included if given. `addconn --config -` reads no ipsec.conf, so
    /// that the policy would not hold otherwise.
    pub crypto_policy: Option<&'a Path>,
}

#[cfg(test)]
pub(crate) mod tests;
