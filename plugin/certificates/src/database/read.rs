//! How a database is read: the list first, then by nickname what is in it.

use std::collections::{BTreeMap, BTreeSet};

use nmstate_ipsec_core::command::{Output, Started};
use openssl::x509::X509;

use super::{
    Batch, Database, Entry,
    batch::can_hold,
    listing, pretty,
    snapshot::{Named, Snapshot},
};
use crate::{description, error::Error};

/// What certutil says of a nickname that it does not find; all of it but the first letter, which has been of both cases.
const NOT_FOUND: &str = "ould not find cert: ";

/// A look at the list, the keys and one nickname's certificates that has begun.
pub(crate) struct Glance {
    certutil: Started,
    name: String,
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

    /// Begins to look at the list, the keys and the certificates of `name`, beside something else.
    pub(crate) async fn begin_glance(&self, name: &str) -> Result<Glance, Error> {
        let mut lines = Batch::default().with("-L", &[])?.with("-K", &[])?;
        push_names(&mut lines, &[name])?;
        let mut certutil = self.start();
        certutil.say(lines.text(&self.password_file())).await;
        let name = name.to_owned();
        Ok(Glance { certutil, name })
    }

    /// What was found, and the certificates of the nicknames `others`, as far as there are any up to the first that is
    /// missing. Also says whether that is everything.
    pub(crate) async fn glance(&self, begun: Glance, others: &[&str]) -> Result<(Snapshot, bool), Error> {
        let Glance { certutil, name } = begun;
        let names: Vec<&str> = std::iter::once(name.as_str())
            .chain(others.iter().copied())
            .collect();
        let mut lines = Batch::default();
        push_names(&mut lines, others)?;
        let output = match self.run_in(certutil, &lines).await {
            // certutil ends where there is no key, and at the first name that it does not find.
            Ok(output) if output.succeeded() || output.stderr.contains(NOT_FOUND) || has_no_keys(&output) => {
                output
            }
            other => self.succeeded("list the certificates", other).await?,
        };
        let mut found = Self::glanced(&output.stdout, &names);
        let (printed, _) = listing::take_out_pem(&output.stdout);
        found.keys = listing::key_ids(&printed).into_iter().collect();
        let is_read = |entry: &Entry| found.held.iter().any(|held| held.name == entry.name);
        let is_all =
            found.entries.len() == found.held.len() && found.entries.iter().all(is_read) && !found.is_vague();
        Ok((found, is_all))
    }

    /// The lines that print the list and the certificates of `names`.
    pub(crate) fn glancing(names: &[&str]) -> Result<Batch, Error> {
        let mut batch = Batch::default().with("-L", &[])?;
        push_names(&mut batch, names)?;
        Ok(batch)
    }

    /// What those lines have printed.
    pub(crate) fn glanced(printed: &str, names: &[&str]) -> Snapshot {
        let (rest, blocks) = listing::take_out_pem(printed);
        let mut snapshot = Snapshot {
            entries: listing::entries(&rest),
            held: attribute(&blocks, names),
            ..Snapshot::default()
        };
        snapshot.give_trusts();
        snapshot
    }

    /// Adds the certificates of all nicknames that are listed, and the keys. A nickname that certutil lists and does not
    /// find, or that its reader would tear apart, holds nothing up.
    pub(crate) async fn complete(&self, mut snapshot: Snapshot) -> Result<Snapshot, Error> {
        let names: BTreeSet<String> = snapshot.entries.iter().map(|entry| entry.name.clone()).collect();
        let (names, torn): (BTreeSet<String>, BTreeSet<String>) =
            names.into_iter().partition(|name| can_hold(name));
        let mut several = several(&snapshot);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut left = names.as_slice();
        (snapshot.unreadable, snapshot.held) = (torn, Vec::new());
        loop {
            let output = self.run(&everything(left, &several)?).await;
            let missing = output.as_ref().ok().and_then(|output| missing(output, left));
            let output = match output {
                // Without any key the line before the last fails.
                Ok(output) if output.succeeded() || missing.is_some() || has_no_keys(&output) => output,
                other => {
                    self.succeeded("read the certificates and the list of keys", other)
                        .await?
                }
            };
            let (read, rest) = left.split_at(missing.unwrap_or(left.len()));
            let (printed, blocks) = listing::take_out_pem(&output.stdout);
            snapshot.held.extend(attribute(&blocks, read));
            let Some((name, rest)) = rest.split_first() else {
                snapshot.keys = listing::key_ids(&printed).into_iter().collect();
                snapshot.give_trusts();
                pretty::give_trusts(&mut snapshot.held, &printed);
                break;
            };
            several.remove(*name);
            snapshot.unreadable.insert((*name).to_owned());
            left = rest;
        }
        snapshot.note_shadowed();
        Ok(snapshot)
    }
}

fn push_names(batch: &mut Batch, names: &[&str]) -> Result<(), Error> {
    let mut names = names.iter().filter(|name| can_hold(name));
    names.try_for_each(|name| batch.push("-L", &["-n", name, "-a"]))
}

/// The lines that print certificates, the keys, and what is to be known of the trust of those that share a name.
fn everything(names: &[&str], several: &BTreeSet<String>) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    for name in names {
        batch.push("-L", &["-n", name, "-a"])?;
    }
    for name in several {
        batch.push("-L", &["-n", name])?;
    }
    batch.push("-K", &[])?;
    Ok(batch)
}

/// The nicknames of certificates that are trusted differently.
fn several(snapshot: &Snapshot) -> BTreeSet<String> {
    let trusts = snapshot.trusts();
    let differ = trusts
        .iter()
        .filter(|(name, trusts)| can_hold(name) && trusts.iter().any(|trust| trust != &trusts[0]));
    differ.map(|(name, _)| (*name).to_owned()).collect()
}

fn has_no_keys(output: &Output) -> bool {
    output.said().contains("no keys found")
}

/// Which of `names` certutil did not find, where it ended.
fn missing(output: &Output, names: &[&str]) -> Option<usize> {
    let (_, after) = output.stderr.split_once(NOT_FOUND)?;
    let name = after.lines().next()?;
    names.iter().position(|other| *other == name)
}

/// Says which certificate is whose. certutil prints for each name all certificates of its subject, whatever their names:
/// a new group begins with another subject, or with a certificate that the group has already.
pub(super) fn attribute(blocks: &[&str], names: &[&str]) -> Vec<Named> {
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
                trust: None,
            })
        })
        .collect()
}
