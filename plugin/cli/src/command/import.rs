//! `nmstate-ipsec import`: sections of ipsec.conf as a document or a profile.

use std::fs;

use nmstate_ipsec_core::profile::Uuid;

use super::Fault;
use crate::{
    args::{Import, Side},
    document, ipsec_conf,
};

pub(super) fn run(arguments: &Import) -> Result<(), Fault> {
    let options = ipsec_conf::Options {
        name: arguments.conn.as_deref(),
        is_right: arguments.local == Side::Right,
    };
    let import = ipsec_conf::import(&arguments.file, options).map_err(|faults| lines(&faults))?;
    let text = if arguments.profile {
        ipsec_conf::profile(&import, &new_uuid()?).map_err(Fault::Input)?
    } else if arguments.policy {
        ipsec_conf::policies(&import, arguments.name.as_deref()).map_err(Fault::Input)?
    } else {
        ipsec_conf::state(&import)
    };
    if !arguments.profile {
        // What is handed out is accepted, whatever slipped past the checks of its parts.
        document::read_text_of(&text, "the imported document").map_err(|errors| lines(&errors))?;
    }
    for remark in &import.remarks {
        eprintln!("{remark}");
    }
    print!("{text}");
    Ok(())
}

fn lines(faults: &[impl ToString]) -> Fault {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Fault::Input(lines.join("\n"))
}

/// A new UUID, of the kernel's making.
fn new_uuid() -> Result<Uuid, Fault> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid");
    let text = text.map_err(|error| Fault::failed("failed to make a UUID", error))?;
    text.trim_end()
        .parse()
        .map_err(|error| Fault::failed("failed to make a UUID", error))
}
