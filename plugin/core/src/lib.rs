//! What the parts of nmstate-ipsec share, without any I/O of their own: a profile as NetworkManager hands it over, the typed
//! connection in it, its rendering for libreswan 4 and 5, what pluto tells its updown helper, and what
//! NetworkManager is told in return.

pub mod command;
pub mod connection;
pub mod contract;
pub mod daemon_api;
pub mod guard;
pub mod ip_config;
pub mod networkmanager;
pub mod plan;
pub mod profile;
pub mod reason;
pub mod render;
pub mod secret;
pub mod starter;
pub mod updown;

#[cfg(test)]
mod testing;

// What tests of this crate and of others share calls it by its name.
#[cfg(test)]
extern crate self as nmstate_ipsec_core;
