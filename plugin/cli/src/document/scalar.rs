//! What an unquoted scalar means. The rules are those of serde_yaml 0.9, by which nmstate reads its documents: they are
//! YAML 1.2's core schema with binary numbers and signs before any number.

/// What a scalar without quotes means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`. `yes` and `no` are texts.
    Bool(bool),
    /// An integer that is not negative.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A floating-point number.
    Float(f64),
    /// An integer of more than 64 bits.
    Huge,
    /// Anything else.
    Text,
}

impl Plain {
    /// What `text` means.
    pub(super) fn of(text: &str) -> Self {
        match text {
            "" | "null" | "Null" | "NULL" | "~" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        if let Some(number) = unsigned(text) {
            return u64::try_from(number).map_or(Self::Huge, Self::Unsigned);
        }
        if let Some(number) = negative(text) {
            return i64::try_from(number).map_or(Self::Huge, Self::Signed);
        }
        match float(text) {
            Some(number) if !has_leading_zero(text) => Self::Float(number),
            _ => Self::Text,
        }
    }

    /// What this is called in a message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "no value",
            Self::Bool(_) => "a truth value",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) | Self::Huge => "a number",
            Self::Text => "a text",
        }
    }
}

/// Whether `text` is the one decimal form of a whole number, which stays what it is whoever reads it.
pub(super) fn is_canonical_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal && (!digits.starts_with('0') || text == "0")
}

/// `007` is a text by YAML 1.2.
fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn unsigned(text: &str) -> Option<u128> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let Some(rest) = digits.strip_prefix(prefix) else {
            continue;
        };
        if rest.starts_with(['+', '-']) {
            return None;
        }
        if let Ok(number) = u128::from_str_radix(rest, radix) {
            return Some(number);
        }
    }
    if digits.starts_with(['+', '-']) || has_leading_zero(text) {
        return None;
    }
    digits.parse().ok()
}

fn negative(text: &str) -> Option<i128> {
    for (prefix, radix) in [("-0x", 16), ("-0o", 8), ("-0b", 2)] {
        if let Some(rest) = text.strip_prefix(prefix)
            && let Ok(number) = i128::from_str_radix(&format!("-{rest}"), radix)
        {
            return Some(number);
        }
    }
    if has_leading_zero(text) {
        return None;
    }
    text.parse().ok()
}

pub(super) fn float(text: &str) -> Option<f64> {
    let unsigned = match text.strip_prefix('+') {
        Some(rest) if rest.starts_with(['+', '-']) => return None,
        Some(rest) => rest,
        None => text,
    };
    match (unsigned, text) {
        (".inf" | ".Inf" | ".INF", _) => return Some(f64::INFINITY),
        (_, "-.inf" | "-.Inf" | "-.INF") => return Some(f64::NEG_INFINITY),
        (_, ".nan" | ".NaN" | ".NAN") => return Some(f64::NAN),
        _ => {}
    }
    unsigned.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_nmstate_reads() {
        for (text, meant) in [
            ("yes", Plain::Text),
            ("no", Plain::Text),
            ("on", Plain::Text),
            ("True", Plain::Bool(true)),
            ("~", Plain::Null),
            ("", Plain::Null),
            ("007", Plain::Text),
            ("0o17", Plain::Unsigned(15)),
            ("0x1F", Plain::Unsigned(31)),
            ("-0b11", Plain::Signed(-3)),
            ("+5", Plain::Unsigned(5)),
            ("1_000", Plain::Text),
            ("1e3", Plain::Float(1000.0)),
            ("18446744073709551616", Plain::Huge),
            ("192.0.2.1", Plain::Text),
            ("12:30:45", Plain::Text),
            ("1e999", Plain::Text),
        ] {
            assert_eq!(Plain::of(text), meant, "{text}");
        }
    }

    #[test]
    fn only_plain_decimals_are_canonical() {
        for text in ["0", "9", "-1", "3600", "123456789012345678901234567890"] {
            assert!(is_canonical_number(text), "{text}");
        }
        for text in ["", "-", "-0", "+1", "01", "1.0", "1e3", "0x10", "0o7"] {
            assert!(!is_canonical_number(text), "{text}");
        }
    }
}
