//! NetworkManager's dispatcher runs this for every event (`NetworkManager-dispatcher(8)`), from `no-wait.d`, so that
//! nothing waits for it. It tells `nmstate-ipsecd`, which the bus starts if need be, and ends.
//!
//! It decides nothing: an event may be the moment at which a connection can be brought up, and whether it is, the daemon
//! finds out.

mod profiles;

use std::{path::Path, process::ExitCode, time::Duration};

use nm_libreswan_service::{bus, say::say};
use nmstate_ipsec_core::daemon_api::AutoconnectProxy;
use zbus::proxy::CacheProperties;

/// Events after which a connection may be brought up, or its names may lead elsewhere.
const EVENTS: [&str; 9] = [
    "up",
    "down",
    "dhcp4-change",
    "dhcp6-change",
    "connectivity-change",
    "dns-change",
    "vpn-up",
    "vpn-down",
    "reapply",
];

/// Most bytes of an interface's name (`IFNAMSIZ`); NetworkManager gives none longer.
const NAME_LENGTH: usize = 16;

/// How long the bus may take. The dispatcher kills what takes ten minutes.
const TIME_OUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(interface), Some(action)) = (arguments.next(), arguments.next()) else {
        say(format_args!(
            "usage: INTERFACE ACTION, as NetworkManager's dispatcher gives them"
        ));
        return ExitCode::from(2);
    };
    if !EVENTS.contains(&action.as_str()) || interface.len() > NAME_LENGTH {
        return ExitCode::SUCCESS;
    }
    // Where there is no profile of libreswan's, nobody is started.
    if !profiles::DIRS
        .iter()
        .any(|dir| profiles::is_there(Path::new(dir)))
    {
        return ExitCode::SUCCESS;
    }
    match tell(&action, &interface) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!(
                "failed to tell nmstate-ipsecd of '{action}' on '{interface}': {error}"
            ));
            ExitCode::FAILURE
        }
    }
}

fn tell(action: &str, interface: &str) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let told = async {
        let bus = bus::system().await?;
        let daemon = AutoconnectProxy::builder(&bus)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        daemon.happened(action, interface).await
    };
    runtime.block_on(async { tokio::time::timeout(TIME_OUT, told).await })??;
    Ok(())
}
