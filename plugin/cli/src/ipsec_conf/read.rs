//! Files to sections: includes, sections, keys.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::profile::shown;

use super::{
    fault::{Place, Said},
    files,
    line::{self, Line},
};

/// Deepest nesting of includes.
const MAX_DEPTH: usize = 10;

/// Most files of one configuration.
const MAX_FILES: usize = 1000;

/// Most sections of one configuration.
const MAX_SECTIONS: usize = 10_000;

/// Most faults that are told at once.
const MAX_FAULTS: usize = 50;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: String,
    pub(super) place: Place,
    /// Whether an export filled it in for `nm-auto-defaults`.
    pub(super) is_filled_in: bool,
}

/// The keys of a section; a comment `# nm-key=value` is one too, `#nm-key`.
pub(super) type Entries = BTreeMap<String, Entry>;

/// A reference to another section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Also {
    pub(super) name: String,
    pub(super) place: Place,
    /// `alsoflip`: left and right change places.
    pub(super) flips: bool,
}

/// A `conn` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) entries: Entries,
    pub(super) also: Vec<Also>,
}

/// What the lines that follow belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    Skipped,
    Conn,
}

/// Reads files and gathers what is in them.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) sections: Vec<Section>,
    pub(super) remarks: Vec<Said>,
    pub(super) faults: Vec<Said>,
    /// The files that are being read, each including the next.
    open: Vec<PathBuf>,
    count: usize,
}

impl Reader {
    /// Reads a file and what it includes. `included_at` is the include that names it.
    pub(super) fn file(&mut self, path: &Path, included_at: Option<&Place>) {
        let own = Place {
            file: path.display().to_string(),
            line: 0,
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.count += 1;
        if let Some(place) = included_at {
            let named = shown(&own.file);
            if self.open.contains(&identity) {
                return self.fault(place, format!("'{named}' includes itself, by way of this line"));
            }
            if self.open.len() >= MAX_DEPTH || self.count > MAX_FILES {
                return self.fault(
                    place,
                    "files include one another more than 10 deep, or are more than 1000",
                );
            }
        }
        match files::read(path) {
            Ok(text) => {
                self.open.push(identity);
                self.text(&text, path);
                self.open.pop();
            }
            Err((0, problem)) if included_at.is_some() => {
                let place = included_at.unwrap_or(&own);
                self.fault(place, format!("'{}' {problem}", shown(&own.file)));
            }
            Err((line, problem)) => self.fault(&Place { line, ..own }, problem),
        }
    }

    /// Reads the text of a file.
    pub(super) fn text(&mut self, text: &str, path: &Path) {
        let file = path.display().to_string();
        let mut current = Current::Nothing;
        for (index, line) in text.lines().enumerate() {
            let place = Place {
                file: file.clone(),
                line: index + 1,
            };
            if self.faults.len() > MAX_FAULTS {
                return;
            }
            match line::parse(line) {
                Ok(Line::Nothing) => {}
                Ok(Line::Include(pattern)) => {
                    self.include(pattern, path, &place);
                    current = Current::Nothing;
                }
                Ok(Line::Section { kind, name }) => current = self.section(kind, name, &place),
                Ok(Line::Note { key, value }) if current == Current::Conn => {
                    self.entry(&format!("#{key}"), value, false, &place);
                }
                Ok(Line::Note { .. }) => {}
                Ok(Line::Key { .. }) if current == Current::Skipped => {}
                Ok(Line::Key {
                    name,
                    value,
                    is_filled_in,
                }) if current == Current::Conn => {
                    self.key(name, value, is_filled_in, &place);
                }
                Ok(Line::Key { .. }) => self.fault(&place, "a key without a section before it"),
                Err(_) if current == Current::Skipped && line.starts_with(char::is_whitespace) => {}
                Err(problem) => self.fault(&place, problem),
            }
        }
    }

    fn include(&mut self, pattern: &str, includer: &Path, place: &Place) {
        let directory = includer.parent().unwrap_or(Path::new(""));
        match files::matching(&directory.join(pattern)) {
            Ok(paths) => {
                for path in paths {
                    if self.faults.len() > MAX_FAULTS {
                        return;
                    }
                    self.file(&path, Some(place));
                }
            }
            Err(problem) => self.fault(place, format!("the include {problem}")),
        }
    }

    fn section(&mut self, kind: &str, name: &str, place: &Place) -> Current {
        if kind != "conn" {
            let text = format!(
                "section '{kind} {}' is not about a connection; skipped",
                shown(name)
            );
            self.remarks.push(Said::at(place, text));
            return Current::Skipped;
        }
        let first = self.sections.iter().find(|section| section.name == name);
        if let Some(first) = first.filter(|_| name != "%default") {
            let text = format!(
                "a second section 'conn {}', the first is at {}",
                shown(name),
                first.place
            );
            self.fault(place, text);
        }
        if self.sections.len() >= MAX_SECTIONS {
            // The rest is read no further: as many faults as lines would help nobody.
            self.fault(place, "the configuration has more than 10000 sections; split it");
            return Current::Skipped;
        }
        self.sections.push(Section {
            name: name.to_owned(),
            place: place.clone(),
            entries: Entries::new(),
            also: Vec::new(),
        });
        Current::Conn
    }

    fn key(&mut self, name: &str, value: &str, is_filled_in: bool, place: &Place) {
        if !matches!(name, "also" | "alsoflip") {
            return self.entry(name, value, is_filled_in, place);
        }
        if let Some(section) = self.sections.last_mut() {
            // Some write several names into one line.
            let names = value.split([',', ' ']).filter(|name| !name.is_empty());
            section.also.extend(names.map(|value| Also {
                name: value.to_owned(),
                place: place.clone(),
                flips: name == "alsoflip",
            }));
        }
    }

    /// Notes a key of the section that was begun last. An empty value is as good as no line.
    fn entry(&mut self, name: &str, value: &str, is_filled_in: bool, place: &Place) {
        let Some(section) = self.sections.last_mut().filter(|_| !value.is_empty()) else {
            return;
        };
        if let Some(first) = section.entries.get(name) {
            let key = shown(name);
            let text = format!(
                "key '{key}' is given twice, first at {}; remove one of them",
                first.place
            );
            return self.fault(place, text);
        }
        let entry = Entry {
            value: value.to_owned(),
            place: place.clone(),
            is_filled_in,
        };
        section.entries.insert(name.to_owned(), entry);
    }

    fn fault(&mut self, place: &Place, text: impl Into<String>) {
        self.faults.push(Said::at(place, text));
    }
}
