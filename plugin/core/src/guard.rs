//! Whether a connection is guarded: what it encrypts is not to leave in clear, whatever becomes of it.
//!
//! NetworkManager keeps that for us in the profile's user data (`user.data`), of which it takes no notice itself and which
//! every other program leaves alone.

use std::collections::HashMap;

use zbus::zvariant::Value;

use crate::{
    connection::{Connection, Expected, Family, HostAddress, value::policy::Mark},
    networkmanager::texts,
    profile::{InvalidProfile, Settings},
};

/// The key in `user.data`. NetworkManager wants a dot in it.
pub const KEY: &str = "nmstate-ipsec.guard";

/// The annotation of a policy that says the same of all its IPsec interfaces.
pub const ANNOTATION: &str = "ipsec.nmstate.io/guard";

/// The setting and the key of it that hold user data.
const SETTING: &str = "user";
const DATA: &str = "data";

/// What a profile says; nothing is `false`.
///
/// # Errors
/// It says something else than `true` or `false`.
pub fn of(settings: &Settings) -> Result<bool, InvalidProfile> {
    match texts(settings, SETTING, DATA).and_then(|mut data| data.remove(KEY)) {
        None => Ok(false),
        Some(text) => parse(&text).ok_or_else(|| InvalidProfile::value(KEY, &text, EXPECTED)),
    }
}

const EXPECTED: Expected = Expected("true or false");

/// Reads a truth value as it is written in profiles and annotations.
pub fn parse(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Checks that it is known beforehand what a connection encrypts, so that it can be held back.
///
/// # Errors
/// The key that leaves it open.
pub fn check(connection: &Connection) -> Result<(), InvalidProfile> {
    let names_subnets = connection.rightsubnet.is_some()
        || connection.rightsubnets.is_some()
        || connection.default_remote_subnet(Family::Ipv4).is_some();
    if connection.right == HostAddress::Any && !names_subnets {
        let reason = "exclude each other: nobody knows beforehand what goes to %any; declare rightsubnet";
        return Err(InvalidProfile::conflict("right", KEY, reason));
    }
    if connection.mark == Some(Mark::Unique) {
        let reason = "exclude each other: nobody knows beforehand which packets get the mark that -1 stands for; give the mark";
        return Err(InvalidProfile::conflict("mark", KEY, reason));
    }
    Ok(())
}

/// Has a profile say whether it is guarded. That it is not is said by saying nothing; other user data stays.
pub fn set(settings: &mut Settings, is_guarded: bool) {
    let mut data = texts(settings, SETTING, DATA).unwrap_or_default();
    let before = data.clone();
    if is_guarded {
        data.insert(KEY.to_owned(), "true".to_owned());
    } else {
        data.remove(KEY);
    }
    if data == before {
        return;
    }
    put(settings, data);
}

fn put(settings: &mut Settings, data: HashMap<String, String>) {
    if data.is_empty() {
        let user = settings.get_mut(SETTING);
        if user.is_some_and(|user| user.remove(DATA).is_some() && user.is_empty()) {
            settings.remove(SETTING);
        }
    } else if let Ok(data) = Value::from(data).try_into_owned() {
        let user = settings.entry(SETTING.to_owned()).or_default();
        user.insert(DATA.to_owned(), data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::copy;

    fn with(data: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new();
        let pairs = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        put(&mut settings, pairs.collect());
        settings
    }

    #[test]
    fn true_and_false_are_all_that_can_be_said() {
        assert_eq!(of(&Settings::new()), Ok(false));
        assert_eq!(of(&with(&[("other.key", "yes")])), Ok(false));
        assert_eq!(of(&with(&[(KEY, "true")])), Ok(true));
        assert_eq!(of(&with(&[(KEY, "false")])), Ok(false));
        assert_eq!(
            of(&with(&[(KEY, "yes")])).unwrap_err().to_string(),
            "invalid value \"yes\" for key 'nmstate-ipsec.guard': expected true or false"
        );
    }

    #[test]
    fn what_cannot_be_held_back_is_refused() {
        let fault = |data: &[(&str, &str)]| {
            let data = data
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let connection = Connection::from_data(&data.collect()).unwrap();
            check(&connection).err().map(|fault| fault.to_string())
        };
        let anybody = [("right", "%any"), ("type", "transport")];
        assert!(fault(&anybody).unwrap().contains("declare rightsubnet"));
        // A tunnel is filled in to all addresses.
        assert_eq!(fault(&[("right", "%any")]), None);
        assert_eq!(fault(&[("right", "%any"), ("rightsubnet", "10.0.0.0/8")]), None);
        let marked = fault(&[("right", "192.0.2.2"), ("mark", "-1")]).unwrap();
        assert!(
            marked.starts_with("keys 'mark' and 'nmstate-ipsec.guard'"),
            "{marked}"
        );
        assert_eq!(fault(&[("right", "192.0.2.2"), ("mark", "5")]), None);
    }

    #[test]
    fn other_user_data_stays() {
        let mut settings = with(&[("other.key", "kept")]);
        let before = copy(&settings);
        set(&mut settings, true);
        assert_eq!(settings, with(&[("other.key", "kept"), (KEY, "true")]));
        set(&mut settings, false);
        assert_eq!(settings, before);
        let mut empty = Settings::new();
        set(&mut empty, true);
        set(&mut empty, false);
        assert_eq!(empty, Settings::new());
    }
}
