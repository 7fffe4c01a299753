//! systemd, which alone starts and stops pluto (`org.freedesktop.systemd1(5)`).

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use std::time::Duration;

use futures_util::StreamExt;
use nmstate_ipsec_core::reason::Reason;
use zbus::{Connection, zvariant::OwnedObjectPath};

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
trait Systemd {
    fn subscribe(&self) -> zbus::Result<()>;
    fn unsubscribe(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

/// Starts the unit of pluto and waits until systemd holds it for started.
///
/// # Errors
/// systemd is not there, does not know the unit, or could not start it in time.
pub async fn start_ipsec(bus: &Connection) -> Result<(), Reason> {
    let down = |detail: String| Reason::PlutoDown { detail };
    match tokio::time::timeout(START_TIME_OUT, start(bus)).await {
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
async fn start(bus: &Connection) -> zbus::Result<String> {
    let systemd = SystemdProxy::builder(bus)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await?;
    // Without a subscriber systemd sends no JobRemoved; one that stays would hear of every unit's changes.
    systemd.subscribe().await?;
    let result = job_result(&systemd).await;
    systemd.unsubscribe().await?;
    result
}

async fn job_result(systemd: &SystemdProxy<'_>) -> zbus::Result<String> {
    // Listening before asking loses no signal.
    let mut removed = systemd.receive_job_removed().await?;
    let job = systemd.start_unit(IPSEC_UNIT, "replace").await?;
    while let Some(signal) = removed.next().await {
        let arguments = signal.args()?;
        if arguments.job == job {
            return Ok(arguments.result);
        }
    }
    Err(zbus::Error::Failure("the bus was closed".into()))
}
