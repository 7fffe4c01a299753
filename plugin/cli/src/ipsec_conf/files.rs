//! The files that a configuration is made of.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::document::text_of;

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Most names that a pattern may stand for.
const MAX_MATCHES: usize = 1000;

/// Reads a text. Links are followed: distributions link their cryptographic policy into place.
///
/// # Errors
/// The line, if it is known, and what is wrong.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, (usize, String)> {
    let unreadable = |error: std::io::Error| (0, format!("cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err((0, "is a directory; name a file in it".into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err((
            0,
            "is larger than 1 MB, which is no configuration of libreswan".into(),
        ));
    }
    text_of(&bytes).map_err(|(location, problem)| {
        let line = location.map_or(0, |location| location.line);
        (line, problem.to_string())
    })
}

/// The files that an include means, in the order of their names. A name without wildcards is itself, there or not.
///
/// # Errors
/// The pattern stands for too many files.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, &'static str> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let Some(text) = part.to_str().filter(|text| text.contains(['*', '?', '['])) else {
            for path in &mut found {
                path.push(part);
            }
            continue;
        };
        let mut next: Vec<PathBuf> = found
            .iter()
            .flat_map(|directory| entries(directory, text))
            .collect();
        next.sort_unstable();
        if next.len() > MAX_MATCHES {
            return Err("stands for more than 1000 files");
        }
        found = next;
    }
    // Something behind a wildcard need not be everywhere.
    let has_wildcard = pattern.to_string_lossy().contains(['*', '?', '[']);
    found.retain(|path| !has_wildcard || path.exists());
    Ok(found)
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let named = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let pattern: Vec<char> = pattern.chars().collect();
    let Ok(read) = fs::read_dir(named) else {
        return Vec::new();
    };
    let names = read.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| !name.starts_with('.') || pattern.first() == Some(&'.'))
        .filter(|name| matches(&pattern, &name.chars().collect::<Vec<_>>()))
        .map(|name| directory.join(name))
        .collect()
}

/// Whether `name` is of a shell's `pattern`: `*`, `?`, `[a-z]` and `[!a-z]`. After a failure only the last `*` is tried
/// with more, so that the time is bounded by the product of both lengths.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, position));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], name[position]) {
            at += length;
            position += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, position) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

/// How much of the pattern's start stands for `character`; nothing if it does not.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => set(pattern, character),
        literal => (*literal == character).then_some(1),
    }
}

fn set(pattern: &[char], character: char) -> Option<usize> {
    let is_negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if is_negated { 2 } else { 1 };
    // A bracket that is the first of a set is one of its characters.
    let end = pattern.iter().skip(start + 1).position(|found| *found == ']');
    let Some(end) = end.map(|offset| start + 1 + offset) else {
        return (character == '[').then_some(1);
    };
    let mut members = &pattern[start..end];
    let mut is_member = false;
    while let Some((first, rest)) = members.split_first() {
        if let ['-', last, rest @ ..] = rest {
            is_member |= (*first..=*last).contains(&character);
            members = rest;
        } else {
            is_member |= *first == character;
            members = rest;
        }
    }
    (is_member != is_negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_a_shells() {
        let is_match = |pattern: &str, name: &str| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            matches(&chars(pattern), &chars(name))
        };
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("*.conf", "a.conf.conf"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a", "[a"),
            ("*", ""),
            ("**a*", "bab"),
        ] {
            assert!(is_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.conf", "a.con"),
            ("a?c", "ac"),
            ("[a-c]", "d"),
            ("", "a"),
            ("[!a]", "a"),
        ] {
            assert!(!is_match(pattern, name), "{pattern} {name}");
        }
        assert!(!is_match(&"*a".repeat(50), &"a".repeat(49)));
    }
}
