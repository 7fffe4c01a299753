//! What a worker tells others: the client, whoever listens on the bus, the journal.

use nmstate_ipsec_core::{
    connection::ConnectMode,
    contract::ServiceState,
    ip_config,
    reason::Reason,
    render::ResolvedEnds,
    updown::{Action, Updown},
};

use super::{BUSY, PASSING, Request, Worker};
use crate::{
    bus,
    connection::{activation::Background, describe},
};

impl Worker {
    pub(super) async fn announce(&self, ends: &ResolvedEnds, reports: &[Updown]) {
        let Some(current) = &self.current else { return };
        let profile = &current.profile;
        let ipsec_milliseconds = u64::try_from(current.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(ipsec_connection = %profile.id, ipsec_uuid = %self.uuid, nm_connection = %self.uuid, ipsec_milliseconds, "connection '{}' is up", profile.id);
        // A trap has nothing but its routes; of a tunnel they say less than what follows.
        let on_demand = profile.connection.connect_mode == ConnectMode::OnDemand;
        let reports: Vec<Updown> = reports
            .iter()
            .filter(|report| on_demand || report.verb.action == Action::Up)
            .cloned()
            .collect();
        let host = &self.host;
        if let Err(error) = host.devices.mark(&self.uuid) {
            tracing::warn!(ipsec_connection = %profile.id, ipsec_uuid = %self.uuid, nm_connection = %self.uuid, "failed to mark the device of '{}' as made for it: {error}", profile.id);
        }
        let wanted = ip_config::network_config(profile, ends, &reports);
        let configuration = host.networkmanager.acceptable(&host.bus, wanted.clone()).await;
        let routing = ip_config::Routing::new(&wanted, &configuration, &reports);
        if let Err(error) = host.routings.put(&self.uuid, routing) {
            tracing::error!(ipsec_connection = %profile.id, ipsec_uuid = %self.uuid, nm_connection = %self.uuid, "failed to route the traffic of '{}' into its device: {error}", profile.id);
        }
        current
            .client
            .tell_configuration(&self.uuid, &configuration)
            .await;
    }

    /// Tells whoever listens that the connection is in another phase, unless that is called as it was `before`.
    pub(super) async fn tell_change(&self, before: &str) {
        let state = describe::state(&self.state, self.profile());
        if state == before {
            return;
        }
        if let Err(error) = bus::tell_change(&self.host.bus, &self.name, self.uuid.as_str(), state).await {
            tracing::warn!(ipsec_uuid = %self.uuid, nm_connection = %self.uuid, "failed to tell of a change: {error}");
        }
    }

    /// Says that the tunnel is down and on its way back; NetworkManager calls it `activating` if that lasts.
    pub(super) async fn tell_lost(&mut self) {
        let Some(current) = &self.current else { return };
        tracing::warn!(
            ipsec_connection = %current.profile.id,
            ipsec_uuid = %self.uuid,
            nm_connection = %self.uuid,
            "connection '{}' is down; bringing it back",
            current.profile.id
        );
        // What NetworkManager has configured on a device goes with that.
        if current.profile.connection.ipsec_interface.is_some() {
            return self.tell_state().await;
        }
        let (host, to_self) = (self.host.clone(), self.to_self.clone());
        self.passing = Some(Background(tokio::spawn(async move {
            tokio::time::sleep(PASSING).await;
            let _ = tokio::time::timeout(BUSY, host.places.are_free()).await;
            // The worker ends only with the daemon.
            let _ = to_self.send(Request::LossLasts);
        })));
    }

    /// Tells the client that the connection is being brought up again, unless NetworkManager is taking it down.
    pub(super) async fn tell_state(&self) {
        if let Some(current) = &self.current
            && !self.host.deactivations.includes(self.uuid.as_str())
        {
            current
                .client
                .tell_state(&self.uuid, ServiceState::Starting)
                .await;
        }
    }

    pub(super) fn note(&self, reason: &Reason, what: &str) {
        let Some(current) = &self.current else { return };
        tracing::error!(
            ipsec_connection = %current.profile.id,
            ipsec_uuid = %self.uuid,
            nm_connection = %self.uuid,
            ipsec_reason = reason.code(),
            "connection '{}' {what}: {reason}",
            current.profile.id
        );
        let (id, uuid) = (current.profile.id.as_str(), self.uuid.as_str());
        self.host
            .history
            .keep(id, uuid, reason.code(), &reason.to_string());
    }

    /// Says in the journal if its certificate expires soon; nothing waits for that.
    pub(super) fn warn_of_expiry(&self) {
        let Some(current) = &self.current else { return };
        if let Some(nickname) = current.profile.connection.leftcert.clone() {
            let (host, profile) = (self.host.clone(), current.profile.clone());
            tokio::spawn(async move { host.certificates.warn(&nickname, profile.id.as_str()).await });
        }
    }
}
