//! What is in the database at one time.

use std::collections::{BTreeMap, BTreeSet};

use openssl::{bn::BigNumContext, ec::PointConversionForm, pkey::Id, sha::sha1, x509::X509};

use super::{Batch, Database, Entry, batch::can_hold, listing};
use crate::{description, error::Error};

/// A certificate and the nickname that it was found under.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) certificate: X509,
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
        let is_trusted = |name: &str| self.entries_of(name).any(|entry| entry.trust.is_authority());
        let (trusted, rest): (Vec<&Named>, Vec<&Named>) =
            self.held.iter().partition(|held| is_trusted(&held.name));
        let certificates =
            |held: Vec<&Named>| held.into_iter().map(|held| held.certificate.clone()).collect();
        (certificates(trusted), certificates(rest))
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
                    "the certificate {}... of '{}'",
                    digits.get(..16).unwrap_or_default(),
                    held.name
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

impl Database {
    /// Everything, keys included.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Error> {
        let entries = self.entries().await?;
        self.complete(Snapshot {
            entries,
            ..Snapshot::default()
        })
        .await
    }

    /// The list of nicknames.
    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let listed = self.certutil("-L").run().await;
        let listed = self.succeeded("list the certificates", listed).await?;
        Ok(listing::entries(&listed.stdout))
    }

    /// The list, and the certificates of `names` as far as there are any up to the first that is missing, in one process.
    pub(crate) async fn glance(&self, names: &[&str]) -> Result<Snapshot, Error> {
        let ran = self.run(&Self::glancing(names)?).await;
        let output = match ran {
            // certutil ends at the first name that it does not find, after the list.
            Ok(output) if output.succeeded() || output.stderr.contains("ould not find cert") => output,
            other => self.succeeded("list the certificates", other).await?,
        };
        Ok(Self::glanced(&output.stdout, names))
    }

    /// The lines that print the list and the certificates of `names`.
    pub(crate) fn glancing(names: &[&str]) -> Result<Batch, Error> {
        let mut batch = Batch::default().with("-L", &[])?;
        for name in names.iter().filter(|name| can_hold(name)) {
            batch.push("-L", &["-n", name, "-a"])?;
        }
        Ok(batch)
    }

    /// What those lines have printed.
    pub(crate) fn glanced(printed: &str, names: &[&str]) -> Snapshot {
        let (rest, blocks) = listing::take_out_pem(printed);
        Snapshot {
            entries: listing::entries(&rest),
            held: attribute(&blocks, names),
            keys: BTreeSet::new(),
        }
    }

    /// Adds the certificates of all nicknames that are listed, and the keys.
    pub(crate) async fn complete(&self, mut snapshot: Snapshot) -> Result<Snapshot, Error> {
        let names: BTreeSet<&str> = snapshot.entries.iter().map(|entry| entry.name.as_str()).collect();
        // Names that certutil's reader would tear apart cannot be ours.
        let names: Vec<&str> = names.into_iter().filter(|name| can_hold(name)).collect();
        let mut batch = Batch::default();
        for name in &names {
            batch.push("-L", &["-n", name, "-a"])?;
        }
        batch.push("-K", &[])?;
        let output = match self.run(&batch).await {
            // Without any key the last line fails.
            Ok(output) if output.succeeded() || output.said().contains("no keys found") => output,
            other => {
                self.succeeded("read the certificates and the list of keys", other)
                    .await?
            }
        };
        let (rest, blocks) = listing::take_out_pem(&output.stdout);
        snapshot.held = attribute(&blocks, &names);
        snapshot.keys = listing::key_ids(&rest).into_iter().collect();
        Ok(snapshot)
    }
}

/// Says which certificate is whose. certutil prints for each name all certificates of its subject, whatever their names:
/// a new group begins with another subject, or with a certificate that the group has already.
fn attribute(blocks: &[&str], names: &[&str]) -> Vec<Named> {
    let mut groups: Vec<BTreeMap<String, X509>> = Vec::new();
    let mut subject = None;
    for block in blocks {
        let Ok(certificate) = X509::from_pem(block.as_bytes()) else {
            continue;
        };
        let (digits, whose) = (
            description::fingerprint(&certificate),
            description::subject(&certificate),
        );
        let is_new =
            subject.as_ref() != Some(&whose) || groups.last().is_none_or(|group| group.contains_key(&digits));
        if is_new {
            groups.push(BTreeMap::new());
            subject = Some(whose);
        }
        if let Some(group) = groups.last_mut() {
            group.insert(digits, certificate);
        }
    }
    let named = groups.into_iter().zip(names);
    named
        .flat_map(|(group, name)| {
            group.into_values().map(|certificate| Named {
                name: (*name).to_owned(),
                certificate,
            })
        })
        .collect()
}
