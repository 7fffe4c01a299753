//! Spans of time.

use std::{fmt, str::FromStr, time::Duration};

use super::Expected;

/// Longest span that is accepted: ten years.
const MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A span of time as ipsec.conf(5) writes it: a number of seconds, or a decimal number with one of the units us, ms, s,
/// m, h, d, w. Zero switches off what the key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

/// An [`Interval`] that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(Duration);

impl Interval {
    /// How often IKEv2 connections ask whether a peer is there of which nothing is heard. Without asking, a peer that has
    /// lost its SAs with its power is never found out (RFC 7296, 2.4).
    pub const LIVENESS: Self = Self(Duration::from_secs(30));

    /// The span.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Lifetime {
    /// What `nm-auto-defaults` gives IKEv1 connections.
    pub const DAY: Self = Self(Duration::from_secs(24 * 3600));

    /// The span.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Interval {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        parse(text)
            .map(Self)
            .ok_or(Expected("a time such as 30, 30s, 1.5h or 1d"))
    }
}

impl FromStr for Lifetime {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        parse(text)
            .filter(|span| !span.is_zero())
            .map(Self)
            .ok_or(Expected("a time above zero such as 3600, 30s, 1.5h or 1d"))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(self.0, formatter)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(self.0, formatter)
    }
}

/// Whole seconds where that is exact, else milliseconds: both libreswan versions know these two units.
fn render(span: Duration, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match span.subsec_millis() {
        0 => write!(formatter, "{}s", span.as_secs()),
        _ => write!(formatter, "{}ms", span.as_millis()),
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit_at = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "" | "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 24 * 3_600_000_000,
        "w" => 7 * 24 * 3_600_000_000,
        _ => return None,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    let whole_micros = digits(whole)?.checked_mul(unit_micros)?;
    let fraction_micros = match fraction {
        "" => 0,
        _ if fraction.len() > 6 => return None,
        _ => {
            let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
            unit_micros.checked_mul(digits(fraction)?)?.checked_div(scale)?
        }
    };
    let micros = whole_micros.checked_add(fraction_micros)?;
    // What is below the resolution of the rendering must not become zero, which has a meaning of its own.
    let is_exact = micros.is_multiple_of(1_000);
    let span = Duration::from_micros(micros);
    (is_exact && span <= MAX).then_some(span)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, rendered) in [
            ("3600", "3600s"),
            ("30s", "30s"),
            ("1.5h", "5400s"),
            ("24h", "86400s"),
            ("1d", "86400s"),
            ("1w", "604800s"),
            ("500ms", "500ms"),
            ("0.5s", "500ms"),
            ("2000us", "2ms"),
            ("1500000us", "1500ms"),
        ] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), rendered, "{text}");
            assert_eq!(rendered.parse::<Lifetime>(), text.parse::<Lifetime>(), "{text}");
        }
        assert_eq!("0".parse::<Interval>().unwrap().to_string(), "0s");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "s",
            "-1",
            "+1",
            "1 h",
            "1.",
            ".5",
            "1.5.5",
            "1y",
            "1H",
            "999999999999h",
            "1us",
            "99999999999999999999",
            "1h\n",
            "0x10",
            "1e3",
        ] {
            assert!(text.parse::<Interval>().is_err(), "{text:?}");
        }
        assert!("0".parse::<Lifetime>().is_err());
    }
}
