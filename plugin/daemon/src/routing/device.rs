//! The virtual devices that pluto makes for connections with `ipsec-interface`.
//!
//! pluto makes a device for the first connection that names it and takes it away after the last one. If pluto dies, the
//! device stays, and the next pluto holds it for somebody else's. One that was made for a connection of ours gets
//! [`ALIAS`], so that this daemon or the next knows that it may take it away.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use nmstate_ipsec_core::{
    connection::IpsecInterface,
    profile::{Profile, Uuid},
};

use super::netlink::ask;

/// What `ip link` shows as the alias of a device that was made for us.
const ALIAS: &str = "nmstate-ipsec";

/// The devices of our connections, whoever made them.
#[derive(Debug, Default)]
pub struct Devices(Mutex<HashMap<Uuid, Device>>);

#[derive(Debug)]
struct Device {
    name: String,
    /// Whether it was not there before pluto got the connection, and has no mark yet.
    is_new: bool,
    /// Whether the pluto that made it, if one did, can no longer take it away.
    is_abandoned: bool,
}

impl Devices {
    /// Keeps in mind which device the connection has, if it has one, and whether that is yet to be made.
    pub fn expect(&self, profile: &Profile) {
        let interface = profile.connection.ipsec_interface;
        let Some(name) = interface.and_then(IpsecInterface::device_name) else {
            return;
        };
        let mut all = self.all();
        let is_new = !path(&name).exists();
        // The next pluto takes a device that it finds for somebody else's.
        let is_abandoned = !is_new && all.get(&profile.uuid).is_some_and(|known| known.is_abandoned);
        let device = Device {
            name,
            is_new,
            is_abandoned,
        };
        all.insert(profile.uuid.clone(), device);
    }

    /// Marks a device that was made since it was expected. pluto makes it when it gets the connection (libreswan 5) or
    /// when it negotiates (4).
    ///
    /// # Errors
    /// The kernel does not take the mark.
    pub fn mark(&self, uuid: &Uuid) -> io::Result<()> {
        let mut all = self.all();
        let Some(device) = all.get_mut(uuid).filter(|device| device.is_new) else {
            return Ok(());
        };
        let mut link = LinkMessage::default();
        link.header.index = nix::net::if_::if_nametoindex(device.name.as_str())?;
        link.attributes = vec![LinkAttribute::IfAlias(ALIAS.into())];
        device.is_new = false;
        ask(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Keeps in mind that pluto, which hangs or is gone, does not take the connection's device away.
    pub fn abandon(&self, uuid: &Uuid) {
        if let Some(device) = self.all().get_mut(uuid) {
            device.is_abandoned = true;
        }
    }

    /// Forgets the device of a connection that has ended, and takes away what pluto does not, if it was made for us and
    /// no other connection of ours has it.
    ///
    /// # Errors
    /// The kernel does not remove it.
    pub fn remove(&self, uuid: &Uuid) -> io::Result<()> {
        let mut all = self.all();
        let Some(device) = all.remove(uuid) else {
            return Ok(());
        };
        let is_needed = all.values().any(|other| other.name == device.name);
        if !device.is_abandoned || is_needed || !is_ours(&device.name) {
            return Ok(());
        }
        let mut link = LinkMessage::default();
        link.header.index = nix::net::if_::if_nametoindex(device.name.as_str())?;
        ask(RouteNetlinkMessage::DelLink(link), 0)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Device>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ours(name: &str) -> bool {
    fs::read_to_string(path(name).join("ifalias")).is_ok_and(|alias| alias.trim_end() == ALIAS)
}

/// What sysfs shows of a device (`sysfs(5)`). A name cannot lead elsewhere: it is made from a number.
fn path(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}
