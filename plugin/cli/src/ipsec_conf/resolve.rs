//! Sections to connections: `also`, `alsoflip` and `conn %default`.

use std::collections::{HashMap, HashSet};

use nmstate_ipsec_core::profile::shown;

use super::{
    fault::{Place, Said},
    read::{Entries, Reader, Section},
};

/// Deepest nesting of `also`.
const MAX_DEPTH: usize = 100;

/// A section with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conn {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) entries: Entries,
    /// Whether it is but a part of others, which refer to it, and is itself never loaded: it has no `auto`.
    pub(super) is_part: bool,
}

/// The connections of what was read. What a section says itself goes before what it refers to, and that before the
/// defaults.
pub(super) fn conns(reader: &mut Reader) -> Vec<Conn> {
    let sections = std::mem::take(&mut reader.sections);
    let by_name: HashMap<&str, &Section> = sections
        .iter()
        .map(|section| (section.name.as_str(), section))
        .collect();
    let referred: HashSet<&str> = sections
        .iter()
        .flat_map(|section| section.also.iter().map(|also| also.name.as_str()))
        .collect();
    let (defaults, conns): (Vec<_>, Vec<_>) = sections.iter().partition(|section| section.name == "%default");
    let mut default_entries = Entries::new();
    for section in defaults {
        default_entries.extend(Expansion::new(&by_name, reader).of(section));
    }
    let mut found = Vec::new();
    for section in conns {
        let mut entries = Expansion::new(&by_name, reader).of(section);
        let is_part = referred.contains(section.name.as_str()) && !section.entries.contains_key("auto");
        for (key, entry) in &default_entries {
            entries.entry(key.clone()).or_insert_with(|| entry.clone());
        }
        found.push(Conn {
            name: section.name.clone(),
            place: section.place.clone(),
            entries,
            is_part,
        });
    }
    found
}

/// `key` of the other side.
pub(super) fn flipped(key: &str) -> String {
    if let Some(rest) = key.strip_prefix("left") {
        format!("right{rest}")
    } else if let Some(rest) = key.strip_prefix("right") {
        format!("left{rest}")
    } else {
        key.to_owned()
    }
}

/// One section's references being followed. Each section may be taken in once, which also bounds the work.
struct Expansion<'a> {
    by_name: &'a HashMap<&'a str, &'a Section>,
    reader: &'a mut Reader,
    taken: HashSet<&'a str>,
}

impl<'a> Expansion<'a> {
    fn new(by_name: &'a HashMap<&'a str, &'a Section>, reader: &'a mut Reader) -> Self {
        let taken = HashSet::new();
        Self {
            by_name,
            reader,
            taken,
        }
    }

    fn of(mut self, section: &'a Section) -> Entries {
        self.taken.insert(&section.name);
        self.expand(section, 0)
    }

    fn expand(&mut self, section: &'a Section, depth: usize) -> Entries {
        let mut entries = section.entries.clone();
        let mut added = Entries::new();
        for also in &section.also {
            let name = also.name.as_str();
            let Some(target) = self.by_name.get(name) else {
                self.fault(&also.place, format!("there is no section 'conn {}'", shown(name)));
                continue;
            };
            if depth >= MAX_DEPTH || !self.taken.insert(name) {
                let text = format!(
                    "section 'conn {}' is taken in twice, or takes in itself",
                    shown(name)
                );
                self.fault(&also.place, text);
                continue;
            }
            for (key, entry) in self.expand(target, depth + 1) {
                let key = if also.flips { flipped(&key) } else { key };
                if entries.contains_key(&key) {
                    continue;
                }
                match added.get(&key) {
                    Some(first) if first.value != entry.value => {
                        let text = format!("key '{key}' was taken from {} already; left out", first.place);
                        self.reader.remarks.push(Said::at(&entry.place, text));
                    }
                    Some(_) => {}
                    None => {
                        added.insert(key, entry);
                    }
                }
            }
        }
        entries.extend(added);
        entries
    }

    /// Notes a fault, once for all sections that come upon it.
    fn fault(&mut self, place: &Place, text: String) {
        let said = Said::at(place, text);
        if !self.reader.faults.contains(&said) {
            self.reader.faults.push(said);
        }
    }
}
