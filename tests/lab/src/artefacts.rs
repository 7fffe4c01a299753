//! What a failed test leaves behind, so that its reason can be found without running it again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use crate::host;
use crate::vm::Vm;
use crate::world::capture;

/// Commands whose output is kept, each with the file that it goes to. Keys and secrets are in none of them.
const REPORTS: [(&str, &str); 9] = [
    ("journal.txt", "journalctl --no-pager -b -o short-precise"),
    (
        "right-pluto.txt",
        "journalctl --no-pager -b -u right-ipsec -o short-precise",
    ),
    (
        "left-kernel.txt",
        "ip xfrm state list nokeys; ip xfrm policy list nosock; ip address; ip route; ip -6 route",
    ),
    (
        "right-kernel.txt",
        "for what in 'xfrm state list nokeys' 'xfrm policy list nosock' address route; do ip netns exec right ip $what; done",
    ),
    ("left-status.txt", "ipsec status; ipsec trafficstatus"),
    (
        "right-status.txt",
        "whack='/usr/libexec/ipsec/whack --ctlsocket /run/right/pluto.ctl'; $whack --status; $whack --trafficstatus",
    ),
    (
        "networkmanager.txt",
        "nmcli --fields all connection; nmcli --fields all device; nmcli general",
    ),
    (
        "units.txt",
        "systemctl --failed; systemctl status ipsec right-ipsec NetworkManager --no-pager",
    ),
    ("processes.txt", "ps axfww -o pid,ppid,stat,rss,args"),
];

/// Collects what guests can tell after a failure into `<target>/lab/artefacts/<name>/`, each guest's in a
/// directory of its own name.
///
/// # Errors
/// A directory could not be made. A report that cannot be had is left out.
pub fn collect(guests: &[(&str, &Vm)], name: &str) -> Result<PathBuf> {
    let dir = host::lab_dir().join("artefacts").join(name.replace("::", "/"));
    let _ = fs::remove_dir_all(&dir);
    for (guest, vm) in guests {
        let dir = dir.join(guest);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        for (file, script) in REPORTS {
            fs::write(dir.join(file), report(vm, script)).with_context(|| format!("writing {file}"))?;
        }
        let _ = fs::copy(vm.console_log(), dir.join("console.txt"));
        capture::save(vm.agent(), &dir);
    }
    Ok(dir)
}

fn report(vm: &Vm, script: &str) -> String {
    let command = vm.agent().command(["bash", "-c", script]);
    match command.timeout(Duration::from_secs(30)).output() {
        Ok(output) => format!("{}{}", output.stdout, output.stderr),
        Err(error) => format!("{error:#}\n"),
    }
}

/// Adds to an error where the guests' artefacts are.
#[must_use]
pub fn explain(guests: &[(&str, &Vm)], name: &str, error: Error) -> Error {
    match collect(guests, name) {
        Ok(dir) => error.context(format!("what the hosts can tell is in {}", dir.display())),
        Err(failed) => error.context(format!("collecting artefacts failed as well: {failed:#}")),
    }
}
