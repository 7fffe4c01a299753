//! Documents that declare one interface differently for one host: whichever is applied last wins, and a cluster applies
//! them again and again.
//!
//! Interfaces of other types are no matter: nmstate merges what several documents say of them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    rc::Rc,
};

use nmstate_ipsec_core::profile::shown;

use super::{Finding, Severity};
use crate::document::{Document, GivenSecret, InterfaceState, IpsecInterface, select::HOST_NAME_LABEL};

/// A `nodeSelector`: hashes of keys and values, in the order of the former.
type Selector = [(u64, u64)];

/// What was declared so far: per name of an interface, and per host that it is for. Policies of a cluster are mostly for
/// one host each, and need be compared only with those for the same. Hashes stand for whatever may be long: ten thousand
/// policies are to fit.
#[derive(Debug, Default)]
pub(super) struct Fights {
    random: RandomState,
    seen: HashMap<u64, HashMap<Option<u64>, Vec<Seen>>>,
}

/// A declaration of an interface. A hash stands for what it says, secrets included.
#[derive(Debug)]
struct Seen {
    selector: Rc<Selector>,
    definition: u64,
    file: Rc<str>,
    line: usize,
}

/// Whether there is a host that two selectors both select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlap {
    /// There may be: none of their labels contradict.
    Possible,
    /// Every host of one is one of the other's.
    Certain,
}

impl Fights {
    /// Compares a document with those before it, and remembers it.
    pub(super) fn document(&mut self, document: &Document, findings: &mut Vec<Finding>) {
        let mut selector: Vec<_> = document
            .selector
            .iter()
            .map(|(key, value)| (self.random.hash_one(key), self.random.hash_one(value)))
            .collect();
        selector.sort_unstable();
        let selector: Rc<Selector> = selector.into();
        let host = document.selector.get(HOST_NAME_LABEL);
        let host = host.map(|name| self.random.hash_one(name));
        let file: Rc<str> = document.origin.file.as_str().into();
        for interface in &document.state.ipsec {
            if interface.state == InterfaceState::Ignore {
                continue;
            }
            let seen = Seen {
                selector: Rc::clone(&selector),
                definition: self.definition(interface),
                file: Rc::clone(&file),
                line: interface.location.line,
            };
            self.interface(interface, host, seen, findings);
        }
    }

    fn interface(
        &mut self,
        interface: &IpsecInterface,
        host: Option<u64>,
        new: Seen,
        findings: &mut Vec<Finding>,
    ) {
        let hosts = self
            .seen
            .entry(self.random.hash_one(&interface.name))
            .or_default();
        let rivals: Vec<&Seen> = match &host {
            Some(_) => [&host, &None]
                .iter()
                .filter_map(|host| hosts.get(*host))
                .flatten()
                .collect(),
            None => hosts.values().flatten().collect(),
        };
        let mut overlaps = rivals
            .into_iter()
            .filter(|rival| rival.definition != new.definition)
            .filter_map(|rival| Some((overlap(&rival.selector, &new.selector)?, rival)));
        let first = overlaps.next();
        let worst = match first {
            Some((Overlap::Possible, _)) => overlaps
                .find(|(overlap, _)| *overlap == Overlap::Certain)
                .or(first),
            _ => first,
        };
        if let Some((overlap, rival)) = worst {
            findings.push(finding(interface, &new, rival, overlap));
        }
        let of_host = hosts.entry(host).or_default();
        let is_known = of_host
            .iter()
            .any(|old| old.definition == new.definition && old.selector == new.selector);
        if !is_known {
            if of_host.is_empty() {
                // Few have more than one, and the smallest of vectors otherwise has room for four.
                of_host.reserve_exact(1);
            }
            of_host.push(new);
        }
    }

    /// A number that two interfaces have in common only if they say the same.
    fn definition(&self, interface: &IpsecInterface) -> u64 {
        let mut hasher = self.random.build_hasher();
        std::mem::discriminant(&interface.state).hash(&mut hasher);
        interface.profile_name.hash(&mut hasher);
        interface.description.hash(&mut hasher);
        for stack in [&interface.ipv4, &interface.ipv6] {
            stack
                .as_ref()
                .map(|stack| stack.value.to_string())
                .hash(&mut hasher);
        }
        for (key, value) in &interface.rest {
            (key, value.to_string()).hash(&mut hasher);
        }
        if let Some(libreswan) = &interface.libreswan {
            libreswan.data.hash(&mut hasher);
            for secret in [&libreswan.psk, &libreswan.xauth_password] {
                let secret = secret.as_ref().map(|secret| match secret {
                    GivenSecret::Keep => None,
                    GivenSecret::Set(secret) => Some(secret.expose()),
                });
                secret.hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

fn overlap(one: &Selector, other: &Selector) -> Option<Overlap> {
    let value = |key| {
        let position = other.binary_search_by_key(&key, |pair| pair.0);
        position.ok().map(|position| other[position].1)
    };
    let mut common = 0;
    for (key, wanted) in one {
        match value(*key) {
            Some(found) if found != *wanted => return None,
            Some(_) => common += 1,
            None => {}
        }
    }
    if common == one.len() || common == other.len() {
        Some(Overlap::Certain)
    } else {
        Some(Overlap::Possible)
    }
}

fn finding(interface: &IpsecInterface, new: &Seen, rival: &Seen, overlap: Overlap) -> Finding {
    let (severity, hosts) = match overlap {
        Overlap::Certain => (Severity::Error, "for hosts that both documents are for"),
        Overlap::Possible => (
            Severity::Warning,
            "and a host may have the labels that both documents are for",
        ),
    };
    let name = shown(&interface.name);
    let (file, line) = (shown(&rival.file), rival.line);
    Finding {
        code: "interface-fight",
        severity,
        file: new.file.to_string(),
        location: Some(interface.location),
        path: interface.path.clone(),
        text: format!(
            "the ipsec interface '{name}' is declared differently at {file}:{line}, {hosts}: whichever is applied last wins; keep one of them, rename one, or give their nodeSelectors different values of one label"
        ),
    }
}
