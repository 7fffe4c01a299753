//! A connection's status in words, and for programs.

use std::time::Duration;

use nmstate_ipsec_core::{
    daemon_api::{ConnectionStatus, SaLimits, SaStatus, SaTimer},
    reason::EXPIRY_WARNING_DAYS,
};
use serde_json::{Value, json};

use crate::phase;

/// How long before its end a certificate is warned of.
const WARNING: Duration = Duration::from_secs(EXPIRY_WARNING_DAYS.unsigned_abs() * 24 * 3600);

/// A connection in lines; `now` is counted from 1970.
pub(super) fn for_people(status: &ConnectionStatus, now: Duration) -> String {
    let mut lines = vec![format!(
        "{}: {} for {}",
        status.name,
        phase::words(&status.state),
        lasting(now.saturating_sub(Duration::from_micros(status.since)))
    )];
    if status.failed_tries > 0 {
        lines.push(format!("  tries that have failed since: {}", status.failed_tries));
    }
    if status.next_try > 0 {
        let left = lasting(Duration::from_micros(status.next_try).saturating_sub(now));
        lines.push(format!("  next try in {left}"));
    }
    if !status.waits_for.is_empty() {
        lines.push(format!("  waits for {}", status.waits_for));
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
    if status.is_guarded {
        let packets = match status.held_back {
            0 => "no packet".to_owned(),
            1 => "1 packet".to_owned(),
            number => format!("{number} packets"),
        };
        lines.push(format!("  guarded; {packets} held back"));
    }
    if !status.certificate.is_empty() {
        lines.push(format!(
            "  certificate '{}'{}",
            status.certificate,
            expiry(status.certificate_until, now)
        ));
    }
    lines.extend(status.sas.iter().map(|sa| sa_for_people(sa, now)));
    lines.extend(timers_for_people(&status.timers));
    for failure in &status.failures {
        let ago = lasting(now.saturating_sub(Duration::from_micros(failure.time)));
        lines.push(format!(
            "  last failure, {ago} ago: {} ({})",
            failure.text, failure.code
        ));
    }
    lines.join("\n")
}

/// Until when a certificate is valid; one that soon ends, or has, is warned of.
fn expiry(until: u64, now: Duration) -> String {
    if until == 0 {
        return String::new();
    }
    let Some(left) = Duration::from_secs(until).checked_sub(now) else {
        return ", which HAS EXPIRED; renew it".to_owned();
    };
    if left < WARNING {
        format!(", which EXPIRES in {}; renew it", lasting(left))
    } else {
        format!(", valid for {}", lasting(left))
    }
}

fn sa_for_people(sa: &SaStatus, now: Duration) -> String {
    format!(
        "  {} esp.{:08x} {} {}: {} packets, {} bytes, {} old{}{}",
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
        lasting(now.saturating_sub(Duration::from_secs(sa.since))),
        limits_for_people("; to be renewed after", &sa.soft),
        limits_for_people("; ends after", &sa.hard)
    )
}

/// What the kernel watches over; pluto's own timers are told elsewhere, and with most releases there are no others.
fn limits_for_people(what: &str, limits: &SaLimits) -> String {
    let span = |seconds: u64, from: &str| (seconds > 0).then(|| lasting(Duration::from_secs(seconds)) + from);
    let amount = |number: u64, of: &str| (number > 0).then(|| format!("{number} {of}"));
    let limits = [
        span(limits.seconds, ""),
        span(limits.used_seconds, " of use"),
        amount(limits.bytes, "bytes"),
        amount(limits.packets, "packets"),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() {
        return String::new();
    }
    format!("{what} {}", limits.join(" or "))
}

/// A line for each SA that pluto has timers for.
fn timers_for_people(timers: &[SaTimer]) -> Vec<String> {
    let sas = timers.chunk_by(|one, other| one.number == other.number);
    let line = |sa: &[SaTimer]| {
        let due = sa.iter().map(|timer| {
            let verb = match timer.event.as_str() {
                "rekey" => "rekeyed",
                "replace" => "replaced",
                _ => "gone",
            };
            format!("{verb} in {}", lasting(Duration::from_secs(timer.seconds)))
        });
        let kind = if sa[0].kind == "ike" { "IKE SA" } else { "child SA" };
        format!(
            "  {kind} #{}: {}",
            sa[0].number,
            due.collect::<Vec<_>>().join(", ")
        )
    };
    sas.map(line).collect()
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

/// A connection for programs. Times are in seconds since 1970, spans in seconds; what is not known or not there is null.
pub(super) fn for_programs(status: &ConnectionStatus) -> Value {
    let sa = |sa: &SaStatus| {
        json!({
            "direction": if sa.is_outgoing { "out" } else { "in" },
            "spi": format!("{:08x}", sa.spi),
            "mode": sa.mode,
            "algorithm": sa.algorithm,
            "bytes": sa.bytes,
            "packets": sa.packets,
            "since": sa.since,
            "used-since": unless_zero(sa.used_since),
            "soft": limits(&sa.soft),
            "hard": limits(&sa.hard),
        })
    };
    let timer = |timer: &SaTimer| json!({"sa": timer.kind, "number": timer.number, "event": timer.event, "in": timer.seconds});
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
        "next-try": unless_zero(status.next_try / 1_000_000),
        "waits-for": status.waits_for,
        "left": status.me,
        "right": status.peer,
        "device": status.device,
        "guarded": status.is_guarded,
        "held-back": status.is_guarded.then_some(status.held_back),
        "certificate": status.certificate,
        "certificate-until": unless_zero(status.certificate_until),
        "selectors": status.flows.iter().map(|(mine, peers)| json!({"left": mine, "right": peers})).collect::<Vec<_>>(),
        "sas": status.sas.iter().map(sa).collect::<Vec<_>>(),
        "timers": status.timers.iter().map(timer).collect::<Vec<_>>(),
        "last-failure": last,
    })
}

fn limits(limits: &SaLimits) -> Value {
    json!({
        "seconds": unless_zero(limits.seconds),
        "used-seconds": unless_zero(limits.used_seconds),
        "bytes": unless_zero(limits.bytes),
        "packets": unless_zero(limits.packets),
    })
}

fn unless_zero(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
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
    fn a_certificate_that_soon_ends_is_warned_of() {
        let days = |days: u64| Duration::from_secs(days * 86400);
        let said = |until: u64| expiry(days(until).as_secs(), days(100));
        assert_eq!(said(0), "");
        assert_eq!(said(99), ", which HAS EXPIRED; renew it");
        assert_eq!(said(129), ", which EXPIRES in 29 d 0 h; renew it");
        assert_eq!(said(465), ", valid for 365 d 0 h");
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
                used_since: 0,
                soft: SaLimits::default(),
                hard: SaLimits {
                    seconds: 28800,
                    bytes: 1 << 40,
                    ..SaLimits::default()
                },
            }],
            timers: vec![
                timer("ike", 3, "rekey", 27790),
                timer("ike", 3, "replace", 28799),
                timer("child", 4, "expire", 59),
            ],
            ..ConnectionStatus::default()
        };
        assert_eq!(
            for_people(&status, Duration::from_secs(100)),
            "hosta_conn: up for 1 min 0 s\n  192.0.2.251 to 192.0.2.252\n  192.0.2.251/32 === 192.0.2.252/32\n  \
             to the peer:   esp.0c3ba471 transport rfc4106(gcm(aes)): 3 packets, 252 bytes, 59 s old; ends after 8 h 0 min or 1099511627776 bytes\n  \
             IKE SA #3: rekeyed in 7 h 43 min, replaced in 7 h 59 min\n  child SA #4: gone in 59 s"
        );
        let told = for_programs(&status);
        assert_eq!(told["sas"][0]["spi"], "0c3ba471");
        assert_eq!(
            told["sas"][0]["hard"],
            json!({"seconds": 28800, "used-seconds": null, "bytes": 1_u64 << 40, "packets": null})
        );
        assert_eq!(
            told["timers"][2],
            json!({"sa": "child", "number": 4, "event": "expire", "in": 59})
        );
        assert_eq!(told["next-try"], Value::Null);
    }

    fn timer(kind: &str, number: u32, event: &str, seconds: u64) -> SaTimer {
        SaTimer {
            kind: kind.into(),
            number,
            event: event.into(),
            seconds,
        }
    }

    #[test]
    fn a_lost_connection_says_when_it_is_tried_again() {
        let status = ConnectionStatus {
            name: "hosta_conn".into(),
            is_guarded: true,
            held_back: 3,
            state: "lost".into(),
            since: 90_000_000,
            failed_tries: 4,
            next_try: 112_600_000,
            ..ConnectionStatus::default()
        };
        assert_eq!(
            for_people(&status, Duration::from_secs(100)),
            "hosta_conn: lost, and tried again for 10 s\n  tries that have failed since: 4\n  next try in 12 s\n  \
             guarded; 3 packets held back"
        );
        assert_eq!(for_programs(&status)["held-back"], 3);
        assert_eq!(
            for_programs(&ConnectionStatus::default())["held-back"],
            Value::Null
        );
        assert_eq!(for_programs(&status)["next-try"], 112);
    }
}
