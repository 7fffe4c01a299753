//! What is done for a connection, each piece a function that ends in a result: the I/O behind
//! [`super::machine`].

use std::{sync::Arc, time::Duration};

use nmstate_ipsec_core::{
    connection::{ConnectMode, Connection, Family, Nickname, Selectors, Subnet},
    ip_config::Routing,
    profile::Profile,
    reason::Reason,
    render::{self, LeftEnd, PlutoName, RenderOptions, ResolvedEnds, RightEnd},
    updown::{Action, Updown},
};
use tokio::time::Instant;

use super::{Host, machine::Progress, unload};
use crate::{
    backoff,
    kernel::{self, KernelFacts, Traces, reqid_group},
    libreswan::{
        DELETE_TIME_OUT,
        outcome::Initiated,
        status::{EstablishedSa, Status},
    },
    networkmanager, nss, resolve, secrets_file,
    systemd::{self, When},
};

/// NetworkManager gives up after `vpn.timeout`; giving up this much earlier lets the reason reach it.
const MARGIN: Duration = Duration::from_secs(5);

/// The least time that a peer gets to answer, however late it is.
const LEAST_WAIT: Duration = Duration::from_secs(2);

/// How long the updown helper's report may lag behind pluto's own word.
const REPORT_TIME_OUT: Duration = Duration::from_secs(10);

/// Whether the profile has one pair of traffic selectors, so that one report completes it.
pub(super) fn has_one_pair(profile: &Profile) -> bool {
    let connection = &profile.connection;
    let sides = [&connection.leftsubnet, &connection.rightsubnet];
    let one_each = sides
        .iter()
        .all(|side| side.as_ref().is_none_or(Selectors::is_simple));
    one_each && connection.leftsubnets.is_none() && connection.rightsubnets.is_none()
}

/// What is known of a connection that pluto has up already, in a daemon that was restarted: its ends, and what the
/// updown helper would have reported.
pub(super) async fn adopt(host: &Host, profile: &Profile) -> Option<(ResolvedEnds, Vec<Updown>)> {
    let name = profile.pluto_name();
    host.expect_device(profile);
    let status = status(host).await;
    if profile.connection.connect_mode == ConnectMode::OnDemand {
        status.of(&name).find(|known| known.is_routed)?;
        let ends = resolve::ends(&profile.connection).await.ok()?;
        let traps = traps(profile, &ends).into_iter();
        let reports = traps.filter_map(|(mine, peers)| {
            let mut report = as_reported(&name, "route-client")?;
            (report.my_client, report.peer_client) = (Some(mine), Some(peers));
            Some(report)
        });
        return Some((ends, reports.collect()));
    }
    let sas: Vec<EstablishedSa> = status.of(&name).flat_map(|known| known.sas.clone()).collect();
    let first = sas.first()?;
    let ends = ResolvedEnds {
        left: LeftEnd::Ip(first.me),
        right: RightEnd::Ip(first.peer),
    };
    host.routings
        .remember(&profile.uuid, Routing::of_earlier(profile, &ends));
    let facts = tokio::task::spawn_blocking(kernel::list).await.ok()?.ok()?;
    let reqids = sas.iter().filter_map(|sa| facts.sa_spis.get(&sa.spi));
    let reports: Vec<Updown> = reqids
        .filter_map(|reqid| {
            let mut report = as_reported(&name, "up-client")?;
            report.reqid = Some(*reqid);
            Some(report)
        })
        .collect();
    // What pluto holds for established, the kernel may have lost.
    (!reports.is_empty()).then_some((ends, reports))
}

/// pluto's status, however long it hangs: that it does not answer says nothing of its connections.
async fn status(host: &Host) -> Arc<Status> {
    for failed in 1.. {
        match host.libreswan.status().await {
            Ok(status) => return status,
            Err(reason) => tracing::warn!("failed to ask pluto for its connections: {reason}"),
        }
        back_off(failed).await;
    }
    Arc::default()
}

fn as_reported(name: &PlutoName, verb: &str) -> Option<Updown> {
    Updown::from_env([("PLUTO_VERB", verb), ("PLUTO_CONNECTION", name.as_str())]).ok()
}

/// From where to where packets are caught, as far as that is known without pluto.
fn traps(profile: &Profile, ends: &ResolvedEnds) -> Vec<(Subnet, Subnet)> {
    let (mine, peers) = selectors(&profile.connection, ends);
    let of_one = |mine: Subnet| {
        let of_family = peers.iter().filter(move |peers| peers.family() == mine.family());
        of_family.map(move |peers| (mine, *peers))
    };
    mine.iter().flat_map(|mine| of_one(*mine)).collect()
}

/// The traffic selectors of this end and of the peer's, as far as they are known without pluto: those that are declared,
/// or else the end's address.
pub(super) fn selectors(connection: &Connection, ends: &ResolvedEnds) -> (Vec<Subnet>, Vec<Subnet>) {
    let family = ends.family().unwrap_or(Family::Ipv4);
    let (mut mine, mut peers) = (connection.local_subnets(), connection.remote_subnets(family));
    if let (true, LeftEnd::Ip(address)) = (mine.is_empty(), ends.left) {
        mine.push(Subnet::host(address));
    }
    if let (true, RightEnd::Ip(address)) = (peers.is_empty(), ends.right) {
        peers.push(Subnet::host(address));
    }
    (mine, peers)
}

/// Adds what the kernel may have of a connection that was up under an earlier daemon and of which pluto, which hangs, says
/// nothing: the policies for its packets, and what they ask for.
pub(super) async fn recognise(profile: &Profile, mut traces: Traces) -> Traces {
    let Ok(ends) = resolve::ends(&profile.connection).await else {
        return traces;
    };
    traces.traps.extend(traps(profile, &ends));
    let asked = traces.clone();
    if let Ok(Ok(found)) = tokio::task::spawn_blocking(move || kernel::reqids_of(&asked)).await {
        traces.reqids.extend(found);
    }
    traces
}

/// Whether the kernel has what an established connection needs: SAs, and policies that send traffic into
/// them. One that comes up on demand needs only the latter, be it a trap.
pub(super) fn is_in_kernel(
    profile: &Profile,
    ends: &ResolvedEnds,
    reports: &[Updown],
    facts: &KernelFacts,
) -> bool {
    let of = |action| reports.iter().filter(move |report| report.verb.action == action);
    let reqids: Vec<u32> = of(Action::Up)
        .filter_map(|report| report.reqid)
        .map(reqid_group)
        .collect();
    if profile.connection.connect_mode == ConnectMode::OnDemand {
        let is_trapped = |trap: &Updown| {
            let flow = trap.my_client.zip(trap.peer_client);
            flow.is_none_or(|flow| facts.outgoing.contains(&flow))
        };
        return of(Action::Route).all(is_trapped)
            || reqids.iter().any(|reqid| facts.policy_reqids.contains(reqid));
    }
    let peer = match ends.right {
        RightEnd::Ip(peer) => facts.sa_peers.contains(&peer),
        RightEnd::Any => true,
    };
    let in_both = |reqid: &u32| facts.policy_reqids.contains(reqid) && facts.sa_reqids.contains(reqid);
    peer && reqids.iter().all(in_both)
}

/// Waits for the next try after `failed` ones.
async fn back_off(failed: u32) {
    tokio::time::sleep(backoff::pause(failed)).await;
}

/// Finds out what can be found out before pluto is asked, and sees that the guard, if there is to be one, holds back what
/// goes where the names lead.
pub(super) async fn prepare(host: &Host, profile: &Profile) -> Result<ResolvedEnds, Reason> {
    let ends = async { tokio::try_join!(resolve::ends(&profile.connection), host.libreswan.version()) };
    let (prepared, ()) = tokio::join!(ends, host.networkmanager.wake_dispatcher(&host.bus));
    let (ends, _) = prepared?;
    host.guards.resolved(profile, &ends).await?;
    Ok(ends)
}

/// Hands secret and connection to pluto, which is started if it does not run and `may_start` says so.
pub(super) async fn load(
    host: &Host,
    profile: &Profile,
    ends: &ResolvedEnds,
    may_start: bool,
) -> Result<(), Reason> {
    let options = RenderOptions {
        updown: &host.updown,
        crypto_policy: host.libreswan.crypto_policy(),
    };
    let version = host.libreswan.version().await?;
    let configuration = render::ipsec_conf(profile, ends, version, &options).map_err(|error| {
        Reason::ConfigurationRefused {
            detail: error.to_string(),
        }
    })?;
    if let Some(secrets) = render::ipsec_secrets(profile, ends) {
        if ends.right == RightEnd::Any && profile.connection.rightid.is_none() {
            let detail = "a pre-shared key for %any would be everybody's; name the peer by right or rightid";
            return Err(Reason::ConfigurationRefused {
                detail: detail.into(),
            });
        }
        secrets_file::write(&host.secrets_dir, &profile.uuid, &secrets).map_err(|error| Reason::Local {
            detail: format!(
                "failed to write the secrets file in {}: {error}",
                host.secrets_dir.display()
            ),
        })?;
    } else if let Err(error) = secrets_file::remove(&host.secrets_dir, &profile.uuid) {
        tracing::warn!(ipsec_uuid = %profile.uuid, nm_connection = %profile.uuid, "failed to remove a secrets file that '{}' needs no more: {error}", profile.id);
    }
    host.expect_device(profile);
    let may_start = may_start || !systemd::is_booted();
    if !may_start && *host.runs.borrow() == Some(false) && !host.libreswan.listen().await? {
        return Err(systemd::pluto_is_stopped());
    }
    // Listening makes pluto look at addresses and secrets again. It does not matter which of the two
    // comes first: the connection is not used before both are done.
    let (running, added, ()) = tokio::join!(
        host.libreswan.listen(),
        add(host, profile, configuration.clone()),
        host.networkmanager.ask(&host.bus)
    );
    let added = if running? {
        // Whoever watches it may not know of this one yet.
        host.started.notify_one();
        added
    } else if !may_start {
        return Err(systemd::pluto_is_stopped());
    } else {
        start_pluto(host).await?;
        add(host, profile, configuration.clone()).await
    };
    let Err(refusal) = added else { return Ok(()) };
    let reason = why_refused(profile, refusal).await;
    let Some(nickname) = importable(profile, &reason) else {
        return Err(reason);
    };
    host.certificates.import(nickname).await?;
    match add(host, profile, configuration).await {
        Ok(()) => Ok(()),
        Err(refusal) => Err(why_refused(profile, refusal).await),
    }
}

/// Hands a connection to pluto for the peer to call. pluto is not started for that.
pub(super) async fn open(host: &Host, profile: &Profile) -> Result<ResolvedEnds, Reason> {
    let ends = prepare(host, profile).await?;
    load(host, profile, &ends, false).await?;
    Ok(ends)
}

/// Hands a connection to pluto in place of itself, with whatever certificates there are now. What the old one encrypts is
/// held back until the new one does.
pub(super) async fn reload(
    host: &Arc<Host>,
    profile: &Profile,
    ends: &ResolvedEnds,
    traces: Traces,
) -> Result<(), Reason> {
    let (holding, uuid) = (host.clone(), profile.uuid.clone());
    let held = tokio::task::spawn_blocking(move || holding.holds.begin(&uuid, &traces));
    // Without holds it is what it would be without this daemon.
    let _ = held.await;
    let loaded = load(host, profile, ends, false).await;
    // Others may have shared the IKE SA that has gone with the old connection.
    let host = host.clone();
    tokio::spawn(async move { unload::bring_orphans_back(&host).await });
    loaded
}

/// What lies behind pluto's refusal of a connection.
async fn why_refused(profile: &Profile, refusal: Option<Reason>) -> Reason {
    if let Some(reason @ (Reason::CertificateExpired { .. } | Reason::NameTaken { .. })) = refusal {
        return reason;
    }
    nss::fault_of_certificates(&profile.connection)
        .await
        .or(refusal)
        .unwrap_or_else(|| {
            let detail = format!("it gave no reason; see 'journalctl -u {}'", systemd::IPSEC_UNIT);
            Reason::ConfigurationRefused { detail }
        })
}

/// The certificate that may be imported because it is missing: the host's own, for a profile of the system. What a user
/// wrote into a profile has no files read.
fn importable<'a>(profile: &'a Profile, reason: &Reason) -> Option<&'a Nickname> {
    let Reason::CertificateMissing {
        nickname: missing, ..
    } = reason
    else {
        return None;
    };
    let own = profile.connection.leftcert.as_ref();
    own.filter(|nickname| nickname.as_str() == missing && !profile.is_private())
}

/// Hands the connection to pluto.
async fn add(host: &Host, profile: &Profile, configuration: String) -> Result<(), Option<Reason>> {
    let name = profile.pluto_name();
    let check = make_room(host, profile, &name);
    host.libreswan.add(&name, configuration, check).await
}

/// Sees that nobody else's connection has the name. One that the plugin written in C made of the same profile goes.
async fn make_room(host: &Host, profile: &Profile, name: &PlutoName) -> Result<(), Reason> {
    let status = host.libreswan.status().await?;
    if status.of(name).any(|known| !known.runs(&host.updown)) {
        let name = name.to_string();
        return Err(Reason::NameTaken { name });
    }
    let uuid = profile.uuid.as_str();
    if status.with_updown(&host.updown).any(|known| known == uuid) {
        host.libreswan.delete(uuid, DELETE_TIME_OUT).await?;
    }
    Ok(())
}

/// Has systemd start pluto, or starts it where there is no systemd, and waits until it answers. Of several connections that find it down, the first
/// starts it.
async fn start_pluto(host: &Host) -> Result<(), Reason> {
    let _turn = host.starting.lock().await;
    if host.libreswan.listen().await? {
        return Ok(());
    }
    if systemd::is_booted() {
        // While NetworkManager starts, somebody who has this connection brought up, a secondary's base say, holds that start
        // up, and the unit is ordered after it (network-online.target).
        let when = if networkmanager::is_starting(&host.bus).await {
            When::AtOnce
        } else {
            When::InOrder
        };
        systemd::start_ipsec(&host.bus, when).await?;
    } else {
        host.libreswan.start().await?;
        host.started.notify_one();
    }
    if host.libreswan.listen().await? {
        return Ok(());
    }
    Err(Reason::PlutoDown {
        detail: "it runs but does not answer whack".into(),
    })
}

/// Has pluto negotiate, or set a trap if the profile is to come up on demand.
pub(super) async fn negotiate(
    host: &Host,
    profile: &Profile,
    ends: &ResolvedEnds,
    since: Instant,
) -> Result<Progress, Reason> {
    let name = profile.pluto_name();
    if profile.connection.connect_mode == ConnectMode::OnDemand {
        return host.libreswan.route(&name).await.map(|()| Progress::Routed);
    }
    let RightEnd::Ip(peer) = ends.right else {
        let detail = "'right' is %any, and a connection to nobody in particular cannot be brought up; \
                      name the peer, or set nm-connect-mode=ondemand";
        return Err(Reason::ConfigurationRefused {
            detail: detail.into(),
        });
    };
    match host
        .libreswan
        .initiate(&name, peer, time_left(profile, since))
        .await?
    {
        Initiated::Established => Ok(Progress::Established),
        Initiated::Underway => Ok(Progress::Underway),
    }
}

/// Waits until a report of the updown helper can no longer be hoped for.
pub(super) async fn report_is_late(
    profile: &Profile,
    ends: &ResolvedEnds,
    since: Instant,
    progress: Progress,
) -> Reason {
    let RightEnd::Ip(peer) = ends.right else {
        return Reason::UpdownLost;
    };
    if progress == Progress::Established {
        tokio::time::sleep(REPORT_TIME_OUT).await;
        return Reason::UpdownLost;
    }
    tokio::time::sleep(time_left(profile, since)).await;
    let detail = "pluto was negotiating already".into();
    Reason::PeerSilent {
        peer,
        seconds: since.elapsed().as_secs(),
        detail,
    }
}

/// How long the peer may still take before NetworkManager gives up.
fn time_left(profile: &Profile, since: Instant) -> Duration {
    profile
        .timeout
        .saturating_sub(MARGIN)
        .saturating_sub(since.elapsed())
        .max(LEAST_WAIT)
}
