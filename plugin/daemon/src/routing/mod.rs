//! Rules and routes of connections that NetworkManager does not make.
//!
//! libreswan's own updown command makes all of them; ours leaves them to NetworkManager as far as that takes them,
//! and the rest is done here: the way of IKE and ESP around a virtual device when their destination is routed
//! through it (table [`TABLE`], `ip rule`), and the routes into a device or from a certain address where
//! NetworkManager takes none.

mod device;
mod netlink;

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use nmstate_ipsec_core::{
    ip_config::{Detour, KernelRoute, Routing},
    profile::Uuid,
};

pub use device::Devices;
use netlink::{Change, Selector};

/// The table with the routes to peers around their devices; libreswan's own is 50.
pub const TABLE: u32 = 4500;

/// Before the tables main and default, whose rules have 32766 and 32767.
const PRIORITY: u32 = 100;

/// What was made for each connection, so that it can be taken back.
#[derive(Debug, Default)]
pub struct Routings(Mutex<HashMap<Uuid, Routing>>);

impl Routings {
    /// Makes what the connection needs, in place of what it needed before. What is there already stays.
    ///
    /// # Errors
    /// The kernel refuses a part; the rest is made all the same.
    pub fn put(&self, uuid: &Uuid, routing: Routing) -> io::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(uuid).unwrap_or_default();
        if before != routing {
            take_back(&before, all.values());
        }
        if routing.is_empty() {
            return Ok(());
        }
        let made = make(&routing);
        all.insert(uuid.clone(), routing);
        made
    }

    /// Keeps in mind what an earlier daemon may have made for the connection.
    pub fn remember(&self, uuid: &Uuid, routing: Routing) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(uuid.clone(), routing);
    }

    /// Takes back what was made for the connection; what is gone already is no error.
    pub fn remove(&self, uuid: &Uuid) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(routing) = all.remove(uuid) {
            take_back(&routing, all.values());
        }
    }
}

fn make(routing: &Routing) -> io::Result<()> {
    let mut result = Ok(());
    if let Some(detour) = &routing.detour {
        // The route comes first: a rule without one falls through to the device.
        result = result.and(netlink::route_around(Change::Make, detour));
        for selector in selectors(detour) {
            result = result.and(netlink::rule(Change::Make, detour.peer, selector));
        }
    }
    for route in &routing.routes {
        result = result.and(netlink::route_to(Change::Make, route));
    }
    result
}

/// Takes back what none of the `others` needs. Nothing is left to try when it fails: what is missing has gone
/// with its device.
fn take_back<'a>(routing: &Routing, others: impl Iterator<Item = &'a Routing> + Clone) {
    let is_needed = |route: &KernelRoute| others.clone().any(|other| other.routes.contains(route));
    for route in routing.routes.iter().filter(|route| !is_needed(route)) {
        note(netlink::route_to(Change::TakeBack, route));
    }
    let Some(detour) = &routing.detour else { return };
    let kept: Vec<(IpAddr, Selector)> = others
        .filter_map(|other| other.detour.as_ref())
        .flat_map(|other| selectors(other).map(|selector| (other.peer, selector)))
        .collect();
    for selector in selectors(detour).filter(|selector| !kept.contains(&(detour.peer, *selector))) {
        note(netlink::rule(Change::TakeBack, detour.peer, selector));
    }
    if !kept.iter().any(|(peer, _)| *peer == detour.peer) {
        note(netlink::route_around(Change::TakeBack, detour));
    }
}

fn note(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!("a rule or route of a connection that ends is gone already: {error}");
    }
}

/// What goes around the device: packets that ESP has made, by their mark; and by their protocol IKE, which
/// libreswan 4 does not mark, and arriving ESP, which a strict reverse path filter would drop.
fn selectors(detour: &Detour) -> impl Iterator<Item = Selector> {
    [
        Selector::Mark(detour.mark, detour.mask),
        Selector::Esp,
        Selector::Udp(500),
        Selector::Udp(4500),
    ]
    .into_iter()
}
