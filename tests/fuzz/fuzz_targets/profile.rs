//! Any profile is refused in one line, or rendered into the lines of its model and no others.

#![no_main]

#[allow(dead_code, reason = "each target uses a part")]
#[path = "../../hostile/invariants.rs"]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let settings = invariants::settings_of(input);
    if let Err(broken) = invariants::check_profile(&settings) {
        panic!("{broken}");
    }
});
