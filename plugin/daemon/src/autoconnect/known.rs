//! A profile of libreswan's, as far as it is known here.

use std::sync::Arc;

use nmstate_ipsec_core::{
    networkmanager::{is_autoconnect, is_private},
    profile::{Profile, Settings, askable_secrets},
};
use tokio::time::Instant;
use zbus::zvariant::OwnedObjectPath;

use super::candidate::{Candidate, Rest, State, Wish};
use crate::{connection::Try, history::now};

/// A profile of libreswan's.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) path: OwnedObjectPath,
    pub(super) name: String,
    /// What it says, without secrets and without what NetworkManager notes there.
    pub(super) settings: Settings,
    pub(super) profile: Option<Arc<Profile>>,
    pub(super) changed: Instant,
    /// The activation that was heard of last, and since when.
    pub(super) activation: Option<(OwnedObjectPath, u64)>,
    pub(super) candidate: Candidate,
    /// When its state changed last, in microseconds since 1970.
    pub(super) told_since: u64,
}

impl Known {
    /// What there is to tell of it; nothing if it is up, or nobody wants it up.
    pub(super) fn status(&self) -> Option<Try> {
        let candidate = &self.candidate;
        let mut next = 0;
        let waits_for = match &candidate.state {
            State::Active(_) | State::Resting(Rest::Unwanted) => return None,
            State::Trying => String::new(),
            State::Waiting(until) => {
                let pause = until.saturating_duration_since(Instant::now());
                next = now().saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
                String::new()
            }
            State::Resting(Rest::Person) => format!(
                "its user: the profile or its secrets are not the system's; 'nmcli connection up {}'",
                self.name
            ),
            State::Resting(Rest::ByHand) => {
                format!("whoever took it down; 'nmcli connection up {}'", self.name)
            }
            State::Resting(Rest::Refused(text)) => format!("a change of the profile or this host: {text}"),
            State::Resting(Rest::NotReady(text)) => text.clone(),
        };
        Some(Try {
            name: self.name.clone(),
            is_to_be_up: candidate.is_to_be_up() && !matches!(candidate.state, State::Resting(Rest::ByHand)),
            failed: candidate.failed,
            next,
            waits_for,
            since: self.told_since,
        })
    }
}

/// What a profile says, without what NetworkManager notes there each time that it brings it up.
pub(super) fn without_notes(mut settings: Settings) -> Settings {
    if let Some(connection) = settings.get_mut("connection") {
        connection.remove("timestamp");
    }
    settings
}

/// What the profile wants by itself.
pub(super) fn wish(settings: &Settings) -> Wish {
    if !is_autoconnect(settings) {
        Wish::Nothing
    } else if is_private(settings) || !askable_secrets(settings).is_empty() {
        Wish::Person
    } else {
        Wish::Up
    }
}
