//! `nmstate-ipsec`.

fn main() {}
