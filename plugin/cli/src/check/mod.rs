//! `check`: what can be known to be wrong with documents without a host.
//!
//! Whatever keeps a document from being read is a finding, and so is what it would do that nobody can want: weak
//! algorithms, IKEv1, missing identities, traffic of the whole host, packets that do not fit, two documents that fight over
//! one interface, and keys that others do not know. A document with a fault is not looked at further, those beside it are.

mod algorithms;
mod authentication;
mod compatibility;
mod faults;
mod fights;
mod finding;
mod subject;
mod traffic;

pub use finding::{Finding, Severity, Summary};

use crate::document::{self, Document, Error, InterfaceState, IpsecInterface, Source};
use fights::Fights;
use subject::Subject;

/// Checks documents, a file at a time. What it keeps of a file is what tells two documents that fight.
#[derive(Debug, Default)]
pub struct Checker {
    fights: Fights,
    summary: Summary,
}

impl Checker {
    /// The findings of a file, in its order; among them those that lie in what it and files before it say.
    pub fn check(&mut self, source: &Source) -> Vec<Finding> {
        let (documents, faults) = document::read_one(source);
        self.documents(&documents, faults)
    }

    /// What was looked at and found so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    fn documents(&mut self, documents: &[Document], faults: Vec<Error>) -> Vec<Finding> {
        let mut findings: Vec<_> = faults.into_iter().map(faults::finding).collect();
        for document in documents {
            for interface in &document.state.ipsec {
                self::interface(&document.origin.file, interface, &mut findings);
            }
            self.fights.document(document, &mut findings);
        }
        findings.sort_by_key(|finding| (finding.location.is_none(), finding.location, finding.code));
        self.summary.files += 1;
        self.summary.documents += documents.len();
        for finding in &findings {
            self.summary.count(finding);
        }
        findings
    }
}

/// Looks at one interface, unless it is to go or to be left alone.
fn interface(file: &str, interface: &IpsecInterface, findings: &mut Vec<Finding>) {
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
        compatibility::libreswan(&mut subject, &connection);
    }
}

#[cfg(test)]
mod tests;
