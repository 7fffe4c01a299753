//! pluto's process (`ipsec_pluto(8)`): its end, and its start on hosts without systemd, where nobody else looks after it.

use std::{fs, io, os::fd::OwnedFd, time::Duration};

use nmstate_ipsec_core::{
    command::{Command, CommandError, Output},
    reason::Reason,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::sync::{Notify, oneshot};

use super::Libreswan;

const CONFIG_PATH: &str = "/etc/ipsec.conf";

/// Where pluto writes the number of its process, which is its lock as well.
const PID_PATH: &str = "/run/pluto/pluto.pid";

/// Making an NSS database takes longer than anything else.
const START_TIME_OUT: Duration = Duration::from_secs(45);

impl Libreswan {
    /// Waits for the end of the pluto that runs. Nothing is said to have ended of which nobody knows whether it runs.
    pub async fn has_ended(&self) -> bool {
        let wait = async || match running() {
            Ok(None) => true,
            Ok(Some(process)) => match pidfd_open(process, PidfdFlags::empty()) {
                Ok(process) => {
                    ended(process).await;
                    true
                }
                // It has ended this very moment.
                Err(error) => error == rustix::io::Errno::SRCH,
            },
            Err(_) => false,
        };
        self.ending.run(wait).await
    }

    /// Starts pluto as `ipsec.service` does, with its NSS database made or migrated before. It goes on in the
    /// background, whatever becomes of this daemon.
    ///
    /// # Errors
    /// libreswan is not installed, or pluto did not start; it says why.
    pub async fn start(&self) -> Result<(), Reason> {
        let down = |error: CommandError| Reason::PlutoDown {
            detail: format!("{error}; see pluto's log: syslog, or the logfile of {CONFIG_PATH}"),
        };
        let nss = Command::new("ipsec", START_TIME_OUT).args(["checknss"]);
        nss.run().await.and_then(Output::success).map_err(down)?;
        forget_the_killed().map_err(|error| Reason::PlutoDown {
            detail: format!(
                "failed to remove {PID_PATH}, which a pluto that was killed left behind: {error}"
            ),
        })?;
        let pluto = self.program("pluto", START_TIME_OUT);
        let pluto = pluto.args(["--config", CONFIG_PATH]).run().await;
        pluto.and_then(Output::success).map_err(down).map(drop)
    }
}

/// Removes the lock of a pluto that is no more; the next one would take itself for a second one.
fn forget_the_killed() -> io::Result<()> {
    if running()?.is_some() {
        return Ok(());
    }
    match fs::remove_file(PID_PATH) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Tells `listener` when pluto ends, and when another one runs, as `started` says. Never ends but by an error.
///
/// # Errors
/// The process cannot be watched.
pub async fn watch(started: &Notify, listener: impl Fn(bool)) -> io::Result<()> {
    let mut has_ended = false;
    loop {
        if let Some(process) = running()? {
            if has_ended {
                listener(true);
            }
            ended(pidfd_open(process, PidfdFlags::empty())?).await;
            has_ended = true;
            listener(false);
        }
        started.notified().await;
    }
}

/// Waits for the end of a process. A thread does it: tokio watches file descriptors by unsafe means only.
async fn ended(process: OwnedFd) {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut events = [PollFd::new(&process, PollFlags::IN)];
        // Interrupted by no signal that this process takes, it ends early only if there is nothing to wait for.
        let _ = poll(&mut events, None);
        let _ = tell.send(());
    });
    let _ = told.await;
}

/// The process of pluto; the file may be an old one's, and its number somebody else's by now.
fn running() -> io::Result<Option<Pid>> {
    let number = match fs::read_to_string(PID_PATH) {
        Ok(text) => text.trim().parse().ok().and_then(Pid::from_raw),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // `proc_pid_stat(5)`: a zombie, which nobody has waited for, runs no more.
    let is_pluto = |process: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
        stat.is_ok_and(|stat| stat.contains(" (pluto) ") && !stat.contains(" (pluto) Z"))
    };
    Ok(number.filter(is_pluto))
}
