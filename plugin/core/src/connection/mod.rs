//! The typed connection: every key that a profile's `vpn.data` may have.

use std::collections::HashMap;

pub mod value;

mod check;
mod defaults;
mod documented;
mod suggest;
mod table;

pub use documented::{Documented, FilledIn, Missing, documented};
pub use suggest::nearest_of;
pub use table::{Connection, KEYS, Key, Rendering, Setting};
pub use value::{
    Expected, YesNo,
    address::{Family, HostAddress, HostName, InterfaceName},
    certificate::{Nickname, RsaSigKey},
    identity::{Identity, IdentityKind},
    negotiation::{AuthBy, AuthMethod, EndAuth, IkeVersion, Proposal},
    policy::{ConnType, ConnectMode, IpsecInterface},
    protocol::ProtoPort,
    subnet::{Selector, Selectors, Subnet, Subnets},
    time::{Interval, Lifetime},
};

use crate::profile::InvalidProfile;

/// Keys that are not in the table because a connection cannot be without their values.
const HEAD_KEYS: &[&str] = &["left", "right", "nm-auto-defaults", "nm-connect-mode"];

/// Keys that are secrets and have no place in `vpn.data`.
const SECRET_KEYS: &[&str] = &["pskvalue", "xauthpassword"];

/// The name of every key that `vpn.data` may have, older names among them.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    let of_table = KEYS.iter().flat_map(|key| [Some(key.name), key.alias]);
    of_table.flatten().chain(HEAD_KEYS.iter().copied())
}

impl Connection {
    /// Parses `vpn.data`, fills in what `nm-auto-defaults` asks for, and checks the keys against one another.
    ///
    /// # Errors
    /// The first key, in alphabetical order, that is unknown, missing, of the wrong form or at odds with another.
    pub fn from_data(data: &HashMap<String, String>) -> Result<Self, InvalidProfile> {
        let text = |key: &'static str| data.get(key).map(String::as_str);
        let right = text("right").ok_or_else(|| {
            InvalidProfile::missing("right", "the IP address or host name of the peer, or %any")
        })?;
        let right = HostAddress::parse_right(right)
            .map_err(|expected| InvalidProfile::value("right", right, expected))?;
        let left = text("left").unwrap_or("%defaultroute");
        let left = HostAddress::parse_left(left)
            .map_err(|expected| InvalidProfile::value("left", left, expected))?;
        let mut connection = Self::between(left, right);
        if let Some(text) = text("nm-auto-defaults") {
            let switch: YesNo = text
                .parse()
                .map_err(|expected| InvalidProfile::value("nm-auto-defaults", text, expected))?;
            connection.auto_defaults = switch.is_yes();
        }
        if let Some(text) = text("nm-connect-mode") {
            connection.connect_mode = text
                .parse()
                .map_err(|expected| InvalidProfile::value("nm-connect-mode", text, expected))?;
        }
        let mut keys: Vec<_> = data
            .iter()
            .filter(|(key, _)| !HEAD_KEYS.contains(&key.as_str()))
            .collect();
        keys.sort_unstable();
        for (key, text) in keys {
            if SECRET_KEYS.contains(&key.as_str()) {
                return Err(InvalidProfile::misplaced_secret(key));
            }
            if !connection.set(key, text)? {
                return Err(InvalidProfile::unknown(key, suggest::nearest(key)));
            }
        }
        check::as_written(&connection)?;
        connection.fill_in();
        check::as_filled_in(&connection)?;
        Ok(connection)
    }

    /// The version of IKE; libreswan's own default is 2.
    pub fn ike_version(&self) -> IkeVersion {
        self.ikev2.unwrap_or(IkeVersion::V2)
    }

    /// The mode; libreswan's own default is a tunnel.
    pub fn conn_type(&self) -> ConnType {
        self.conn_type.unwrap_or(ConnType::Tunnel)
    }

    /// Whether this host asks the peer for an address.
    pub fn is_mode_config_client(&self) -> bool {
        self.leftmodecfgclient.is_some_and(YesNo::is_yes)
    }

    /// Whether a pre-shared key authenticates one of the ends.
    pub fn uses_psk(&self) -> bool {
        let of_both = self
            .authby
            .as_ref()
            .map(|methods| methods.contains(AuthMethod::Secret));
        let of_ends = [self.leftauth, self.rightauth];
        if of_ends.iter().any(Option::is_some) {
            return of_ends.contains(&Some(EndAuth::Secret));
        }
        of_both.unwrap_or_else(|| self.wants_psk())
    }

    /// Whether neither a certificate nor raw keys are given, so that only a pre-shared key can authenticate.
    ///
    /// This is the rule by which NetworkManager is told that secrets are needed.
    pub fn wants_psk(&self) -> bool {
        let has_keys =
            self.leftrsasigkey.is_some() && (self.rightrsasigkey.is_some() || self.rightcert.is_some());
        let is_unused = self.pskinputmodes == Some(value::policy::InputMode::Unused);
        self.leftcert.is_none() && !has_keys && !is_unused
    }

    /// Whether IKEv1's extended authentication, with user name and password, takes part.
    pub fn uses_xauth(&self) -> bool {
        self.auto_defaults && self.ike_version() == IkeVersion::V1
    }

    /// The nicknames that the connection needs in the NSS database.
    pub fn nicknames(&self) -> impl Iterator<Item = &Nickname> {
        self.leftcert.iter().chain(&self.rightcert)
    }

    /// The family that host names must resolve to, as far as the profile says.
    pub fn host_family(&self) -> Option<Family> {
        self.hostaddrfamily
            .or_else(|| self.right.family())
            .or_else(|| self.left.family())
    }

    /// This host's side of the protected traffic; empty if it is the host itself.
    pub fn local_subnets(&self) -> Vec<Subnet> {
        subnets_of(self.leftsubnet.as_ref(), self.leftsubnets.as_ref())
    }

    /// The peer's side of the protected traffic, with what `nm-auto-defaults` fills in once the family of the ends is
    /// known; empty if it is the peer itself.
    pub fn remote_subnets(&self, ends: Family) -> Vec<Subnet> {
        let given = subnets_of(self.rightsubnet.as_ref(), self.rightsubnets.as_ref());
        match self.default_remote_subnet(ends) {
            Some(everything) if given.is_empty() => vec![everything],
            _ => given,
        }
    }

    /// The `rightsubnet` that `nm-auto-defaults` fills in: everything of the clients' family.
    ///
    /// Transport mode protects the ends alone and gets none.
    pub fn default_remote_subnet(&self, ends: Family) -> Option<Subnet> {
        let family = self
            .clientaddrfamily
            .or_else(|| self.local_subnets().first().map(|subnet| subnet.family()))
            .or_else(|| self.leftsourceip.map(|address| Family::of(address.0)))
            .unwrap_or(ends);
        self.fills_in_remote_subnet().then(|| Subnet::everything(family))
    }

    /// The `leftsubnet` that an address from the peer needs where the protected traffic is of another family than the
    /// ends: everything of that family, which the peer narrows down to the address.
    pub fn default_local_subnet(&self, ends: Family) -> Option<Subnet> {
        let is_missing = self.leftsubnet.is_none() && self.leftsubnets.is_none();
        let of_remote = subnets_of(self.rightsubnet.as_ref(), self.rightsubnets.as_ref());
        let family = self
            .clientaddrfamily
            .or_else(|| of_remote.first().map(|subnet| subnet.family()))?;
        let is_wanted = is_missing && self.is_mode_config_client() && family != ends;
        is_wanted.then(|| Subnet::everything(family))
    }

    /// Whether `nm-auto-defaults` fills in a `rightsubnet`.
    fn fills_in_remote_subnet(&self) -> bool {
        let is_missing = self.rightsubnet.is_none() && self.rightsubnets.is_none();
        is_missing && self.auto_defaults && self.conn_type() == ConnType::Tunnel
    }
}

fn subnets_of(selectors: Option<&Selectors>, subnets: Option<&Subnets>) -> Vec<Subnet> {
    let of_selectors = selectors
        .into_iter()
        .flat_map(Selectors::as_slice)
        .map(|selector| selector.subnet);
    let of_subnets = subnets.into_iter().flat_map(Subnets::as_slice).copied();
    let mut all = Vec::new();
    for subnet in of_selectors.chain(of_subnets) {
        if !all.contains(&subnet) {
            all.push(subnet);
        }
    }
    all
}

#[cfg(test)]
mod tests;
