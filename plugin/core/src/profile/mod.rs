//! A profile as NetworkManager hands it over.

use std::{collections::HashMap, time::Duration};

use zbus::zvariant::OwnedValue;

mod error;
mod name;
mod settings;
mod wanted;

pub use error::{InvalidProfile, shown};
pub use name::{ConnectionId, Uuid};
pub use wanted::{SecretKey, askable_secrets, missing_secrets, needs_secrets};

use crate::{
    connection::{Connection, RsaSigKey},
    contract, guard,
    render::PlutoName,
    secret::Secrets,
};
use settings::Reader;

/// `a{sa{sv}}`: a connection's settings by setting and key.
pub type Settings = HashMap<String, HashMap<String, OwnedValue>>;

/// How long a connection may take to come up where the profile does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How addresses of one family are come by (`ipv4.method`, `ipv6.method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpMethod {
    /// `auto`: from the tunnel. NetworkManager takes this service's configuration only then.
    Auto,
    /// `disabled` or `ignore`: the family is not configured.
    Disabled,
    /// Any other method.
    Other,
}

/// A profile of the libreswan service, checked in every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `connection.id`: the name that users know; nmstate's interface name.
    pub id: ConnectionId,
    /// `connection.uuid`.
    pub uuid: Uuid,
    /// The users to whom the profile belongs (`connection.permissions`); the system's if there are none.
    pub users: Vec<String>,
    /// `ipv4.method`.
    pub ip4: IpMethod,
    /// `ipv6.method`.
    pub ip6: IpMethod,
    /// `vpn.timeout`: how long the connection may take to come up.
    pub timeout: Duration,
    /// Whether what it encrypts is to be held back whenever it would leave in clear ([`crate::guard`]).
    pub is_guarded: bool,
    /// `vpn.data`.
    pub connection: Connection,
    /// `vpn.secrets`.
    pub secrets: Secrets,
}

impl Profile {
    /// Whether the tunnel of the one is that of the other: all but the guard, which is beside it.
    pub fn has_tunnel_of(&self, other: &Self) -> bool {
        let is_guarded = self.is_guarded;
        *self
            == Self {
                is_guarded,
                ..other.clone()
            }
    }

    /// Parses a profile.
    ///
    /// # Errors
    /// The first fault, naming the key, the value unless it is a secret, and what would be right.
    pub fn from_settings(settings: &Settings) -> Result<Self, InvalidProfile> {
        let reader = Reader::new(settings);
        reader.service_type(&[contract::PLUGIN_NAME, contract::PLUGIN_ALIAS])?;
        let users = reader.users()?;
        let is_guarded = guard::of(settings)?;
        if is_guarded && !users.is_empty() {
            let reason = "exclude each other: a profile of certain users may not hold back what others send";
            return Err(InvalidProfile::conflict("permissions", guard::KEY, reason));
        }
        let connection = Connection::from_data(&reader.data()?)?;
        if is_guarded {
            guard::check(&connection)?;
        }
        Ok(Self {
            id: reader.parsed("connection", "id", "a name of printable characters")?,
            uuid: reader.parsed("connection", "uuid", "a UUID")?,
            users,
            is_guarded,
            ip4: reader.ip_method("ipv4")?,
            ip6: reader.ip_method("ipv6")?,
            timeout: reader.timeout()?.unwrap_or(DEFAULT_TIMEOUT),
            connection,
            secrets: reader.secrets()?,
        })
    }

    /// Whether the profile belongs to certain users and not to the system.
    pub fn is_private(&self) -> bool {
        !self.users.is_empty()
    }

    /// Checks that a private profile authenticates with what is its own: its author may be anybody who may add a VPN, and
    /// the host's raw and pre-shared keys are not theirs. Secrets must be there by now. Certificates are not checked:
    /// root may allow some.
    ///
    /// # Errors
    /// The key that stands for something of the host.
    pub fn check_keys(&self) -> Result<(), InvalidProfile> {
        let connection = &self.connection;
        if !self.is_private() {
            return Ok(());
        }
        if connection.leftrsasigkey.as_ref().is_some_and(RsaSigKey::is_raw) {
            return Err(InvalidProfile::conflict(
                "permissions",
                "leftrsasigkey",
                "exclude each other: the host's raw key is not for profiles of certain users",
            ));
        }
        if connection.uses_psk() && self.secrets.psk.is_none() {
            return Err(InvalidProfile::hidden(
                "pskvalue",
                "a pre-shared key of its own in a profile with connection.permissions",
            ));
        }
        if connection.uses_xauth() && self.secrets.xauth_password.is_none() {
            return Err(InvalidProfile::hidden(
                "xauthpassword",
                "a password of its own in a profile with connection.permissions",
            ));
        }
        Ok(())
    }

    /// The name of the connection in pluto.
    pub fn pluto_name(&self) -> PlutoName {
        PlutoName::new(&self.id, &self.uuid)
    }
}

#[cfg(test)]
mod tests;
