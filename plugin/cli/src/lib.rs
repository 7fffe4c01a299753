//! The command `nmstate-ipsec`: policies in, encrypted connections out.

mod alone;
pub mod args;
pub mod check;
mod checkpoint;
pub mod command;
mod daemon;
mod declarations;
mod difference;
pub mod document;
mod help;
pub mod ipsec_conf;
mod networkmanager;
pub mod nmstatectl;
mod phase;
mod profiles;
mod report;
mod terminal;
mod transaction;
mod unchanged;
