//! Whatever pluto or its peer says, NetworkManager is told nothing that is not of its form.

#![no_main]

#[allow(dead_code, reason = "each target uses a part")]
#[path = "../../hostile/invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

/// The first byte decides what the connection is like.
const DEVICE: u8 = 1;
const CLIENT: u8 = 2;
const IPV6: u8 = 4;

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let chosen = |bit: u8, yes: &'static str, no: &'static str| if kind & bit == 0 { no } else { yes };
    let settings = invariants::settings_of(&invariants::input_of([
        ("data.ikev2", "insist"),
        ("data.right", chosen(IPV6, "2001:db8:2::252", "192.0.2.252")),
        ("data.ipsec-interface", chosen(DEVICE, "yes", "no")),
        ("data.leftmodecfgclient", chosen(CLIENT, "yes", "no")),
    ]));
    let profile = match invariants::judged(&settings) {
        Ok(profile) => profile,
        Err(fault) => panic!("{fault}"),
    };
    if let Err(broken) = invariants::check_updown(&profile, &invariants::records(input)) {
        panic!("{broken}");
    }
});
