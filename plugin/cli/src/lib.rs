//! The command `nmstate-ipsec`: policies in, encrypted connections out.

pub mod args;
pub mod check;
mod checkpoint;
pub mod command;
mod declarations;
mod difference;
pub mod document;
pub mod ipsec_conf;
mod phase;
mod profiles;
mod report;
mod terminal;
