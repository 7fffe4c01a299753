//! What a connection is doing, for whoever asks.

use std::net::IpAddr;

use nmstate_ipsec_core::{
    connection::{ConnectMode, Family, IpsecInterface},
    daemon_api::ConnectionStatus,
    profile::{Profile, Uuid},
    render::{ResolvedEnds, RightEnd},
    updown::Updown,
};

use super::{
    machine::{Phase, State},
    tries::WAITING,
};
use crate::kernel::{self, Traces};

/// What can be told by its phase, its profile and the kernel.
pub(super) async fn of(
    uuid: &Uuid,
    name: &str,
    of: &State,
    profile: Option<&Profile>,
    traces: &Traces,
) -> ConnectionStatus {
    let (ends, reports) = match &of.phase {
        Phase::Up(ends, reports) | Phase::Renegotiating(ends, reports) => (Some(ends), &reports[..]),
        Phase::Loading(ends) | Phase::Negotiating(ends, ..) => (Some(ends), &[][..]),
        _ => (None, &[][..]),
    };
    let peer = ends.and_then(|ends| match ends.right {
        RightEnd::Ip(peer) => Some(peer),
        RightEnd::Any => None,
    });
    let me = reports.iter().find_map(|report| report.me);
    let me = me.or(ends.and_then(|ends| ends.left.address()));
    let reqids = traces.reqids.clone();
    let sas = tokio::task::spawn_blocking(move || kernel::traffic(&reqids, peer)).await;
    let connection = profile.map(|profile| &profile.connection);
    ConnectionStatus {
        name: name.to_owned(),
        uuid: uuid.to_string(),
        state: state(of, profile).to_owned(),
        me: text(me),
        peer: text(peer),
        device: connection
            .and_then(|connection| connection.ipsec_interface)
            .and_then(IpsecInterface::device_name)
            .unwrap_or_default(),
        certificate: connection
            .and_then(|connection| connection.leftcert.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default(),
        flows: flows(reports, profile, ends),
        sas: match sas {
            Ok(Ok(sas)) => sas,
            _ => Vec::new(),
        },
        ..ConnectionStatus::default()
    }
}

/// The name of a state, as [`ConnectionStatus::state`] has it.
pub(super) fn state(state: &State, profile: Option<&Profile>) -> &'static str {
    let on_demand = |profile: &Profile| profile.connection.connect_mode == ConnectMode::OnDemand;
    match &state.phase {
        Phase::Idle => "down",
        Phase::Adopting => "adopting",
        Phase::Preparing => "resolving",
        Phase::Loading(_) | Phase::Opening(true) => "loading",
        Phase::Negotiating(..) | Phase::Renegotiating(..) => "negotiating",
        Phase::Up(..) if profile.is_some_and(on_demand) => "ondemand",
        Phase::Up(..) => "up",
        Phase::Unloading(_) => "going-down",
        Phase::Opening(_) | Phase::Listening(_) if state.lost.is_none() => WAITING,
        Phase::Waiting | Phase::Opening(false) | Phase::Listening(_) => "lost",
    }
}

/// The traffic as it was reported; for one that was up before this daemon was, as the profile has it.
fn flows(
    reports: &[Updown],
    profile: Option<&Profile>,
    ends: Option<&ResolvedEnds>,
) -> Vec<(String, String)> {
    let mut flows: Vec<(String, String)> = reports
        .iter()
        .filter_map(|report| report.my_client.zip(report.peer_client))
        .map(|(mine, peers)| (mine.to_string(), peers.to_string()))
        .collect();
    if let (true, Some(profile), Some(ends)) = (flows.is_empty(), profile, ends) {
        let family = ends.family().unwrap_or(Family::Ipv4);
        let peers = profile.connection.remote_subnets(family);
        flows.extend(peers.iter().map(|peers| (String::new(), peers.to_string())));
    }
    flows.sort();
    flows.dedup();
    flows
}

fn text(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}
