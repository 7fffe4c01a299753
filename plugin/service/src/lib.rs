//! The VPN plugin that NetworkManager starts, one process per connection: an adapter between
//! NetworkManager's `org.freedesktop.NetworkManager.VPN.Plugin` and the daemon's `org.nmstate.Ipsec1.Manager`.
//!
//! It knows nothing of libreswan. It lives here as a library so that its tests can speak to it over a
//! pair of sockets, without a bus.

pub mod arguments;
pub mod bus;
pub mod configuration;
pub mod lifecycle;
pub mod linger;
pub mod plugin;
pub mod question;
pub mod relay;
pub mod say;
