//! ipsec.conf(5), read and written: the `conn` sections that people have under /etc/ipsec.d.
//!
//! Reading goes in steps: files and their includes to sections (`read`), sections and what they refer to to
//! connections (`resolve`), connections to interfaces (`import`), and those to a document or profile. What has no
//! equivalent is never dropped in silence, and what is wrong is told with its file and line.

use std::path::Path;

use nmstate_ipsec_core::profile::{Uuid, shown};

mod export;
mod fault;
mod files;
mod import;
mod keyfile;
mod keys;
mod line;
mod read;
mod resolve;
mod yaml;

pub use export::{Unexportable, left_out, section};
pub use fault::{Place, Said};
pub use import::Imported;

use read::Reader;

/// Which connections are imported, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Only the connection of this name.
    pub name: Option<&'a str>,
    /// This host is the right side; libreswan finds that out by its addresses.
    pub is_right: bool,
}

/// What was imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// The connections, in the order of the files; at least one.
    pub connections: Vec<Imported>,
    /// What has no equivalent, and what else should be known, in the order of the files.
    pub remarks: Vec<Said>,
}

/// Imports the connections of a file and of what it includes.
///
/// # Errors
/// All faults, in the order of the files.
pub fn import(path: &Path, options: Options<'_>) -> Result<Import, Vec<Said>> {
    let mut reader = Reader::default();
    reader.file(path, None);
    import_read(reader, path, options)
}

fn import_read(mut reader: Reader, path: &Path, options: Options<'_>) -> Result<Import, Vec<Said>> {
    let conns = resolve::conns(&mut reader);
    let (mut remarks, mut faults) = (reader.remarks, reader.faults);
    let mut connections = Vec::new();
    // A line that cannot be read is missing from its connection; what else seems wrong may come of that.
    let is_readable = faults.is_empty();
    for conn in conns.iter().filter(|_| is_readable) {
        if options.name.is_some_and(|name| name != conn.name) {
            continue;
        }
        if conn.is_part && options.name.is_none() {
            let text = format!(
                "'conn {}' is a part of others, without 'auto'; not imported by itself",
                shown(&conn.name)
            );
            remarks.push(Said::at(&conn.place, text));
            continue;
        }
        if options.is_right {
            let text = format!(
                "'conn {}': left and right change places; 'left' is this host",
                shown(&conn.name)
            );
            remarks.push(Said::at(&conn.place, text));
        }
        match import::of(conn, options.is_right, &mut remarks) {
            Ok(imported) => connections.push(imported),
            Err(found) => faults.extend(found),
        }
    }
    if connections.is_empty() && faults.is_empty() {
        let file = path.display().to_string();
        faults.push(Said::at(&Place { file, line: 0 }, nothing(options.name)));
    }
    if faults.is_empty() {
        remarks.sort();
        remarks.dedup();
        Ok(Import { connections, remarks })
    } else {
        faults.sort();
        faults.dedup();
        Err(faults)
    }
}

fn nothing(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("holds no section 'conn {}'", shown(name)),
        None => "holds no section 'conn NAME' to import".into(),
    }
}

/// A desired state with all connections.
pub fn state(import: &Import) -> String {
    yaml::state(&import.connections)
}

/// Policies: one with all connections if it has a name, and else one for each, called after it.
///
/// # Errors
/// A name is none that a policy can have, or two policies would have one name.
pub fn policies(import: &Import, name: Option<&str>) -> Result<String, String> {
    if let Some(name) = name {
        if yaml::dns_label(name).as_deref() != Some(name) {
            return Err("--name: expected small letters, digits and single hyphens, at most 63".into());
        }
        return Ok(yaml::policy(name, &import.connections));
    }
    let mut names = Vec::new();
    let mut documents = Vec::new();
    for connection in &import.connections {
        let shown = shown(&connection.name);
        let name = yaml::dns_label(&connection.name)
            .ok_or_else(|| format!("no policy can be called after '{shown}'; give it a --name"))?;
        if names.contains(&name) {
            return Err(format!(
                "two policies would be called '{name}'; put all into one with --name"
            ));
        }
        documents.push(yaml::policy(&name, std::slice::from_ref(connection)));
        names.push(name);
    }
    Ok(documents.join("---\n"))
}

/// A profile of NetworkManager.
///
/// # Errors
/// There are several connections, and a profile holds one.
pub fn profile(import: &Import, uuid: &Uuid) -> Result<String, String> {
    match import.connections.as_slice() {
        [connection] => Ok(keyfile::of(connection, uuid)),
        several => {
            let names: Vec<_> = several.iter().map(|connection| shown(&connection.name)).collect();
            let count = names.len();
            Err(format!(
                "a profile holds one connection, and here are {count}; choose one with --conn: {}",
                names.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests;
