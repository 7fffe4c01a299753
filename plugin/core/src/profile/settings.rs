//! Reading NetworkManager's dictionaries.

use std::{collections::HashMap, str::FromStr, time::Duration};

use zbus::zvariant::{Array, OwnedValue, Value};

use super::{InvalidProfile, IpMethod, Settings};
use crate::{
    connection::Expected,
    secret::{HIDDEN_BY_NMSTATE, Secret, Secrets},
};

/// Longest secret, in bytes.
const MAX_SECRET: usize = 4096;

/// Reads a profile's settings by their types.
pub(super) struct Reader<'a>(&'a Settings);

impl<'a> Reader<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self(settings)
    }

    /// Checks that the profile is one of `services`.
    pub(super) fn service_type(&self, services: &[&'static str]) -> Result<(), InvalidProfile> {
        let expected = services.first().copied().unwrap_or_default();
        match self.text("vpn", "service-type")? {
            Some(found) if services.contains(&found) => Ok(()),
            Some(found) => Err(InvalidProfile::other_service(expected, found)),
            None => Err(InvalidProfile::missing(
                "service-type",
                "the name of the VPN service",
            )),
        }
    }

    /// A text that must be there, parsed.
    pub(super) fn parsed<T>(
        &self,
        setting: &str,
        key: &'static str,
        expected: &'static str,
    ) -> Result<T, InvalidProfile>
    where
        T: FromStr<Err = Expected>,
    {
        let text = self
            .text(setting, key)?
            .ok_or_else(|| InvalidProfile::missing(key, expected))?;
        text.parse()
            .map_err(|expected| InvalidProfile::value(key, text, expected))
    }

    /// The users that `connection.permissions` names, each entry `user:<name>:`. One of another form names nobody who
    /// exists, and so gives no rights.
    pub(super) fn users(&self) -> Result<Vec<String>, InvalidProfile> {
        let Some(value) = self.value("connection", "permissions") else {
            return Ok(Vec::new());
        };
        let fault = || InvalidProfile::hidden("permissions", "a list of texts");
        let list = <&Array<'_>>::try_from(value).map_err(|_| fault())?;
        let user = |entry: &Value<'_>| {
            let entry = <&str>::try_from(entry).map_err(|_| fault())?;
            let name = entry.strip_prefix("user:").unwrap_or_default();
            Ok(name.split(':').next().unwrap_or_default().to_owned())
        };
        list.iter().map(user).collect()
    }

    pub(super) fn ip_method(&self, setting: &'static str) -> Result<IpMethod, InvalidProfile> {
        Ok(match self.text(setting, "method")? {
            Some("auto") => IpMethod::Auto,
            None | Some("disabled" | "ignore") => IpMethod::Disabled,
            Some(_) => IpMethod::Other,
        })
    }

    /// `vpn.timeout`, if it is given and not 0.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, InvalidProfile> {
        match self.value("vpn", "timeout") {
            None => Ok(None),
            Some(Value::U32(seconds)) => Ok((*seconds > 0).then(|| Duration::from_secs(u64::from(*seconds)))),
            Some(_) => Err(InvalidProfile::hidden("timeout", "a number of seconds")),
        }
    }

    pub(super) fn data(&self) -> Result<HashMap<String, String>, InvalidProfile> {
        self.texts("data")
    }

    pub(super) fn secrets(&self) -> Result<Secrets, InvalidProfile> {
        let mut secrets = Secrets::default();
        for (key, text) in self.texts("secrets")? {
            let secret = Secret::new(text);
            let place = match key.as_str() {
                "pskvalue" => &mut secrets.psk,
                "xauthpassword" => &mut secrets.xauth_password,
                _ => return Err(InvalidProfile::unknown(&key, None)),
            };
            if secret.expose() == HIDDEN_BY_NMSTATE {
                return Err(InvalidProfile::hidden(
                    &key,
                    "the secret itself, not what nmstate shows in its place",
                ));
            }
            if secret.expose().len() > MAX_SECRET {
                return Err(InvalidProfile::hidden(&key, "a secret of at most 4096 bytes"));
            }
            // An empty secret is what an agent without one hands over.
            *place = Some(secret).filter(|secret| !secret.is_empty());
        }
        Ok(secrets)
    }

    fn value(&self, setting: &str, key: &str) -> Option<&'a Value<'static>> {
        self.0
            .get(setting)?
            .get(key)
            .map(|value: &OwnedValue| unwrapped(value))
    }

    fn text(&self, setting: &str, key: &'static str) -> Result<Option<&'a str>, InvalidProfile> {
        match self.value(setting, key) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(InvalidProfile::hidden(key, "a text")),
        }
    }

    /// A dictionary of texts (`a{ss}`) of the setting `vpn`.
    fn texts(&self, key: &'static str) -> Result<HashMap<String, String>, InvalidProfile> {
        let fault = || InvalidProfile::hidden(key, "a dictionary of texts");
        match self.value("vpn", key) {
            None => Ok(HashMap::new()),
            Some(Value::Dict(dict)) => dict
                .iter()
                .map(|(key, value)| match (unwrapped(key), unwrapped(value)) {
                    (Value::Str(key), Value::Str(value)) => {
                        Ok((key.as_str().to_owned(), value.as_str().to_owned()))
                    }
                    _ => Err(fault()),
                })
                .collect(),
            Some(_) => Err(fault()),
        }
    }
}

/// The value inside any number of variants.
fn unwrapped<'v>(value: &'v Value<'static>) -> &'v Value<'static> {
    match value {
        Value::Value(inner) => unwrapped(inner),
        _ => value,
    }
}
