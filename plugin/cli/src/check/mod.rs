//! `check`: what can be known to be wrong with documents without a host.
//!
//! Whatever keeps a document from being read is a finding, and so is what it would do that nobody can want: weak
//! algorithms, IKEv1, missing identities, traffic of the whole host, packets that do not fit, two documents that fight over
//! one interface, and keys that others do not know. A document with a fault is not looked at further, those beside it are.

mod algorithms;
mod authentication;
mod certificate;
mod compatibility;
mod conf;
mod faults;
mod fights;
mod finding;
mod subject;
mod traffic;

use std::path::{Path, PathBuf};

use nmstate_ipsec_core::connection::Subnet;

pub use finding::{Finding, Severity, Summary};

use crate::document::{self, Document, Error, InterfaceState, IpsecInterface, Source};
use fights::Fights;
use subject::Subject;

/// What is known beside the documents.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Networks in which a cluster has its pods, or its tunnels between them.
    pub pod_networks: Vec<Subnet>,
    /// Where bundles of certificates are; beside the documents if it is not said.
    pub certs: Option<PathBuf>,
}

/// Checks documents, a file at a time. What it keeps of a file is what tells two documents that fight.
#[derive(Debug, Default)]
pub struct Checker {
    fights: Fights,
    conns: conf::Seen,
    options: Options,
    /// Where the file that is looked at is.
    beside: Option<PathBuf>,
    summary: Summary,
}

impl Checker {
    /// One that knows more than what stands in the documents.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The findings of a file, in its order; among them those that lie in what it and files before it say.
    pub fn check(&mut self, source: &Source) -> Vec<Finding> {
        let path = match source {
            Source::File(path) => Some(path),
            Source::Stdin => None,
        };
        self.beside = path.and_then(|path| path.parent()).map(Path::to_owned);
        if let Some(path) = path
            && path.extension().is_some_and(|end| end == "conf")
        {
            return self.conf(path);
        }
        let (documents, faults) = document::read_one(source);
        self.documents(&documents, faults)
    }

    /// What was looked at and found so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The findings of an ipsec.conf and of what it includes.
    fn conf(&mut self, path: &Path) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut conns = std::mem::take(&mut self.conns);
        let count = conf::file(path, &self.known(), &mut conns, &mut findings);
        self.conns = conns;
        self.summarise(findings, count)
    }

    fn documents(&mut self, documents: &[Document], faults: Vec<Error>) -> Vec<Finding> {
        let mut findings: Vec<_> = faults.into_iter().map(faults::finding).collect();
        for document in documents {
            for interface in &document.state.ipsec {
                self::interface(&document.origin.file, interface, &self.known(), &mut findings);
            }
            self.fights.document(document, &mut findings);
        }
        self.summarise(findings, documents.len())
    }

    fn known(&self) -> Known<'_> {
        Known {
            pods: &self.options.pod_networks,
            certs: self.options.certs.as_deref().or(self.beside.as_deref()),
        }
    }

    /// Puts the findings of a file into order and counts them.
    fn summarise(&mut self, mut findings: Vec<Finding>, documents: usize) -> Vec<Finding> {
        findings.sort_by_key(|finding| (finding.location.is_none(), finding.location, finding.code));
        self.summary.files += 1;
        self.summary.documents += documents;
        for finding in &findings {
            self.summary.count(finding);
        }
        findings
    }
}

/// What is known beside the document that is looked at.
#[derive(Clone, Copy)]
struct Known<'a> {
    pods: &'a [Subnet],
    /// Where its certificates are.
    certs: Option<&'a Path>,
}

/// Looks at one interface, unless it is to go or to be left alone.
fn interface(file: &str, interface: &IpsecInterface, known: &Known<'_>, findings: &mut Vec<Finding>) {
    if !matches!(interface.state, InterfaceState::Up | InterfaceState::Down) {
        return;
    }
    compatibility::ignored_keys(file, interface, findings);
    let Some(libreswan) = &interface.libreswan else {
        return;
    };
    let mut subject = Subject {
        file,
        interface,
        libreswan,
        findings,
    };
    compatibility::keys(&mut subject);
    algorithms::proposals(&mut subject);
    if let Some(connection) = subject.connection() {
        authentication::check(&mut subject, &connection);
        traffic::check(&mut subject, &connection);
        traffic::pods(&mut subject, &connection, known.pods);
        certificate::check(&mut subject, &connection, known.certs);
        compatibility::libreswan(&mut subject, &connection);
    }
}

#[cfg(test)]
mod tests;
