//! The command `nmstate-ipsec`: policies in, encrypted connections out.

pub mod args;
mod checkpoint;
pub mod command;
mod declarations;
pub mod document;
pub mod ipsec_conf;
mod report;
