//! What is in the database at one time.

use std::collections::{BTreeSet, HashMap, HashSet};

use openssl::{bn::BigNumContext, ec::PointConversionForm, pkey::Id, sha::sha1, x509::X509};

use super::{Entry, Trust};
use crate::description;

/// A certificate and the nickname that it was found under.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) certificate: X509,
    /// Its trust. Nothing as long as others of its name have another, and nobody has asked for its own.
    pub(crate) trust: Option<Trust>,
}

/// What is in the database at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Every nickname with its trust; a nickname with two certificates is there twice.
    pub(crate) entries: Vec<Entry>,
    /// The certificates that were asked for.
    pub(crate) held: Vec<Named>,
    /// The ids of all keys, if they were asked for.
    pub(crate) keys: BTreeSet<String>,
    /// Nicknames that are listed, but that certutil cannot be asked for. They are other people's: none of ours is so.
    pub(crate) unreadable: BTreeSet<String>,
}

impl Snapshot {
    pub(crate) fn entries_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.name == name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries_of(name).next().is_some()
    }

    pub(crate) fn certificates_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a X509> {
        self.held
            .iter()
            .filter(move |held| held.name == name)
            .map(|held| &held.certificate)
    }

    /// The certificate that is the same as `certificate`.
    pub(crate) fn find(&self, certificate: &X509) -> Option<&Named> {
        let wanted = description::fingerprint(certificate);
        self.held
            .iter()
            .find(|held| description::fingerprint(&held.certificate) == wanted)
    }

    /// The certificates that are trusted to issue others, and the rest.
    pub(crate) fn authorities(&self) -> (Vec<X509>, Vec<X509>) {
        let is_trusted = |held: &&Named| held.trust.as_ref().is_some_and(Trust::is_authority);
        let (trusted, rest): (Vec<&Named>, Vec<&Named>) = self.held.iter().partition(is_trusted);
        let certificates =
            |held: Vec<&Named>| held.into_iter().map(|held| held.certificate.clone()).collect();
        (certificates(trusted), certificates(rest))
    }

    /// The nicknames of more than one certificate.
    pub(crate) fn sharing(&self) -> HashSet<&str> {
        let mut seen = HashSet::new();
        let again = self.held.iter().filter(|held| !seen.insert(held.name.as_str()));
        again.map(|held| held.name.as_str()).collect()
    }

    /// The trusts of each nickname.
    pub(super) fn trusts(&self) -> HashMap<&str, Vec<&Trust>> {
        let mut trusts: HashMap<&str, Vec<&Trust>> = HashMap::new();
        for entry in &self.entries {
            trusts.entry(&entry.name).or_default().push(&entry.trust);
        }
        trusts
    }

    /// Gives each certificate the trust of its nickname, where there is but one.
    pub(super) fn give_trusts(&mut self) {
        let given: Vec<Option<Trust>> = {
            let trusts = self.trusts();
            let one = |held: &Named| match trusts.get(held.name.as_str()).map(Vec::as_slice) {
                Some([first, others @ ..]) if others.iter().all(|other| other == first) => {
                    Some((*first).clone())
                }
                _ => None,
            };
            self.held.iter().map(one).collect()
        };
        for (held, trust) in self.held.iter_mut().zip(given) {
            held.trust = trust;
        }
    }

    /// Whether certificates that were asked for have trusts that were not.
    pub(crate) fn is_vague(&self) -> bool {
        self.held.iter().any(|held| held.trust.is_none())
    }

    /// Of two nicknames that are listed alike, because one of them ends in blanks, certutil finds one.
    pub(super) fn note_shadowed(&mut self) {
        let mut found: HashMap<&str, usize> = HashMap::new();
        for held in &self.held {
            *found.entry(&held.name).or_default() += 1;
        }
        let trusts = self.trusts();
        let shadowed = trusts
            .iter()
            .filter(|(name, trusts)| found.get(*name).is_some_and(|found| *found < trusts.len()));
        let shadowed: Vec<String> = shadowed.map(|(name, _)| (*name).to_owned()).collect();
        self.unreadable.extend(shadowed);
    }

    /// What is not as it was in `before`, in words.
    pub(crate) fn differences(&self, before: &Self) -> Vec<String> {
        let listed = |snapshot: &Self| -> Vec<String> {
            let mut lines: Vec<String> = snapshot
                .entries
                .iter()
                .map(|entry| format!("'{}' ({})", entry.name, entry.trust.as_str()))
                .collect();
            lines.extend(snapshot.held.iter().map(|held| {
                let digits = description::fingerprint(&held.certificate);
                format!(
                    "the certificate {}... of '{}' ({})",
                    digits.get(..16).unwrap_or_default(),
                    held.name,
                    held.trust.as_ref().map_or("?", Trust::as_str)
                )
            }));
            lines.extend(snapshot.keys.iter().map(|id| format!("the key {id}")));
            lines
        };
        let (mut now, mut gone) = (listed(self), Vec::new());
        for line in listed(before) {
            match now.iter().position(|other| *other == line) {
                Some(index) => drop(now.swap_remove(index)),
                None => gone.push(format!("{line} is gone")),
            }
        }
        gone.extend(now.into_iter().map(|line| format!("{line} is there")));
        gone
    }
}

/// The id that NSS gives the key of a certificate, in hexadecimal digits; nothing for kinds of keys that are not imported.
pub(crate) fn key_id(certificate: &X509) -> Option<String> {
    let key = certificate.public_key().ok()?;
    let value = match key.id() {
        Id::RSA => key.rsa().ok()?.n().to_vec(),
        Id::EC => {
            let key = key.ec_key().ok()?;
            let mut context = BigNumContext::new().ok()?;
            key.public_key()
                .to_bytes(key.group(), PointConversionForm::UNCOMPRESSED, &mut context)
                .ok()?
        }
        _ => return None,
    };
    Some(description::hex(&sha1(&value)))
}
