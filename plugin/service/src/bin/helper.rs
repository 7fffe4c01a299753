//! `nm-libreswan-service-helper`: pluto runs it as `leftupdown` and waits for it.
//!
//! It hands the `PLUTO_` variables of its environment to the daemon and ends. It neither waits for an
//! answer nor fails: pluto would take a failure for a refusal of the tunnel.

use std::collections::HashMap;

use nmstate_ipsec_core::{daemon_api::HelperProxy, updown::FORWARDED};
use zbus::proxy::CacheProperties;

fn main() {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return eprintln!("failed to start: {error}"),
    };
    if let Err(error) = runtime.block_on(report()) {
        eprintln!("failed to report to nmstate-ipsecd: {error}");
    }
}

async fn report() -> zbus::Result<()> {
    let variables = FORWARDED
        .iter()
        .filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let environment: HashMap<&str, String> = variables.collect();
    let bus = zbus::connection::Builder::system()?.build().await?;
    let daemon = HelperProxy::builder(&bus)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    daemon.callback(&environment).await
}
