//! `nmstate-ipsec status`: what connections are doing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nmstate_ipsec_core::daemon_api::{ConnectionStatus, ManagerProxy, SaStatus};
use serde_json::{Value, json};

use super::Fault;
use crate::args::Status;

pub(super) async fn run(arguments: &Status) -> Result<(), Fault> {
    let asked = async {
        let bus = zbus::Connection::system().await?;
        ManagerProxy::new(&bus).await?.connections().await
    };
    let known = asked
        .await
        .map_err(|error| Fault::failed("failed to ask nmstate-ipsecd", error))?;
    let wanted = |status: &ConnectionStatus| arguments.name.as_ref().is_none_or(|name| *name == status.name);
    let shown: Vec<ConnectionStatus> = known.into_iter().filter(wanted).collect();
    if let (true, Some(name)) = (shown.is_empty(), &arguments.name) {
        return Err(Fault::Failed(format!(
            "nobody has asked for '{name}' since nmstate-ipsecd was started; see 'nmcli connection show'"
        )));
    }
    if arguments.json {
        let connections: Vec<Value> = shown.iter().map(for_programs).collect();
        println!("{}", json!({ "connections": connections }));
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for status in &shown {
            println!("{}", for_people(status, now));
        }
    }
    Ok(())
}

fn for_people(status: &ConnectionStatus, now: Duration) -> String {
    let mut lines = vec![format!(
        "{}: {} for {}",
        status.name,
        words(&status.state),
        lasting(now.saturating_sub(Duration::from_micros(status.since)))
    )];
    if status.failed_tries > 0 {
        lines.push(format!("  tries that have failed since: {}", status.failed_tries));
    }
    if !status.peer.is_empty() {
        let device = if status.device.is_empty() {
            String::new()
        } else {
            format!(" through {}", status.device)
        };
        lines.push(format!("  {} to {}{device}", or_unknown(&status.me), status.peer));
    }
    for (mine, peers) in &status.flows {
        lines.push(format!("  {} === {peers}", or_unknown(mine)));
    }
    if !status.certificate.is_empty() {
        lines.push(format!("  certificate '{}'", status.certificate));
    }
    lines.extend(status.sas.iter().map(|sa| sa_for_people(sa, now)));
    for failure in &status.failures {
        let ago = lasting(now.saturating_sub(Duration::from_micros(failure.time)));
        lines.push(format!(
            "  last failure, {ago} ago: {} ({})",
            failure.text, failure.code
        ));
    }
    lines.join("\n")
}

fn sa_for_people(sa: &SaStatus, now: Duration) -> String {
    format!(
        "  {} esp.{:08x} {} {}: {} packets, {} bytes, {} old",
        if sa.is_outgoing {
            "to the peer:  "
        } else {
            "from the peer:"
        },
        sa.spi,
        sa.mode,
        sa.algorithm,
        sa.packets,
        sa.bytes,
        lasting(now.saturating_sub(Duration::from_secs(sa.since)))
    )
}

fn words(state: &str) -> &str {
    match state {
        "ondemand" => "waiting for packets",
        "going-down" => "going down",
        "lost" => "lost, and tried again",
        "resolving" => "looking names up",
        "loading" => "being handed to pluto",
        "adopting" => "being looked for in pluto",
        other => other,
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "?" } else { text }
}

/// A span of time in the two units that matter.
fn lasting(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn for_programs(status: &ConnectionStatus) -> Value {
    let sa = |sa: &SaStatus| {
        json!({
            "direction": if sa.is_outgoing { "out" } else { "in" },
            "spi": format!("{:08x}", sa.spi),
            "mode": sa.mode,
            "algorithm": sa.algorithm,
            "bytes": sa.bytes,
            "packets": sa.packets,
            "since": sa.since,
        })
    };
    let last = status
        .failures
        .last()
        .map(|failure| json!({"time": failure.time / 1_000_000, "code": failure.code, "text": failure.text}));
    json!({
        "name": status.name,
        "uuid": status.uuid,
        "state": status.state,
        "since": status.since / 1_000_000,
        "failed-tries": status.failed_tries,
        "left": status.me,
        "right": status.peer,
        "device": status.device,
        "certificate": status.certificate,
        "selectors": status.flows.iter().map(|(mine, peers)| json!({"left": mine, "right": peers})).collect::<Vec<_>>(),
        "sas": status.sas.iter().map(sa).collect::<Vec<_>>(),
        "last-failure": last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(lasting(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_connection_is_told_in_lines() {
        let status = ConnectionStatus {
            name: "hosta_conn".into(),
            state: "up".into(),
            since: 40_000_000,
            me: "192.0.2.251".into(),
            peer: "192.0.2.252".into(),
            flows: vec![("192.0.2.251/32".into(), "192.0.2.252/32".into())],
            sas: vec![SaStatus {
                is_outgoing: true,
                spi: 0xc3b_a471,
                mode: "transport".into(),
                algorithm: "rfc4106(gcm(aes))".into(),
                bytes: 252,
                packets: 3,
                since: 41,
            }],
            ..ConnectionStatus::default()
        };
        assert_eq!(
            for_people(&status, Duration::from_secs(100)),
            "hosta_conn: up for 1 min 0 s\n  192.0.2.251 to 192.0.2.252\n  192.0.2.251/32 === 192.0.2.252/32\n  \
             to the peer:   esp.0c3ba471 transport rfc4106(gcm(aes)): 3 packets, 252 bytes, 59 s old"
        );
        assert_eq!(for_programs(&status)["sas"][0]["spi"], "0c3ba471");
    }
}
