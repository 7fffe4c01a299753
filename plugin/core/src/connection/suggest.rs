//! The key that a misspelt one was meant to be.

use super::key_names;

/// Longest key that is compared with the table.
const MAX_KEY: usize = 40;

/// The key of a connection that is nearest to `key`, if it is near enough to be meant.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    nearest_of(key, key_names())
}

/// The one of `names` that is nearest to `word`, if it is near enough to be meant.
pub fn nearest_of<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > MAX_KEY || !word.is_ascii() {
        return None;
    }
    let wanted = simplified(word);
    names
        .into_iter()
        .map(|name| (distance(&wanted, &simplified(name)), name))
        .filter(|(distance, name)| *distance <= if name.len() < 6 { 1 } else { 2 })
        .min()
        .map(|(_, name)| name)
}

/// Case and the choice between `-` and `_` are the commonest mistakes.
fn simplified(key: &str) -> Vec<u8> {
    key.bytes()
        .filter(|byte| !matches!(byte, b'-' | b'_'))
        .map(|byte| byte.to_ascii_lowercase())
        .collect()
}

/// How many letters have to be put in, left out, replaced, or exchanged with their neighbour.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (position, from_byte) in from.iter().enumerate() {
        let mut row = vec![position + 1];
        for (column, to_byte) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(from_byte != to_byte);
            let mut least = replaced.min(last[column + 1] + 1).min(row[column] + 1);
            let is_exchanged =
                position > 0 && column > 0 && from[position - 1] == *to_byte && to[column - 1] == *from_byte;
            if is_exchanged {
                least = least.min(before[column - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys_are_recognised() {
        for (key, meant) in [
            ("rigthsubnet", Some("rightsubnet")),
            ("rigth", Some("right")),
            ("ipsec_interface", Some("ipsec-interface")),
            ("LeftID", Some("leftid")),
            ("ikelifetme", Some("ikelifetime")),
            ("domain", Some("Domain")),
            ("leftt", Some("left")),
            ("nm-autodefaults", Some("nm-auto-defaults")),
            ("foo", None),
            ("leftupdown", None),
            ("", None),
        ] {
            assert_eq!(nearest(key), meant, "{key}");
        }
    }
}
