//! Taking connections down: out of pluto, out of the kernel if pluto cannot, and off the disk.

use std::{collections::HashSet, time::Duration};

use nmstate_ipsec_core::profile::{Profile, Uuid};

use super::{Host, machine::Event};
use crate::{
    kernel::{self, Traces},
    libreswan::{DELETE_TIME_OUT, SOON},
    routing::Devices,
    secrets_file,
};

/// How long pluto may take to end, where nobody waits for this: it takes down what it has, one by one.
const END_TIME_OUT: Duration = Duration::from_secs(30);

/// What there was of a pluto when a connection was to be taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pluto {
    /// It has ended.
    Ended,
    /// It did not do what it was asked.
    Fails,
    /// It knows no connection at all: it has just been started.
    IsNew,
    /// It does not have the connection any more.
    TookOut,
}

/// Takes everything of the connection away. `traces` is what its SAs and policies are known by. One that comes `again` keeps
/// its secrets: there may be no room to write them anew. What cannot be done is logged, and the rest is done all the same.
pub(super) async fn unload(host: &Host, profile: &Profile, traces: Traces, again: bool) -> Event {
    let uuid = &profile.uuid;
    let pluto = match host
        .is_without_pluto(if again { END_TIME_OUT } else { SOON })
        .await
    {
        true => Pluto::Ended,
        false => take_out_of_pluto(host, profile).await,
    };
    if pluto != Pluto::TookOut {
        take_out_of_kernel(uuid, traces).await;
    }
    host.routings.remove(uuid);
    if !again {
        forget_secrets(host, uuid, matches!(pluto, Pluto::IsNew | Pluto::TookOut)).await;
    }
    match pluto {
        Pluto::Ended => Event::WithoutPluto,
        _ => Event::Unloaded,
    }
}

async fn take_out_of_pluto(host: &Host, profile: &Profile) -> Pluto {
    let (uuid, name) = (&profile.uuid, profile.pluto_name());
    host.libreswan.settled(&name).await;
    let status = host.libreswan.status_unless_hung().await;
    let is_there = status.as_ref().map_or(true, |status| {
        let mut known = status.of(&name).peekable();
        known.peek().is_some() && known.all(|known| known.runs(&host.updown))
    });
    let time_out = if status.is_ok() { DELETE_TIME_OUT } else { SOON };
    if is_there && let Err(reason) = host.libreswan.delete(name.as_str(), time_out).await {
        tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to take '{name}' out of pluto: {reason}");
        return Pluto::Fails;
    }
    match status {
        Err(_) => Pluto::Fails,
        Ok(status) if status.is_empty() => Pluto::IsNew,
        Ok(status) => {
            if status.has_siblings(&name) {
                bring_orphans_back(host).await;
            }
            Pluto::TookOut
        }
    }
}

/// Takes the device of a connection that has ended away, where pluto does not: it hangs, was killed, or is not the one
/// that made it. The device of somebody else's connection stays, whatever that is doing.
pub(super) async fn take_device_away(host: &Host, name: &str) {
    let is_of_others = match host.libreswan.status_soon().await {
        Ok(status) => status.others_have_device(name, &host.updown),
        // What hangs says nothing; what is up in the kernel is seen there.
        Err(_) => false,
    };
    if !is_of_others && let Err(error) = host.devices.remove(name) {
        tracing::error!("failed to remove the device {name}: {error}");
    }
}

/// Has connections negotiate again whose IKE SA went together with the one that was deleted, as it was shared.
/// libreswan 5 does so by itself with what others brought up; libreswan 4 does not notice.
pub(super) async fn bring_orphans_back(host: &Host) {
    let status = match host.libreswan.status_soon().await {
        Ok(status) => status,
        Err(reason) => return tracing::warn!("failed to look for connections without an IKE SA: {reason}"),
    };
    for name in status.orphans() {
        if status.runs(name, &host.updown) {
            // The registry lives as long as the daemon.
            let _ = host.orphans.send(name.to_owned());
        } else if let Err(reason) = host.libreswan.initiate_in_background(name).await {
            tracing::warn!("failed to have '{name}' negotiated again, whose IKE SA has gone: {reason}");
        }
    }
}

/// Removes what pluto, which hangs or is gone, has left in the kernel.
async fn take_out_of_kernel(uuid: &Uuid, traces: Traces) {
    let removed = tokio::task::spawn_blocking(move || kernel::remove(&traces)).await;
    match removed {
        Ok(Ok(0)) => {}
        Ok(Ok(count)) => {
            tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "took {count} SAs and policies out of the kernel in place of pluto");
        }
        Ok(Err(error)) => {
            tracing::error!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to take SAs and policies out of the kernel: {error}");
        }
        Err(error) => tracing::error!("failed to take SAs and policies out of the kernel: {error}"),
    }
}

/// Takes its secrets off the disk and out of pluto.
pub(super) async fn forget_secrets(host: &Host, uuid: &Uuid, pluto_answers: bool) {
    match secrets_file::remove(&host.secrets_dir, uuid) {
        Ok(true) if pluto_answers => {
            if let Err(reason) = host.libreswan.reread_secrets().await {
                tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to have pluto forget the secret: {reason}");
            }
        }
        Ok(_) => {}
        Err(error) => {
            tracing::error!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to remove the secrets file: {error}");
        }
    }
}

/// Takes away what an earlier daemon left behind and nobody stands for any more: connections in pluto that run our
/// updown helper, and secrets files. `is_orphan` gets the first digits of a profile's UUID.
pub(super) async fn sweep(host: &Host, is_orphan: impl Fn(&str) -> bool) {
    match host.libreswan.status().await {
        Ok(status) => {
            let names: HashSet<&str> = status
                .with_updown(&host.updown)
                .map(|name| name.split(['/', '[']).next().unwrap_or(name))
                .filter(|name| short_uuid(name).is_some_and(&is_orphan))
                .collect();
            for name in names {
                tracing::warn!("taking '{name}' out of pluto, which nobody stands for any more");
                if let Err(reason) = host.libreswan.delete(name, DELETE_TIME_OUT).await {
                    tracing::warn!("failed to take '{name}' out of pluto: {reason}");
                }
            }
        }
        Err(reason) => tracing::warn!("failed to look for connections that were left in pluto: {reason}"),
    }
    for device in Devices::made_for_us().unwrap_or_default() {
        take_device_away(host, &device).await;
    }
    match secrets_file::left(&host.secrets_dir) {
        Ok(left) => {
            for uuid in left.iter().filter(|uuid| is_orphan(uuid.short())) {
                tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "removing the secrets of a connection that nobody stands for any more");
                forget_secrets(host, uuid, true).await;
            }
        }
        Err(error) => tracing::warn!(
            "failed to look for secrets that were left in {}: {error}",
            host.secrets_dir.display()
        ),
    }
}

/// The digits of a UUID at the end of one of our names in pluto. The plugin written in C names its connections by the
/// whole UUID: those are not meant.
fn short_uuid(name: &str) -> Option<&str> {
    let (_, digits) = name.rsplit_once('-')?;
    (digits.len() == 8).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_end_in_eight_digits() {
        assert_eq!(short_uuid("hosta_conn-1f2e3d4c"), Some("1f2e3d4c"));
        assert_eq!(short_uuid("1f2e3d4c-0000-4000-8000-00000000000a"), None);
        assert_eq!(short_uuid("theirs"), None);
    }
}
