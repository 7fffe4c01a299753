//! What `certutil -L -n` says of certificates to people. It alone tells which of those that share a nickname has which trust.

use std::collections::HashMap;

use super::{Trust, snapshot::Named};
use crate::description;

/// How certutil calls the flags of a trust, and their letters.
const FLAGS: [(&str, char); 8] = [
    ("Terminal Record", 'p'),
    ("Trusted", 'P'),
    ("Valid CA", 'c'),
    ("Trusted CA", 'C'),
    ("Trusted Client CA", 'T'),
    ("User", 'u'),
    ("Step-up", 'g'),
    ("Warn", 'w'),
];

/// Gives those certificates their trusts that were `printed` so.
pub(super) fn give_trusts(held: &mut [Named], printed: &str) {
    let trusts = trusts(printed);
    if trusts.is_empty() {
        return;
    }
    for held in held {
        if let Some(trust) = trusts.get(&description::fingerprint(&held.certificate)) {
            held.trust = Some(trust.clone());
        }
    }
}

/// The trust of each certificate, by its SHA-256 in hexadecimal digits.
fn trusts(printed: &str) -> HashMap<String, Trust> {
    let mut trusts = HashMap::new();
    let (mut digits, mut columns) = (String::new(), Vec::new());
    let mut lines = printed.lines().map(str::trim);
    while let Some(line) = lines.next() {
        match line {
            "Fingerprint (SHA-256):" => {
                let shown = lines.next().unwrap_or_default();
                digits = shown.replace(':', "").to_lowercase();
                columns.clear();
            }
            "SSL Flags:" | "Email Flags:" | "Object Signing Flags:" => columns.push(String::new()),
            _ => {
                let flag = FLAGS.iter().find(|(words, _)| *words == line);
                if let (Some((_, letter)), Some(column)) = (flag, columns.last_mut()) {
                    column.push(*letter);
                }
            }
        }
        if columns.len() == 3 {
            // The last one may still get flags.
            let text: Vec<String> = columns.iter().map(|flags| as_listed(flags)).collect();
            trusts.insert(digits.clone(), Trust::of(text.join(",")));
        }
    }
    trusts
}

/// The letters that the list has for `flags`: what goes without saying is left out.
fn as_listed(flags: &str) -> String {
    let has = |flag: char| flags.contains(flag);
    let letters = flags.chars().filter(|flag| match flag {
        'c' => !has('C') && !has('T'),
        'p' => !has('P'),
        _ => true,
    });
    // In the order of the list.
    let mut letters: Vec<char> = letters.collect();
    letters.sort_by_key(|letter| "pPcCTugw".find(*letter));
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusts_are_read() {
        let block = |digits: &str, flags: [&str; 3]| {
            let [ssl, mail, code] = flags.map(|flags| {
                flags
                    .split('+')
                    .filter(|flag| !flag.is_empty())
                    .map(|flag| format!("            {flag}\n"))
                    .collect::<String>()
            });
            format!(
                "Certificate:\n    Data:\n        Subject: \"CN=CA\"\n    Fingerprint (SHA-256):\n        {digits}\n\
                 \u{20}   Certificate Trust Flags:\n        SSL Flags:\n{ssl}        Email Flags:\n{mail}\
                 \u{20}       Object Signing Flags:\n{code}\n"
            )
        };
        let printed = [
            block(
                "AB:01",
                [
                    "Valid CA+Trusted CA+Trusted Client CA",
                    "Valid CA+Trusted CA",
                    "Valid CA+Trusted CA",
                ],
            ),
            block("CD:02", ["", "", ""]),
            block("EF:03", ["Terminal Record+Trusted+User", "User", "Valid CA"]),
        ];
        let found = trusts(&printed.concat());
        let of = |digits: &str| found.get(digits).map(Trust::as_str);
        assert_eq!(found.len(), 3);
        assert_eq!(
            [of("ab01"), of("cd02"), of("ef03")],
            [Some("CT,C,C"), Some(",,"), Some("Pu,u,c")]
        );
    }
}
