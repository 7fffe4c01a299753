//! The connection that is looked at, and the noting of what is found in it.

use nmstate_ipsec_core::connection::{Connection, Family};

use super::{Finding, Severity};
use crate::document::{Given, IpsecInterface, Libreswan};

/// A connection with the places of its keys.
pub(super) struct Subject<'a> {
    pub(super) file: &'a str,
    pub(super) interface: &'a IpsecInterface,
    pub(super) libreswan: &'a Libreswan,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Subject<'_> {
    /// The connection; nothing if parts of it are yet to be filled in.
    pub(super) fn connection(&self) -> Option<Connection> {
        if self.libreswan.is_template {
            return None;
        }
        let data = self.libreswan.data.clone().into_iter().collect();
        Connection::from_data(&data).ok()
    }

    /// A key of the connection, if it was given.
    pub(super) fn given(&self, key: &str) -> Option<Given> {
        self.interface.given.get(&format!("libreswan.{key}")).copied()
    }

    /// Notes something about a key of the connection; if it is not given, about the connection.
    pub(super) fn note(&mut self, severity: Severity, code: &'static str, key: &str, text: String) {
        let given = self.given(key);
        let place = given.or_else(|| self.interface.given.get("libreswan").copied());
        let path = &self.interface.path;
        self.findings.push(Finding {
            code,
            severity,
            file: self.file.to_owned(),
            location: Some(place.map_or(self.interface.location, |given| given.at)),
            path: match given {
                Some(_) => format!("{path}.libreswan.{key}"),
                None => format!("{path}.libreswan"),
            },
            text,
        });
    }

    pub(super) fn error(&mut self, code: &'static str, key: &str, text: impl Into<String>) {
        self.note(Severity::Error, code, key, text.into());
    }

    pub(super) fn warn(&mut self, code: &'static str, key: &str, text: impl Into<String>) {
        self.note(Severity::Warning, code, key, text.into());
    }

    pub(super) fn inform(&mut self, code: &'static str, key: &str, text: impl Into<String>) {
        self.note(Severity::Info, code, key, text.into());
    }
}

/// The family of the ends; IPv4 where only resolving their names would tell.
pub(super) fn family(connection: &Connection) -> Family {
    connection.host_family().unwrap_or(Family::Ipv4)
}
