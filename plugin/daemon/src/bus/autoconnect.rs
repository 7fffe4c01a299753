//! `org.nmstate.Ipsec1.Autoconnect` ([`nmstate_ipsec_core::daemon_api::AutoconnectProxy`]).

use crate::autoconnect;

/// The object's face for whoever brings connections up.
#[derive(Debug)]
pub struct Autoconnect(autoconnect::Autoconnect);

impl Autoconnect {
    /// Puts `autoconnect` onto the bus.
    pub fn new(autoconnect: autoconnect::Autoconnect) -> Self {
        Self(autoconnect)
    }
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Autoconnect")]
impl Autoconnect {
    /// Looks again what connections can be brought up on.
    fn happened(&self, action: &str, interface: &str) {
        tracing::debug!(action, interface, "told by NetworkManager's dispatcher");
        self.0.ground_has_changed();
    }

    /// Reads a profile, and says whether its guard is in place.
    async fn read(&self, uuid: &str) -> zbus::fdo::Result<bool> {
        let read = self.0.read(uuid).await;
        read.ok_or_else(|| {
            zbus::fdo::Error::InvalidArgs(format!("there is no profile of libreswan's with the UUID {uuid}"))
        })
    }

    /// Waits until there is nothing more to wait for.
    async fn settled(&self) {
        self.0.settled().await;
    }
}
