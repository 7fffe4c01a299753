//! What `certutil -L` and `certutil -K` list.

use serde::{Deserialize, Serialize};

/// How much a certificate is trusted, as certutil writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trust(String);

impl Trust {
    /// As certutil writes it: for TLS, mail and programs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its key is in the database.
    pub fn has_key(&self) -> bool {
        self.0.contains('u')
    }

    /// Whether it is trusted to issue certificates.
    pub fn is_authority(&self) -> bool {
        self.0
            .split(',')
            .next()
            .is_some_and(|flags| flags.contains(['C', 'T']))
    }

    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_trust = text.matches(',').count() == 2
            && text
                .chars()
                .all(|character| matches!(character, 'p' | 'P' | 'c' | 'T' | 'C' | 'u' | 'w' | 'g' | ','));
        is_trust.then(|| Self(text.to_owned()))
    }
}

/// A line of `certutil -L`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The nickname.
    pub name: String,
    /// Its trust.
    pub trust: Trust,
}

/// Takes the certificates in PEM out of what certutil printed: it writes each of them at once, and what else it says
/// through a buffer, so that they may be anywhere, in the middle of a line of the list even.
pub(super) fn take_out_pem(printed: &str) -> (String, Vec<&str>) {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----\n";
    let (mut rest, mut other, mut blocks) = (printed, String::new(), Vec::new());
    while let Some((before, from)) = rest.find(BEGIN).map(|begin| rest.split_at(begin)) {
        let Some(end) = from.find(END) else { break };
        let (block, after) = from.split_at(end + END.len());
        other.push_str(before);
        blocks.push(block);
        rest = after;
    }
    other.push_str(rest);
    (other, blocks)
}

/// Reads the list of certificates, whatever heading it has.
pub(super) fn entries(listed: &str) -> Vec<Entry> {
    listed
        .lines()
        .filter(|line| key_id(line).is_none())
        .filter_map(|line| {
            let (name, trust) = line.trim_end().rsplit_once(' ')?;
            Some(Entry {
                name: name.trim_end().to_owned(),
                trust: Trust::parse(trust)?,
            })
        })
        .collect()
}

/// Reads the ids from the list of keys.
pub(super) fn key_ids(listed: &str) -> Vec<String> {
    listed.lines().filter_map(key_id).collect()
}

fn key_id(line: &str) -> Option<String> {
    let (_, after) = line.trim_start().strip_prefix('<')?.split_once('>')?;
    let id = after.split_whitespace().nth(1)?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTED: &str = "
Certificate Nickname                                         Trust Attributes
                                                             SSL,S/MIME,JAR/XPI

CA                                                           CT,C,C
friendly a  b                                                u,u,u
a name that is so long that nothing is left of the column for it u,u,u
Test CA - Ex                                                 ,,   
";

    #[test]
    fn lists_are_read() {
        let found: Vec<(String, String)> = entries(LISTED)
            .into_iter()
            .map(|entry| (entry.name, entry.trust.0))
            .collect();
        let expected = [
            ("CA", "CT,C,C"),
            ("friendly a  b", "u,u,u"),
            (
                "a name that is so long that nothing is left of the column for it",
                "u,u,u",
            ),
            ("Test CA - Ex", ",,"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, trust)| (name.to_owned(), trust.to_owned()))
        );
        let keys = "certutil: Checking token \"NSS Certificate DB\" in slot \"NSS User\"\n\
                    < 0> rsa      5d4c59ddafa6745bca63575c7a65cca0c0e19477   friendly a\n\
                    <11> ec       BC46   x\n";
        assert_eq!(
            key_ids(keys),
            ["5d4c59ddafa6745bca63575c7a65cca0c0e19477", "bc46"]
        );
    }

    #[test]
    fn a_key_is_no_certificate() {
        let keys = "< 0> rsa      5d4c59ddafa6745bca63575c7a65cca0c0e19477   friendly u,u,u\n";
        assert!(entries(keys).is_empty() && key_ids(keys).len() == 1);
    }

    #[test]
    fn certificates_are_taken_out_of_the_middle_of_a_line() {
        let block = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        let printed = format!("CA      {block}{block}     CT,C,C\n");
        let (rest, blocks) = take_out_pem(&printed);
        assert_eq!((rest.as_str(), blocks.len()), ("CA           CT,C,C\n", 2));
        assert_eq!(entries(&rest).len(), 1);
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(text in "\\PC{0,40}|(-----(BEGIN|END) CERTIFICATE-----\n|< 1> |u,u,u\n| |é){0,12}") {
            let (rest, _) = take_out_pem(&text);
            entries(&rest);
            key_ids(&rest);
        }
    }
}
