//! What is in the kernel of connections that are just being exchanged.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use nmstate_ipsec_core::profile::Uuid;

use crate::kernel::{self, Hold, Traces};

/// The holds, by connection.
#[derive(Debug, Default)]
pub struct Holds(Mutex<HashMap<Uuid, Vec<Hold>>>);

impl Holds {
    /// Sees that what the connection encrypts does not leave in clear when its policies go, for two minutes at most.
    pub(super) fn begin(&self, uuid: &Uuid, traces: &Traces) {
        let (holds, outcome) = kernel::hold(traces);
        if let Err(error) = outcome {
            tracing::warn!(ipsec_uuid = %uuid, nm_connection = %uuid, "failed to hold packets back while the connection authenticates anew: {error}");
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(uuid.clone()).or_default().extend(holds);
    }

    /// Lets the connection's policies decide again.
    pub(super) fn end(&self, uuid: &Uuid) {
        let holds = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(uuid)
        };
        kernel::release(&holds.unwrap_or_default());
    }
}
