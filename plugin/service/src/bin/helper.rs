//! `nm-libreswan-service-helper`: pluto runs it as `leftupdown` and waits for it.
//!
//! It hands the `PLUTO_` variables of its environment to the daemon and ends. It neither waits for an
//! answer nor fails: pluto would take a failure for a refusal of the tunnel.

use std::{collections::HashMap, time::Duration};

use nm_libreswan_service::{bus, say::say};
use nmstate_ipsec_core::{
    daemon_api::HelperProxy,
    updown::{FORWARDED, is_of_use},
};
use zbus::proxy::CacheProperties;

/// How long pluto is kept waiting at most, when the bus hangs.
const TIME_OUT: Duration = Duration::from_secs(2);

fn main() {
    // pluto waits for every run, also for those of which there is nothing to say.
    if !std::env::var("PLUTO_VERB").is_ok_and(|verb| is_of_use(&verb)) {
        return;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(format_args!("failed to start: {error}")),
    };
    match runtime.block_on(async { tokio::time::timeout(TIME_OUT, report()).await }) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => say(format_args!("failed to report to nmstate-ipsecd: {error}")),
        Err(_) => say(format_args!(
            "failed to report to nmstate-ipsecd: the bus did not answer"
        )),
    }
}

async fn report() -> zbus::Result<()> {
    let variables = FORWARDED
        .iter()
        .filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    let environment: HashMap<&str, String> = variables.collect();
    let bus = bus::system().await?;
    let daemon = HelperProxy::builder(&bus)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    daemon.callback(&environment).await
}
