//! `check`: what can be known to be wrong with documents without a host.
//!
//! Whatever keeps a document from being read is a finding, and so is what it would do that nobody can want: weak
//! algorithms, IKEv1, missing identities, traffic of the whole host, packets that do not fit, two documents that fight over
//! one interface, and keys that others do not know. A document with a fault is not looked at further, those beside it are.

mod algorithms;
mod authentication;
mod compatibility;
mod conf;
mod faults;
mod fights;
mod finding;
mod subject;
mod traffic;

use std::path::Path;

use nmstate_ipsec_core::connection::Subnet;

pub use finding::{Finding, Severity, Summary};

use crate::document::{self, Document, Error, InterfaceState, IpsecInterface, Source};
use fights::Fights;
use subject::Subject;

/// Checks documents, a file at a time. What it keeps of a file is what tells two documents that fight.
#[derive(Debug, Default)]
pub struct Checker {
    fights: Fights,
    conns: conf::Seen,
    pods: Vec<Subnet>,
    summary: Summary,
}

impl Checker {
    /// One that knows in which networks a cluster has its tunnels between pods.
    pub fn with_pod_networks(pods: Vec<Subnet>) -> Self {
        Self {
            pods,
            ..Self::default()
        }
    }

    /// The findings of a file, in its order; among them those that lie in what it and files before it say.
    pub fn check(&mut self, source: &Source) -> Vec<Finding> {
        if let Source::File(path) = source
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
        let count = conf::file(path, &self.pods, &mut self.conns, &mut findings);
        self.summarise(findings, count)
    }

    fn documents(&mut self, documents: &[Document], faults: Vec<Error>) -> Vec<Finding> {
        let mut findings: Vec<_> = faults.into_iter().map(faults::finding).collect();
        for document in documents {
            for interface in &document.state.ipsec {
                self::interface(&document.origin.file, interface, &self.pods, &mut findings);
            }
            self.fights.document(document, &mut findings);
        }
        self.summarise(findings, documents.len())
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

/// Looks at one interface, unless it is to go or to be left alone.
fn interface(file: &str, interface: &IpsecInterface, pods: &[Subnet], findings: &mut Vec<Finding>) {
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
        traffic::pods(&mut subject, &connection, pods);
        compatibility::libreswan(&mut subject, &connection);
    }
}

#[cfg(test)]
mod tests;
