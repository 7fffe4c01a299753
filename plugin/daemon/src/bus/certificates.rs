//! `org.nmstate.Ipsec1.Certificates` ([`nmstate_ipsec_core::daemon_api::CertificatesProxy`]).

use std::sync::Arc;

use crate::{certificates::Certificates as Host, connection::Registry};

/// The object's face for those who manage certificates.
#[derive(Debug)]
pub struct Certificates {
    registry: Arc<Registry>,
}

impl Certificates {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[zbus::interface(name = "org.nmstate.Ipsec1.Certificates")]
impl Certificates {
    /// Has the program that works on the database do what the request asks for.
    async fn ask(&self, request: String) -> zbus::fdo::Result<String> {
        let answer = self.registry.certificates().ask(request).await;
        let answer = answer.map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        if let Some(nickname) = Host::changed_by(&answer) {
            self.registry.renew(&[nickname]);
        }
        Ok(answer)
    }

    /// Hears that somebody else has imported certificates.
    fn changed(&self, nicknames: Vec<String>) {
        self.registry.renew(&nicknames);
    }
}
