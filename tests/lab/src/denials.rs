//! What AppArmor has refused to programs of ours.

use anyhow::Result;

use crate::agent::Agent;

/// All that the kernel has told of it since the guest was made. Our profiles are called after our programs. Without auditd the
/// kernel says it in its log.
const SCRIPT: &str = r#"journalctl --sync
journalctl --quiet --no-pager --output=cat _TRANSPORT=kernel _TRANSPORT=audit \
    --grep='apparmor="DENIED".* profile="(nmstate-ipsec|nm-libreswan)' || [ $? = 1 ]"#;

/// The kernel's words for each time.
///
/// # Errors
/// The journal cannot be read.
pub fn told(agent: &Agent) -> Result<Vec<String>> {
    let told = agent.shell(SCRIPT).run()?;
    Ok(told.lines().map(str::to_owned).collect())
}
