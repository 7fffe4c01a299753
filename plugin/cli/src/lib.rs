//! The command `nmstate-ipsec`: policies in, encrypted connections out.

pub mod document;
