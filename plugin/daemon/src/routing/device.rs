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
use crate::kernel;

/// What `ip link` shows as the alias of a device that was made for us.
const ALIAS: &str = "nmstate-ipsec";

/// What sysfs shows of devices (`sysfs(5)`).
const PATH: &str = "/sys/class/net";

/// The devices of our connections, whoever made them.
#[derive(Debug, Default)]
pub struct Devices(Mutex<HashMap<Uuid, Device>>);

#[derive(Debug)]
struct Device {
    name: String,
    /// Whether it was not there before pluto got the connection, and has no mark yet.
    is_new: bool,
}

impl Devices {
    /// Keeps in mind which device the connection has, if it has one, and whether that is yet to be made. Returns the one
    /// that it had before, if that was another.
    pub fn expect(&self, profile: &Profile) -> Option<String> {
        let interface = profile.connection.ipsec_interface;
        let name = interface.and_then(IpsecInterface::device_name);
        let mut all = self.all();
        let before = all.remove(&profile.uuid).map(|device| device.name);
        if let Some(name) = name.clone() {
            let is_new = !path(&name).exists();
            all.insert(profile.uuid.clone(), Device { name, is_new });
        }
        before.filter(|before| Some(before) != name.as_ref())
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
        link.header.index = match nix::net::if_::if_nametoindex(device.name.as_str()) {
            Ok(index) => index,
            // It has gone already, or was never made.
            Err(_) => return Ok(()),
        };
        link.attributes = vec![LinkAttribute::IfAlias(ALIAS.into())];
        device.is_new = false;
        ask(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Forgets the device of a connection that has ended, and returns its name.
    pub fn forget(&self, uuid: &Uuid) -> Option<String> {
        self.all().remove(uuid).map(|device| device.name)
    }

    /// Takes a device away that was made for a connection of ours that is no more, if it is still there and nobody has
    /// it: neither another of our connections nor a policy in the kernel.
    ///
    /// # Errors
    /// The kernel does not say, or does not remove it.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let all = self.all();
        let number = name.strip_prefix("ipsec").and_then(|number| number.parse().ok());
        let is_needed = all.values().any(|other| other.name == name);
        if is_needed
            || !is_ours(name)
            || number.is_none_or(|number| kernel::has_interface(number).unwrap_or(true))
        {
            return Ok(());
        }
        let mut link = LinkMessage::default();
        link.header.index = nix::net::if_::if_nametoindex(name)?;
        ask(RouteNetlinkMessage::DelLink(link), 0)
    }

    /// The names of all devices that were made for connections of ours, of this daemon or an earlier one.
    ///
    /// # Errors
    /// sysfs cannot be read.
    pub fn made_for_us() -> io::Result<Vec<String>> {
        let names = fs::read_dir(PATH)?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| is_ours(name)).collect())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Device>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ours(name: &str) -> bool {
    fs::read_to_string(path(name).join("ifalias")).is_ok_and(|alias| alias.trim_end() == ALIAS)
}

/// What sysfs shows of a device. A name cannot lead elsewhere: it is made from a number.
fn path(name: &str) -> PathBuf {
    Path::new(PATH).join(name)
}
