//! What the user is asked when a secret is missing or was refused.

use nmstate_ipsec_core::profile::{self, SecretKey, Settings};

use crate::plugin::text;

/// A question to the user, which NetworkManager has an agent ask.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// The words.
    pub message: String,
    /// What is asked for.
    pub secrets: Vec<SecretKey>,
}

impl Question {
    /// Asks for the secrets that `settings` need and lack, if there are any.
    pub fn for_missing(settings: &Settings) -> Option<Self> {
        let secrets = profile::missing_secrets(settings);
        (!secrets.is_empty()).then(|| Self {
            message: format!(
                "The IPsec connection '{}' needs its {}.",
                text(settings, "id"),
                names(&secrets)
            ),
            secrets,
        })
    }

    /// Asks for other secrets after they were refused for the reason `why`, unless they are the system's.
    pub fn after_refusal(settings: &Settings, why: &str) -> Option<Self> {
        let secrets = profile::askable_secrets(settings);
        (!secrets.is_empty()).then(|| Self {
            message: format!(
                "The {} of the IPsec connection '{}' did not do: {why}",
                names(&secrets),
                text(settings, "id")
            ),
            secrets,
        })
    }
}

fn names(secrets: &[SecretKey]) -> String {
    let names: Vec<String> = secrets.iter().map(ToString::to_string).collect();
    names.join(" and ")
}
