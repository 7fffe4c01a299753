//! Services of the bus that are started before somebody waits for them.

#![allow(
    missing_docs,
    reason = "what zbus's proxy macro generates carries no documentation"
)]

use zbus::{Connection, proxy::CacheProperties};

/// The bus, which starts services; nobody waits for that.
#[zbus::proxy(
    interface = "org.freedesktop.DBus",
    default_service = "org.freedesktop.DBus",
    default_path = "/org/freedesktop/DBus",
    gen_blocking = false
)]
trait Starter {
    #[zbus(no_reply)]
    fn start_service_by_name(&self, name: &str, flags: u32) -> zbus::Result<()>;
}

/// Has the bus start the service `name`, if it does not run, without waiting for it. Whether there is one is not told.
///
/// # Errors
/// The bus cannot be asked.
pub async fn start_service(bus: &Connection, name: &str) -> zbus::Result<()> {
    let starter = StarterProxy::builder(bus)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    starter.start_service_by_name(name, 0).await
}
