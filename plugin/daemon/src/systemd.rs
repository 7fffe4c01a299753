//! systemd, which alone starts and stops pluto where it runs (`org.freedesktop.systemd1(5)`).

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::{path::Path, time::Duration};

use futures_util::StreamExt;
use nmstate_ipsec_core::reason::Reason;
use zbus::{Connection, proxy::CacheProperties, zvariant::OwnedObjectPath};

/// The unit that runs pluto.
pub const IPSEC_UNIT: &str = "ipsec.service";

/// How long the unit may take to start; it checks and migrates its NSS database first.
const START_TIME_OUT: Duration = Duration::from_secs(45);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_blocking = false
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1",
    gen_blocking = false
)]
trait Unit {
    #[zbus(property)]
    fn active_state(&self) -> zbus::Result<String>;
}

/// Why nothing can be done while pluto was stopped: it is not for this daemon to start it.
pub fn pluto_is_stopped() -> Reason {
    Reason::PlutoDown {
        detail: format!("whoever stopped {IPSEC_UNIT} starts it again"),
    }
}

/// Whether systemd runs this host (`sd_booted(3)`).
pub fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Has systemd send its signals to this connection, once for the daemon's life.
///
/// # Errors
/// systemd is not there.
pub async fn subscribe(bus: &Connection) -> zbus::Result<()> {
    manager(bus).await?.subscribe().await
}

/// When a unit is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When what it is ordered after has come to its end.
    InOrder,
    /// At once: what it is ordered after waits for whoever asks.
    AtOnce,
}

impl When {
    /// The mode of systemd's job.
    fn mode(self) -> &'static str {
        match self {
            Self::InOrder => "replace",
            Self::AtOnce => "ignore-dependencies",
        }
    }
}

/// Starts the unit of pluto and waits until systemd holds it for started.
///
/// # Errors
/// systemd is not there, does not know the unit, or could not start it in time.
pub async fn start_ipsec(bus: &Connection, when: When) -> Result<(), Reason> {
    let down = |why: String| Reason::PlutoDown {
        detail: format!("{why}; see 'systemctl status {IPSEC_UNIT}'"),
    };
    match tokio::time::timeout(START_TIME_OUT, start(bus, when)).await {
        Ok(Ok(result)) if result == "done" => Ok(()),
        Ok(Ok(result)) => Err(down(format!("starting {IPSEC_UNIT} ended with '{result}'"))),
        Ok(Err(error)) => Err(down(format!("systemd did not start {IPSEC_UNIT}: {error}"))),
        Err(_) => Err(down(format!(
            "{IPSEC_UNIT} was not ready within {} s",
            START_TIME_OUT.as_secs()
        ))),
    }
}

/// The result of the start job, in systemd's words.
async fn start(bus: &Connection, when: When) -> zbus::Result<String> {
    let systemd = manager(bus).await?;
    // Listening before asking loses no signal.
    let mut removed = systemd.receive_job_removed().await?;
    let job = systemd.start_unit(IPSEC_UNIT, when.mode()).await?;
    while let Some(signal) = removed.next().await {
        let arguments = signal.args()?;
        if arguments.job == job {
            return Ok(arguments.result);
        }
    }
    Err(zbus::Error::Failure("the bus was closed".into()))
}

/// Whether a unit has its process.
///
/// # Errors
/// systemd is not there, or does not know the unit.
pub async fn is_active(bus: &Connection, unit: &str) -> zbus::Result<bool> {
    let path = manager(bus).await?.load_unit(unit).await?;
    let unit = UnitProxy::builder(bus)
        .path(path)?
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    Ok(is_running(&unit.active_state().await?))
}

/// Tells `listener` whether pluto runs, whenever systemd says that this has changed. Never ends but by an
/// error, or with the bus.
///
/// # Errors
/// systemd is not there, or does not know the unit.
pub async fn watch_ipsec(bus: &Connection, listener: impl Fn(bool)) -> zbus::Result<()> {
    let path = manager(bus).await?.load_unit(IPSEC_UNIT).await?;
    let unit = UnitProxy::builder(bus).path(path)?.build().await?;
    let mut changes = unit.receive_active_state_changed().await;
    let mut ran = is_running(&unit.active_state().await?);
    while let Some(change) = changes.next().await {
        let runs = is_running(&change.get().await?);
        if runs != ran {
            ran = runs;
            listener(runs);
        }
    }
    Ok(())
}

/// Whether a unit in this state has its process. pluto tells systemd that it reloads whenever whack has it
/// listen again.
fn is_running(active_state: &str) -> bool {
    matches!(active_state, "active" | "reloading" | "refreshing")
}

async fn manager(bus: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(bus)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}
