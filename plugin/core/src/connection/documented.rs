//! What is said of each key wherever keys are documented.
//!
//! Nothing here is written down a second time: what a key accepts are the words in which anything else is refused, and what
//! is filled in for it is found out by having connections filled in.

use std::collections::HashMap;

use super::{Connection, Family, HostAddress, KEYS, Rendering};
use crate::profile::InvalidProfile;

/// A key as it is documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// Its name in `vpn.data`.
    pub name: &'static str,
    /// An older name.
    pub alias: Option<&'static str>,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// What it accepts.
    pub accepted: &'static str,
    /// What holds where a profile does not give it.
    pub default: Missing,
    /// Whether libreswan is told of it; if not it is this project's or NetworkManager's.
    pub is_libreswans: bool,
}

/// What holds where a profile does not give a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It has to be given.
    Refused,
    /// These are filled in, each where it says; nothing if there is none, so that libreswan decides if the key is its own.
    FilledIn(Vec<FilledIn>),
}

/// A value that is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledIn {
    /// The value as displayed.
    pub value: String,
    /// For which connections, in words; empty for all.
    pub to: &'static str,
}

/// A connection that lacks most keys, to see what is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    is_v2: bool,
    is_transport: bool,
    has_left_cert: bool,
    has_right_cert: bool,
    has_left_id: bool,
}

/// Which connections something is filled in for, in words.
type Condition = (&'static str, fn(Sample) -> bool);

/// All that there are; of several that hold for the same connections the first is told.
const CONDITIONS: [Condition; 8] = [
    ("", |_| true),
    ("with IKEv1", |sample| !sample.is_v2),
    ("with IKEv2", |sample| sample.is_v2),
    ("for tunnels", |sample| !sample.is_transport),
    ("with `leftcert`", |sample| sample.has_left_cert),
    ("with `leftcert` or `rightcert`", |sample| {
        sample.has_left_cert || sample.has_right_cert
    }),
    ("with neither `leftcert` nor raw keys", |sample| {
        !sample.has_left_cert
    }),
    ("with IKEv1 and `leftid`", |sample| {
        !sample.is_v2 && sample.has_left_id
    }),
];

impl Sample {
    /// Every combination.
    fn all() -> impl Iterator<Item = Self> {
        (0_u8..32).map(|bits| Self {
            is_v2: bits & 1 != 0,
            is_transport: bits & 2 != 0,
            has_left_cert: bits & 4 != 0,
            has_right_cert: bits & 8 != 0,
            has_left_id: bits & 16 != 0,
        })
    }

    /// The keys that it gives.
    fn data(self) -> HashMap<String, String> {
        let optional = [
            (self.is_v2, "ikev2", "insist"),
            (self.is_transport, "type", "transport"),
            (self.has_left_cert, "leftcert", "left"),
            (self.has_right_cert, "rightcert", "right"),
            (self.has_left_id, "leftid", "@left"),
        ];
        let given = optional.into_iter().filter(|(is_given, ..)| *is_given);
        let given = given.map(|(_, key, value)| (key, value));
        let pairs = given.chain([("right", "192.0.2.252")]);
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// What `key` gets, and nothing if it gets nothing; no answer if the sample gives it.
    fn filled_in(self, key: &str) -> Option<Option<String>> {
        let data = self.data();
        if data.contains_key(key) {
            return None;
        }
        let connection = Connection::from_data(&data).ok()?;
        if key == "rightsubnet" {
            let families = [Family::Ipv4, Family::Ipv6];
            let of_families = families.map(|family| connection.default_remote_subnet(family));
            let texts: Vec<String> = of_families
                .into_iter()
                .flatten()
                .map(|subnet| subnet.to_string())
                .collect();
            return Some((!texts.is_empty()).then(|| texts.join(" or ")));
        }
        let mut settings = connection.settings().into_iter();
        let found = settings.find(|setting| setting.key == key);
        Some(found.map(|setting| setting.value))
    }
}

/// Every key that a profile may have, in the order in which they are documented.
pub fn documented() -> Vec<Documented> {
    let of_table = KEYS.iter().map(|key| Documented {
        name: key.name,
        alias: key.alias,
        meaning: key.meaning,
        accepted: accepted(key.name),
        default: Missing::FilledIn(filled_in(key.name)),
        is_libreswans: key.rendering != Rendering::Never,
    });
    head().into_iter().chain(of_table).collect()
}

/// The keys that are not in the table.
fn head() -> [Documented; 4] {
    let always = |value: &str| {
        Missing::FilledIn(vec![FilledIn {
            value: value.to_owned(),
            to: "",
        }])
    };
    let key = |name, meaning, accepted, default| Documented {
        name,
        alias: None,
        meaning,
        accepted,
        default,
        is_libreswans: !name.starts_with("nm-"),
    };
    [
        key(
            "left",
            "This host's address: `%defaultroute` if it is not given.",
            "an address, a host name, `%interface` or `%defaultroute`",
            always("%defaultroute"),
        ),
        key(
            "right",
            "The peer; required.",
            "an address, a host name or `%any`",
            Missing::Refused,
        ),
        key(
            "nm-auto-defaults",
            "Whether what existing profiles expect is filled in; `yes` if it is not given.",
            "yes or no",
            always("yes"),
        ),
        key(
            "nm-connect-mode",
            "Whether activation negotiates at once or when there is traffic; `up` if it is not given.",
            "up or ondemand",
            always("up"),
        ),
    ]
}

/// What a key of the table accepts, in the words in which anything else is refused: a line feed is no value of any.
fn accepted(key: &str) -> &'static str {
    let mut connection = Connection::between(HostAddress::DefaultRoute, HostAddress::Any);
    match connection.set(key, "\n") {
        Err(InvalidProfile::Value { expected, .. }) => expected,
        _ => "",
    }
}

/// The values that are filled in for a key, with the words for when.
fn filled_in(key: &str) -> Vec<FilledIn> {
    let seen: Vec<(Sample, Option<String>)> = Sample::all()
        .filter_map(|sample| Some((sample, sample.filled_in(key)?)))
        .collect();
    let mut values: Vec<&String> = seen.iter().filter_map(|(_, value)| value.as_ref()).collect();
    values.sort_unstable();
    values.dedup();
    let told = values.into_iter().map(|value| {
        let holds = |condition: &&Condition| {
            let is_told = |(sample, got): &(Sample, Option<String>)| {
                condition.1(*sample) == (got.as_ref() == Some(value))
            };
            seen.iter().all(is_told)
        };
        FilledIn {
            value: value.clone(),
            to: CONDITIONS.iter().find(holds).map_or("sometimes", |found| found.0),
        }
    });
    told.collect()
}
