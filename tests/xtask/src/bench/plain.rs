//! libreswan alone, from a file that it reads whenever it starts.

use anyhow::Result;
use lab::world::Host;

const CONFIG_PATH: &str = "/etc/ipsec.d/plain.conf";

/// Does `work` while `config` is such a file. Afterwards nothing of it is left.
pub(super) fn while_kept<T>(host: Host<'_>, config: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    host.shell(&format!("umask 077; cat >{CONFIG_PATH}"))
        .stdin(config.to_owned())
        .run()?;
    let done = work()?;
    host.shell(&format!("rm {CONFIG_PATH}; systemctl restart ipsec.service"))
        .run()?;
    host.await_empty_kernel()?;
    Ok(done)
}
