//! What AppArmor and SELinux have refused.

use anyhow::Result;

use crate::agent::Agent;

/// All that the kernel has told of AppArmor since the guest was made. Our profiles are called after our programs. Without auditd
/// the kernel says it in its log.
const OF_APPARMOR: &str = r#"journalctl --sync
journalctl --quiet --no-pager --output=cat _TRANSPORT=kernel _TRANSPORT=audit \
    --grep='apparmor="DENIED".* profile="(nmstate-ipsec|nm-libreswan)' || [ $? = 1 ]"#;

/// What SELinux has refused to or of us, libreswan or NetworkManager since the guest's boot: the kernel, systemd and the bus write
/// alike. What Debian's policy refuses to Debian's own systemd while it boots is not about these.
const OF_SELINUX: &str = "journalctl --sync
journalctl --boot --quiet --no-pager --output=cat \
    --grep='avc: *denied.*:(nmstate_ipsec|ipsec_|NetworkManager_)[a-z_]*:' || [ $? = 1 ]";

/// The records of what AppArmor has refused to programs of ours.
///
/// # Errors
/// The journal cannot be read.
pub fn of_apparmor(agent: &Agent) -> Result<Vec<String>> {
    records(agent, OF_APPARMOR)
}

/// The records of what SELinux has refused to or of us, libreswan or NetworkManager.
///
/// # Errors
/// The journal cannot be read.
pub fn of_selinux(agent: &Agent) -> Result<Vec<String>> {
    records(agent, OF_SELINUX)
}

fn records(agent: &Agent, script: &str) -> Result<Vec<String>> {
    let records = agent.shell(script).run()?;
    Ok(records.lines().map(str::to_owned).collect())
}
