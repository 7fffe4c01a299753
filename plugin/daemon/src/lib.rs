//! The host service of nmstate-ipsec. It alone talks to pluto, to NSS and to the kernel's SAs; the
//! adapters that NetworkManager starts, the updown helper that pluto runs and the commands that people
//! type are its clients on the bus.

pub mod addresses;
pub mod admission;
pub mod autoconnect;
pub mod backoff;
pub mod bus;
pub mod certificates;
pub mod client;
pub mod connection;
mod files;
pub mod guard;
pub mod history;
pub mod kernel;
pub mod libreswan;
pub mod log;
pub mod networkmanager;
pub mod nss;
pub mod resolve;
pub mod routing;
pub mod secrets_file;
mod shared;
pub mod systemd;
pub mod transaction;
