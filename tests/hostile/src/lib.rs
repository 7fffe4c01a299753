//! Profiles that must be refused, and odd ones that must not: one corpus for the unit tests of `plugin/core`, the lab
//! and the fuzz targets. `tests/hostile/README.md` describes the files.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is refused.
const REFUSED: &str = include_str!("../corpus/refused.json");
/// What is accepted although it looks odd.
const ACCEPTED: &str = include_str!("../corpus/accepted.json");

/// The service that the profiles are for.
pub const SERVICE: &str = "org.freedesktop.NetworkManager.libreswan";

/// A text of the corpus, written out or as a piece that is repeated.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// As it is.
    Written(String),
    /// Long.
    Repeated {
        /// The piece.
        repeat: String,
        /// How often.
        times: usize,
    },
}

/// How far a profile comes before somebody else refuses it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// NetworkManager stores it and hands it over.
    #[default]
    NetworkManager,
    /// NetworkManager would not take it; a caller of the plugin could send it.
    Plugin,
    /// D-Bus cannot carry it.
    Core,
}

/// Something else than what belongs at a place of the settings.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Nothing at all.
    Nothing,
    /// A text.
    Text,
    /// A number.
    Number,
    /// A list of texts.
    Texts,
}

/// How a profile is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The key that is named.
    pub key: String,
    /// A part of the message, such as the value in escaped form.
    pub says: String,
    /// Whether it is not for `plugin/core` to refuse it but for the daemon, which knows what root allows.
    #[serde(default)]
    pub by_daemon: bool,
}

/// What must be in the rendered configuration and secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rendered {
    /// Keys of the configuration and their values.
    #[serde(default)]
    pub conf: BTreeMap<String, String>,
    /// Whether there is a pre-shared key, which must then be the profile's, byte by byte.
    #[serde(default)]
    pub psk: bool,
}

/// A value of the settings, as D-Bus knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `s`
    Text(String),
    /// `u`
    Number(u32),
    /// `as`
    Texts(Vec<String>),
    /// `a{ss}`
    Dictionary(BTreeMap<String, String>),
}

/// Settings by name, each with its keys.
pub type Settings = BTreeMap<&'static str, BTreeMap<&'static str, Value>>;

/// One profile of the corpus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called; no two have the same name.
    pub name: String,
    /// `connection.id`, if it is not the name.
    id: Option<Text>,
    /// `connection.uuid`, if it is not one made for the case.
    uuid: Option<Text>,
    /// `connection.permissions`.
    #[serde(default)]
    permissions: Vec<String>,
    /// `vpn.data`. A peer is added unless it is mentioned.
    #[serde(default)]
    data: BTreeMap<String, Text>,
    /// `vpn.secrets`.
    #[serde(default)]
    secrets: BTreeMap<String, Text>,
    /// What else stands at places such as `vpn.data`.
    #[serde(default)]
    misshapen: BTreeMap<String, Shape>,
    /// How far it comes.
    #[serde(default)]
    pub reach: Reach,
    /// How it is refused.
    pub refused: Option<Refusal>,
    /// What comes of it.
    pub rendered: Option<Rendered>,
    #[serde(skip)]
    number: usize,
}

/// The profiles that must be refused.
#[must_use]
pub fn refused() -> Vec<Case> {
    read(REFUSED, 0)
}

/// The profiles that look odd and must be accepted.
#[must_use]
pub fn accepted() -> Vec<Case> {
    read(ACCEPTED, 0x1000)
}

fn read(json: &str, first: usize) -> Vec<Case> {
    let read: Result<Vec<Case>, _> = serde_json::from_str(json);
    let mut cases = match read {
        Ok(cases) => cases,
        Err(error) => panic!("the corpus cannot be read: {error}"),
    };
    for (case, number) in cases.iter_mut().zip(first..) {
        case.number = number;
    }
    cases
}

impl Text {
    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Written(text) => text.clone(),
            Self::Repeated { repeat, times } => repeat.repeat(*times),
        }
    }
}

impl Case {
    /// `connection.id`.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.as_ref().map_or_else(|| self.name.clone(), Text::text)
    }

    /// `connection.uuid`.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.uuid.as_ref().map_or_else(
            || format!("0bad0bad-0000-4000-8000-{:012x}", self.number),
            Text::text,
        )
    }

    /// `vpn.data`.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        let mut data = texts(&self.data);
        data.entry("right".into()).or_insert_with(|| "192.0.2.252".into());
        data
    }

    /// `vpn.secrets`.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<String, String> {
        texts(&self.secrets)
    }

    /// Whether everything in it is of its D-Bus type.
    #[must_use]
    pub fn is_well_shaped(&self) -> bool {
        self.misshapen.is_empty()
    }

    /// The profile as names and values, as the fuzz target for profiles has them: `id`, `uuid`, `permissions`,
    /// `data.<key>` and `secrets.<key>`.
    #[must_use]
    pub fn records(&self) -> Vec<(String, String)> {
        let named = |prefix: &'static str, pairs: BTreeMap<String, String>| {
            pairs
                .into_iter()
                .map(move |(key, value)| (format!("{prefix}.{key}"), value))
        };
        let mut records = vec![("id".to_owned(), self.id()), ("uuid".to_owned(), self.uuid())];
        records.extend(
            self.permissions
                .iter()
                .map(|who| ("permissions".to_owned(), who.clone())),
        );
        records.extend(named("data", self.data()));
        records.extend(named("secrets", self.secrets()));
        records
    }

    /// The profile as it travels over D-Bus.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut connection = BTreeMap::from([
            ("id", Value::Text(self.id())),
            ("uuid", Value::Text(self.uuid())),
            ("type", text("vpn")),
        ]);
        if !self.permissions.is_empty() {
            connection.insert("permissions", Value::Texts(self.permissions.clone()));
        }
        let vpn = BTreeMap::from([
            ("service-type", text(SERVICE)),
            ("data", Value::Dictionary(self.data())),
            ("secrets", Value::Dictionary(self.secrets())),
        ]);
        let mut settings = BTreeMap::from([
            ("connection", connection),
            ("vpn", vpn),
            ("ipv4", BTreeMap::from([("method", text("auto"))])),
            ("ipv6", BTreeMap::from([("method", text("disabled"))])),
        ]);
        for (place, shape) in &self.misshapen {
            misshape(&mut settings, place, *shape);
        }
        settings
    }
}

fn texts(map: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
    map.iter().map(|(key, text)| (key.clone(), text.text())).collect()
}

/// Puts something else at `place`, which is `setting.key` with names that are known here.
fn misshape(settings: &mut Settings, place: &str, shape: Shape) {
    const KEYS: [&str; 8] = [
        "id",
        "uuid",
        "permissions",
        "service-type",
        "data",
        "secrets",
        "timeout",
        "method",
    ];
    let (setting, key) = place.split_once('.').unwrap_or((place, ""));
    let key = KEYS.into_iter().find(|known| *known == key);
    let (Some(keys), Some(key)) = (settings.get_mut(setting), key) else {
        panic!("the corpus names a place that is not known: {place}");
    };
    match shape {
        Shape::Nothing => keys.remove(key),
        Shape::Text => keys.insert(key, Value::Text("right=192.0.2.252".into())),
        Shape::Number => keys.insert(key, Value::Number(7)),
        Shape::Texts => keys.insert(key, Value::Texts(vec!["right=192.0.2.252".into()])),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_says_what_is_expected_of_it_and_has_a_name_of_its_own() {
        let (refused, accepted) = (refused(), accepted());
        assert!(
            refused
                .iter()
                .all(|case| case.refused.is_some() && case.rendered.is_none())
        );
        assert!(
            accepted
                .iter()
                .all(|case| case.rendered.is_some() && case.refused.is_none())
        );
        let mut names: Vec<_> = refused.iter().chain(&accepted).map(|case| &case.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn what_d_bus_cannot_carry_goes_no_further_than_core() {
        for case in refused().iter().chain(&accepted()) {
            let texts = case.data().into_iter().chain(case.secrets());
            let mut texts: Vec<_> = texts.flat_map(|(key, value)| [key, value]).collect();
            texts.extend([case.id(), case.uuid()]);
            let has_nul = texts.iter().any(|text| text.contains('\0'));
            assert_eq!(has_nul, case.reach == Reach::Core, "{}", case.name);
        }
    }
}
