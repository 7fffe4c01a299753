//! Connections of a configuration to interfaces of a document.

use std::collections::{BTreeMap, HashMap};

use nmstate_ipsec_core::{
    connection::{Connection, IkeVersion},
    profile::{ConnectionId, InvalidProfile, shown},
};

use super::{
    fault::{Place, Said},
    keys::{self, Fate},
    read::{Entries, Entry},
    resolve::{Conn, flipped},
};

/// A connection as a document or a profile has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name of the interface and profile.
    pub name: String,
    /// Whether it is to be up: libreswan would have brought it up, or up on demand, by itself.
    pub is_up: bool,
    /// `vpn.data`, checked.
    pub data: BTreeMap<String, String>,
    /// Where the section begins.
    pub place: Place,
    /// Where the keys of `data` stand, as far as they were given.
    pub places: BTreeMap<String, Place>,
}

/// One section being read.
struct Import<'a> {
    conn: &'a Conn,
    data: BTreeMap<String, String>,
    /// Where the values of `data` come from.
    entries: HashMap<&'static str, &'a Entry>,
    /// Keys of IKEv1's extended authentication, whose worth shows when the rest is known.
    xauth: Vec<(&'a str, &'a Entry)>,
    remarks: Vec<Said>,
    faults: Vec<Said>,
}

/// Imports a connection; with `swaps` this host is its right side. Remarks are added to `remarks`.
///
/// # Errors
/// All values that are wrong by themselves, or the contradiction between them.
pub(super) fn of(conn: &Conn, swaps: bool, remarks: &mut Vec<Said>) -> Result<Imported, Vec<Said>> {
    let swapped;
    let conn = if swaps {
        swapped = Conn {
            entries: flip(&conn.entries),
            ..conn.clone()
        };
        &swapped
    } else {
        conn
    };
    let mut import = Import {
        conn,
        data: BTreeMap::new(),
        entries: HashMap::new(),
        xauth: Vec::new(),
        remarks: Vec::new(),
        faults: Vec::new(),
    };
    let name = import.name();
    let is_up = import.auto();
    import.keys();
    let connection = import.checked();
    match connection {
        Some(connection) if import.faults.is_empty() => import.whole(&connection),
        _ => {}
    }
    if !import.faults.is_empty() {
        return Err(import.faults);
    }
    remarks.append(&mut import.remarks);
    Ok(Imported {
        name,
        is_up,
        data: import.data,
        place: conn.place.clone(),
        places: import
            .entries
            .iter()
            .map(|(key, entry)| ((*key).to_owned(), entry.place.clone()))
            .collect(),
    })
}

fn flip(entries: &Entries) -> Entries {
    entries
        .iter()
        .map(|(key, entry)| (flipped(key), entry.clone()))
        .collect()
}

impl<'a> Import<'a> {
    fn remark(&mut self, place: &Place, text: impl Into<String>) {
        self.remarks.push(Said::at(place, text));
    }

    /// The section's name, or the one that did not fit there and stands in a comment.
    fn name(&mut self) -> String {
        let noted = self.conn.entries.get("#nm-name");
        let (name, place) = noted.map_or((&self.conn.name, &self.conn.place), |entry| {
            (&entry.value, &entry.place)
        });
        if let Err(expected) = name.parse::<ConnectionId>() {
            let text = format!("'{}' cannot be an interface's name: {expected}", shown(name));
            self.faults.push(Said::at(place, text));
        }
        name.clone()
    }

    /// Reads `auto`; without it libreswan does not even load the connection.
    fn auto(&mut self) -> bool {
        let conn = self.conn;
        let Some(entry) = conn.entries.get("auto") else {
            self.remark(
                &conn.place,
                "without 'auto' libreswan does not load the connection; it becomes 'state: down'",
            );
            return false;
        };
        match entry.value.as_str() {
            "start" | "up" => true,
            "ondemand" | "route" => {
                self.data.insert("nm-connect-mode".into(), "ondemand".into());
                self.entries.insert("nm-connect-mode", entry);
                true
            }
            "keep" => {
                self.remark(
                    &entry.place,
                    "'auto=keep' becomes 'state: down'; the peer may bring it up only while it is loaded",
                );
                false
            }
            "add" | "ignore" => {
                let text = format!(
                    "'auto={}' becomes 'state: down'; write 'state: up' to bring it up",
                    entry.value
                );
                self.remark(&entry.place, text);
                false
            }
            _ => {
                let text = "key 'auto': expected start, ondemand, route, add, keep or ignore";
                self.faults.push(Said::at(&entry.place, text));
                false
            }
        }
    }

    fn keys(&mut self) {
        let conn = self.conn;
        self.data.insert("nm-auto-defaults".into(), "no".into());
        for (key, entry) in &conn.entries {
            if let Some(note) = key.strip_prefix('#') {
                self.note(note, entry);
            }
        }
        let leaves_out = self
            .data
            .get("nm-auto-defaults")
            .is_some_and(|value| value != "no");
        for (key, entry) in &conn.entries {
            let is_read = key.starts_with('#') || key == "auto" || entry.is_filled_in && leaves_out;
            if !is_read {
                self.key(key, entry);
            }
        }
    }

    fn note(&mut self, note: &str, entry: &'a Entry) {
        match keys::note_key(note) {
            Some(key) => self.set(key, entry.value.clone(), entry),
            None if note == "nm-name" => {}
            None => self.remark(
                &entry.place,
                format!("the comment '{}' means nothing here", shown(note)),
            ),
        }
    }

    fn key(&mut self, key: &'a str, entry: &'a Entry) {
        match keys::fate(key, &entry.value) {
            Fate::Data(name, value) => self.set(name, value, entry),
            Fate::Nothing => {}
            Fate::Xauth => self.xauth.push((key, entry)),
            Fate::Without(reason) => {
                let text = format!("key '{}' has no equivalent and is left out: {reason}", shown(key));
                self.remarks.push(Said::left_out(&entry.place, text));
            }
            // A slip would change what is protected; libreswan refuses it as well.
            Fate::Unknown(Some(meant)) => {
                let text = format!("key '{}' is unknown; did you mean '{meant}'?", shown(key));
                self.faults.push(Said::at(&entry.place, text));
            }
            Fate::Unknown(None) => {
                let text = format!("key '{}' is unknown and is left out", shown(key));
                self.remarks.push(Said::left_out(&entry.place, text));
            }
        }
    }

    fn set(&mut self, key: &'static str, value: String, entry: &'a Entry) {
        let first = self.entries.get(key).map(|first| &first.place);
        match (first, self.data.get(key)) {
            (Some(first), Some(present)) if *present != value => {
                let (first, second) = (first.min(&entry.place), first.max(&entry.place));
                let text =
                    format!("key '{key}' is given under two names, first at {first}; remove one of them");
                self.faults.push(Said::at(second, text));
            }
            _ => {
                self.data.insert(key.to_owned(), value);
                self.entries.insert(key, entry);
            }
        }
    }

    /// The connection; without faults of its own, or nothing. All values that are wrong by themselves are noted.
    fn checked(&mut self) -> Option<Connection> {
        let mut data: HashMap<String, String> = self.data.clone().into_iter().collect();
        let mut is_whole = self.faults.is_empty();
        loop {
            let fault = match Connection::from_data(&data) {
                Ok(connection) => return Some(connection),
                Err(fault) => fault,
            };
            let key = fault.key().to_owned();
            let is_of_value = matches!(fault, InvalidProfile::Value { .. });
            if !is_of_value && !is_whole {
                return None;
            }
            is_whole = false;
            let conn = self.conn;
            let place = self
                .entries
                .get(key.as_str())
                .map_or(&conn.place, |entry| &entry.place);
            let hint = match (key.as_str(), data.get("left").map(String::as_str)) {
                ("left", Some("%any")) => "; if this host is the right side, say '--local right'",
                ("right", _) if data.get("right").is_some_and(|right| right.contains("group")) => {
                    "; groups have no equivalent, leave them to libreswan"
                }
                _ => "",
            };
            self.faults.push(Said::at(place, format!("{fault}{hint}")));
            if !is_of_value || key == "right" || data.remove(&key).is_none() {
                return None;
            }
        }
    }

    /// Says what shows only of the whole connection.
    fn whole(&mut self, connection: &Connection) {
        self.xauth(connection);
        self.authentication(connection);
    }

    fn xauth(&mut self, connection: &Connection) {
        for (key, entry) in std::mem::take(&mut self.xauth) {
            let is_done = match key {
                "aggrmode" | "aggressive" => connection.is_aggressive(),
                "rightmodecfgserver" | "modecfgpull" => {
                    connection.is_mode_config_client()
                        && (connection.uses_xauth() || connection.ike_version() == IkeVersion::V2)
                }
                _ => connection.uses_xauth(),
            };
            if !is_done {
                let text = format!(
                    "key '{key}' is left out: this is done for IKEv1 with nm-auto-defaults alone; \
                     write '# nm-auto-defaults=yes' into the section for a client of a Cisco-like gateway"
                );
                self.remark(&entry.place, text);
            }
        }
    }

    fn authentication(&mut self, connection: &Connection) {
        let conn = self.conn;
        let is_given = ["authby", "leftauth"]
            .iter()
            .any(|key| self.entries.contains_key(key));
        if !is_given && !connection.auto_defaults && connection.wants_psk() {
            // libreswan would sign with a key of its own finding, and this project would take a pre-shared key.
            let text = "this host has neither 'leftcert' nor keys, and 'authby' is not given: say how it authenticates; \
                        if it is the right side, say '--local right'";
            return self.faults.push(Said::at(&conn.place, text));
        }
        if connection.uses_psk() {
            let entry = ["authby", "leftauth"]
                .iter()
                .find_map(|key| self.entries.get(*key).copied());
            let text = "the pre-shared key is not in this file: write it as 'psk:' beside 'right:' \
                        (in a profile: pskvalue in [vpn-secrets])";
            self.remark(entry.map_or(&conn.place, |entry| &entry.place), text);
        }
        if connection.uses_xauth() {
            let text = "the password for extended authentication is not in this file: write it as 'xauthpassword:' \
                        (in a profile: in [vpn-secrets])";
            self.remark(&conn.place, text);
        }
    }
}
