//! `org.freedesktop.NetworkManager.libreswan.helper`, which pluto's updown helper calls.

use std::{collections::HashMap, sync::Arc};

use nmstate_ipsec_core::updown::Updown;

use crate::connection::Registry;

/// Takes the reports of the updown helper.
pub struct Helper {
    registry: Arc<Registry>,
}

impl Helper {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[zbus::interface(name = "org.freedesktop.NetworkManager.libreswan.helper")]
impl Helper {
    /// Takes the `PLUTO_` variables of one run of the helper.
    fn callback(&self, environment: HashMap<String, String>) {
        match Updown::from_env(environment) {
            Ok(report) => self.registry.report(report),
            Err(error) => tracing::error!("ignored a report of the updown helper: {error}"),
        }
    }
}
