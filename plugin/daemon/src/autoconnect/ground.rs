//! What a connection can be brought up on: its names resolve, the host has its address, a route leads to the peer, and
//! NetworkManager has the device of that route up.

use std::net::IpAddr;

use nmstate_ipsec_core::{profile::Profile, render::RightEnd};

use super::candidate::{Ground, Missing};
use crate::{
    networkmanager::{ACTIVATED, base, profiles::Profiles},
    resolve,
};

/// What the connection can be brought up on now.
///
/// # Errors
/// What is missing.
pub(super) async fn look(profiles: &Profiles, profile: &Profile) -> Result<Ground, Missing> {
    let missing = |text: String| Missing {
        text,
        comes_silently: false,
    };
    let ends = resolve::ends(&profile.connection)
        .await
        .map_err(|reason| Missing {
            text: reason.to_string(),
            comes_silently: true,
        })?;
    let left = ends.left.address();
    if let Some(left) = left
        && resolve::of_host().is_ok_and(|addresses| !addresses.contains(&left))
    {
        return Err(missing(format!("this host does not have the address {left} yet")));
    }
    let RightEnd::Ip(peer) = ends.right else {
        return Ok(Ground { base: None, me: left });
    };
    let (me, device) = base::way_to(peer).ok_or_else(|| Missing {
        text: format!("no route leads to {peer} yet"),
        // Routes come without a word.
        comes_silently: true,
    })?;
    Ok(Ground {
        base: active(profiles, device.as_deref(), peer).await.map_err(missing)?,
        me: Some(me),
    })
}

/// The activation of the device; nothing if the device is not NetworkManager's, which then needs another to bring a VPN
/// up on.
async fn active(
    profiles: &Profiles,
    device: Option<&str>,
    peer: IpAddr,
) -> Result<Option<zbus::zvariant::OwnedObjectPath>, String> {
    let name = device.unwrap_or("?");
    match profiles.base(device).await.filter(|path| path.as_str() != "/") {
        Some(base) if profiles.state(&base).await == ACTIVATED => Ok(Some(base)),
        Some(_) => Err(format!(
            "NetworkManager does not have {name} up yet, which leads to {peer}"
        )),
        None if profiles.has_primary().await => Ok(None),
        None => Err(format!(
            "NetworkManager has neither a connection on {name}, which leads to {peer}, nor one with a default route"
        )),
    }
}
