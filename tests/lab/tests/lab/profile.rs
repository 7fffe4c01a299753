//! Profiles as NetworkManager keeps them on the disk: brought up by nmcli within two seconds, and without a secret in
//! anybody's arguments. Nobody but the story brings them up.

use anyhow::{Context, Result};
use lab::world::World;

/// What right expects under every name: the ends and the ids, and the key [`lab::peer::PSK`].
pub(crate) const ENDS: &str = "left=192.0.2.251
leftid=left.example.org
right=192.0.2.252
rightid=right.example.org
leftmodecfgclient=no
ikev2=insist
";

/// A profile of the VPN service.
pub(crate) struct Profile {
    /// `connection.id`.
    pub(crate) id: &'static str,
    /// `connection.uuid`.
    pub(crate) uuid: &'static str,
    /// Further lines of the section `[vpn]`, beside [`ENDS`].
    pub(crate) data: &'static str,
    /// The pre-shared key.
    pub(crate) psk: &'static str,
}

impl Profile {
    /// Where the profile is on left.
    pub(crate) fn path(&self) -> String {
        format!("/etc/NetworkManager/system-connections/{}.nmconnection", self.id)
    }

    /// The name of its connection in pluto.
    pub(crate) fn pluto_name(&self) -> String {
        format!("{}-{}", self.id, &self.uuid[..8])
    }

    /// Gives it to left's NetworkManager, which reads it from the disk.
    pub(crate) fn load(&self, world: &World) -> Result<()> {
        let Self { id, uuid, data, psk } = self;
        let text = format!(
            "[connection]
id={id}
uuid={uuid}
type=vpn
autoconnect=false

[vpn]
service-type=org.freedesktop.NetworkManager.libreswan
{ENDS}{data}
[vpn-secrets]
pskvalue={psk}

[ipv6]
method=disabled
"
        );
        world.agent().put(&self.path(), 0o600, text.as_bytes())?;
        let load = world
            .left()
            .command(["nmcli", "connection", "load", &self.path()]);
        load.run()
            .with_context(|| format!("loading the profile {id}"))
            .map(drop)
    }
}
