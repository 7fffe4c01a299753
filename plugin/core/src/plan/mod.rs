//! What the ipsec interfaces of a document ask of NetworkManager's profiles, as a pure function.

mod changes;

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

use crate::{
    contract,
    daemon_api::{Change, Declaration},
    guard,
    networkmanager::{is_autoconnect, is_libreswan, is_private, text, texts},
    profile::{InvalidProfile, Profile, Settings},
};

/// The key of the setting `connection` that says whether a profile is to be up by itself.
const AUTOCONNECT: &str = "autoconnect";

/// A profile as NetworkManager has it.
#[derive(Debug)]
pub struct Stored {
    /// Its settings, secrets included.
    pub settings: Settings,
    /// Whether it is active, or on its way there.
    pub is_active: bool,
}

impl Stored {
    /// `connection.uuid`.
    pub fn uuid(&self) -> String {
        text(&self.settings, "connection", "uuid").to_owned()
    }
}

/// What is to be done about one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new, and comes up.
    Create,
    /// It changes, and comes up anew.
    Modify,
    /// It changes in what is no part of the connection, which stays up.
    Store,
    /// It is as wanted, and comes up.
    Activate,
    /// It is as wanted, and up.
    Keep,
    /// It is taken down and stays.
    TakeDown,
    /// It goes.
    Remove,
}

/// What is to be done about one profile, and what it is before and afterwards.
#[derive(Debug)]
pub struct Step {
    /// The interface in the document: `connection.id`.
    pub name: String,
    /// `connection.uuid`.
    pub uuid: String,
    /// What is to be done.
    pub action: Action,
    /// The settings with secrets, if the profile is there.
    pub before: Option<Settings>,
    /// The settings with secrets, unless the profile goes.
    pub after: Option<Settings>,
    /// Whether it is active, or on its way there.
    pub was_active: bool,
}

impl Step {
    /// The step that has a profile up again as it is, whatever took it down.
    pub fn again(settings: &Settings) -> Self {
        let part = |key| text(settings, "connection", key).to_owned();
        Self {
            name: part("id"),
            uuid: part("uuid"),
            action: Action::Keep,
            before: Some(copy(settings)),
            after: Some(copy(settings)),
            was_active: true,
        }
    }

    /// The keys that differ between what the profile is and what it is to be.
    pub fn changes(&self) -> Vec<Change> {
        changes::between(self.before.as_ref(), self.after.as_ref())
    }
}

/// A declaration that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It says neither up, down nor absent.
    #[error("'{name}' is to be '{state}'; a connection can be 'up', 'down' or 'absent'")]
    State {
        /// The interface.
        name: String,
        /// What it is to be.
        state: String,
    },
    /// There is nothing that could come up.
    #[error(
        "'{name}' is to be up, but it has no section 'libreswan' and NetworkManager has no profile of that name; declare at least 'right'"
    )]
    Undefined {
        /// The interface.
        name: String,
    },
    /// A user's profile has the name.
    #[error(
        "the profile '{name}' belongs to certain users (connection.permissions) and is not the host's to change; rename one of the two"
    )]
    Private {
        /// The interface.
        name: String,
    },
    /// The connection is not valid.
    #[error("'{name}': {fault}")]
    Invalid {
        /// The interface.
        name: String,
        /// What is wrong, and what would be right.
        fault: InvalidProfile,
    },
    /// Two declarations are about one interface.
    #[error("'{name}' is declared twice")]
    Twice {
        /// The interface.
        name: String,
    },
}

/// What has to be done so that the profiles are as declared. `stored` has the best of several profiles of one name first;
/// `new_uuid` makes the UUIDs of new ones.
///
/// # Errors
/// A declaration that cannot be carried out; then nothing should be.
pub fn plan(
    declarations: &[Declaration],
    stored: &[Stored],
    mut new_uuid: impl FnMut() -> String,
) -> Result<Vec<Step>, PlanError> {
    let mut steps = Vec::new();
    for (index, declaration) in declarations.iter().enumerate() {
        let name = || declaration.name.clone();
        if declarations[..index]
            .iter()
            .any(|other| other.name == declaration.name)
        {
            return Err(PlanError::Twice { name: name() });
        }
        let known: Vec<&Stored> = stored
            .iter()
            .filter(|stored| is_of(stored, &declaration.name))
            .collect();
        match declaration.state.as_str() {
            "up" => steps.extend(up(declaration, &known, &mut new_uuid)?),
            "down" => {
                let stays = |stored: &&&Stored| stored.is_active || is_autoconnect(&stored.settings);
                steps.extend(known.iter().filter(stays).map(|stored| Step {
                    after: Some(kept_down(copy(&stored.settings))),
                    ..step(declaration, Action::TakeDown, stored)
                }));
            }
            "absent" => steps.extend(
                known
                    .iter()
                    .map(|stored| step(declaration, Action::Remove, stored)),
            ),
            state => {
                return Err(PlanError::State {
                    name: name(),
                    state: state.to_owned(),
                });
            }
        }
    }
    Ok(steps)
}

/// The settings of a connection that stays down, also after the next boot.
fn kept_down(mut settings: Settings) -> Settings {
    let connection = settings.entry("connection".to_owned()).or_default();
    insert(connection, AUTOCONNECT, Value::from(false));
    settings
}

/// Whether two profiles differ in nothing that a tunnel depends on: whether it is up by itself, and its guard.
pub fn is_same_tunnel(one: &Settings, other: &Settings) -> bool {
    let tunnel = |settings: &Settings| {
        let mut settings = copy(settings);
        guard::set(&mut settings, false);
        if let Some(connection) = settings.get_mut("connection") {
            connection.remove(AUTOCONNECT);
        }
        settings
    };
    tunnel(one) == tunnel(other)
}

/// Whether a profile stands for the interface: one of libreswan's by that name. What else bears the name is not meant.
fn is_of(stored: &Stored, name: &str) -> bool {
    is_libreswan(&stored.settings) && text(&stored.settings, "connection", "id") == name
}

/// The steps to one connection that is up as declared, under the first of its profiles; others of its name go, as they do
/// when nmstate applies.
fn up(
    declaration: &Declaration,
    known: &[&Stored],
    new_uuid: &mut impl FnMut() -> String,
) -> Result<Vec<Step>, PlanError> {
    let name = || declaration.name.clone();
    if known.iter().any(|stored| is_private(&stored.settings)) {
        return Err(PlanError::Private { name: name() });
    }
    let best = known.iter().position(|stored| stored.is_active).unwrap_or(0);
    let Some(stored) = known.get(best) else {
        if declaration.data.is_empty() {
            return Err(PlanError::Undefined { name: name() });
        }
        let uuid = new_uuid();
        let after = merge(fresh(declaration, &uuid), declaration);
        return Ok(vec![Step {
            name: name(),
            uuid,
            action: Action::Create,
            before: None,
            after: Some(valid(declaration, after)?),
            was_active: false,
        }]);
    };
    let mut after = valid(declaration, merge(copy(&stored.settings), declaration))?;
    if !is_autoconnect(&after)
        && let Some(connection) = after.get_mut("connection")
    {
        // NetworkManager leaves out what is true by default.
        connection.remove(AUTOCONNECT);
    }
    let action = match (after == stored.settings, stored.is_active) {
        (false, true) if is_same_tunnel(&stored.settings, &after) => Action::Store,
        (false, _) => Action::Modify,
        (true, false) => Action::Activate,
        (true, true) => Action::Keep,
    };
    let others = known.iter().enumerate().filter(|(index, _)| *index != best);
    let mut steps: Vec<Step> = others
        .map(|(_, other)| step(declaration, Action::Remove, other))
        .collect();
    steps.push(Step {
        after: Some(after),
        ..step(declaration, action, stored)
    });
    Ok(steps)
}

fn step(declaration: &Declaration, action: Action, stored: &Stored) -> Step {
    Step {
        name: declaration.name.clone(),
        uuid: stored.uuid(),
        action,
        before: Some(copy(&stored.settings)),
        after: (action != Action::Remove).then(|| copy(&stored.settings)),
        was_active: stored.is_active,
    }
}

/// A connection that NetworkManager's plugin would refuse is refused here, before anything is touched.
fn valid(declaration: &Declaration, settings: Settings) -> Result<Settings, PlanError> {
    match Profile::from_settings(&settings) {
        Ok(_) => Ok(settings),
        Err(fault) => Err(PlanError::Invalid {
            name: declaration.name.clone(),
            fault,
        }),
    }
}

/// What every new profile has, whatever is declared.
fn fresh(declaration: &Declaration, uuid: &str) -> Settings {
    let connection = [
        ("id", Value::from(declaration.name.as_str())),
        ("uuid", Value::from(uuid)),
        ("type", Value::from("vpn")),
        (AUTOCONNECT, Value::from(true)),
    ];
    let vpn = [("service-type", Value::from(contract::PLUGIN_NAME))];
    let disabled = || [("method", Value::from("disabled"))];
    [
        ("connection", owned(connection)),
        ("vpn", owned(vpn)),
        ("ipv4", owned(disabled())),
        ("ipv6", owned(disabled())),
    ]
    .into_iter()
    .map(|(name, keys)| (name.to_owned(), keys))
    .collect()
}

/// `settings` with what is declared in place of what was; what no document speaks of stays.
fn merge(mut settings: Settings, declaration: &Declaration) -> Settings {
    if !declaration.data.is_empty() {
        let mut secrets = declaration.secrets.clone();
        for key in &declaration.kept_secrets {
            if let Some(kept) = secret(&settings, key) {
                secrets.insert(key.clone(), kept);
            }
        }
        let vpn = settings.entry("vpn".to_owned()).or_default();
        insert(vpn, "data", Value::from(declaration.data.clone()));
        vpn.remove("secrets");
        if !secrets.is_empty() {
            insert(vpn, "secrets", Value::from(secrets));
        }
    }
    for (name, method) in [
        ("ipv4", &declaration.ip4_method),
        ("ipv6", &declaration.ip6_method),
    ] {
        if !method.is_empty() && text(&settings, name, "method") != method {
            insert(
                settings.entry(name.to_owned()).or_default(),
                "method",
                Value::from(method.as_str()),
            );
        }
    }
    if let Some(is_guarded) = guard::parse(&declaration.guard) {
        guard::set(&mut settings, is_guarded);
    }
    settings
}

fn secret(settings: &Settings, key: &str) -> Option<String> {
    texts(settings, "vpn", "secrets")?.remove(key)
}

/// A copy; values that hold file descriptors do not occur in profiles and are left out.
pub fn copy(settings: &Settings) -> Settings {
    let keys = |keys: &HashMap<String, OwnedValue>| {
        let pairs = keys.iter();
        pairs
            .filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)))
            .collect()
    };
    settings
        .iter()
        .map(|(name, of)| (name.clone(), keys(of)))
        .collect()
}

fn owned<const N: usize>(pairs: [(&str, Value<'_>); N]) -> HashMap<String, OwnedValue> {
    let mut keys = HashMap::new();
    for (key, value) in pairs {
        insert(&mut keys, key, value);
    }
    keys
}

/// Inserts a value; only one with a file descriptor could not be owned.
fn insert(keys: &mut HashMap<String, OwnedValue>, key: &str, value: Value<'_>) {
    if let Ok(value) = value.try_into_owned() {
        keys.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
