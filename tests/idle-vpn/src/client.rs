//! What is asked of NetworkManager, all at once.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::try_join_all};
use nmstate_ipsec_core::{
    networkmanager::{ManagerProxy, SettingsConnectionProxy, SettingsProxy, at, manager},
    profile::Settings,
};
use zbus::{Connection, Error, MatchRule, MessageStream, message::Type, zvariant::ObjectPath};

use crate::plugin::dictionary;

/// [`crate::plugin`], as its `.name` file calls it. The bus lets root alone own names that begin so.
const SERVICE: &str = "org.freedesktop.NetworkManager.libreswan.idle";

/// `NM_SETTINGS_ADD_CONNECTION2_FLAG_TO_DISK`
const TO_DISK: u32 = 0x1;

/// States of a VPN (`NMVpnConnectionState`).
const ACTIVATED: u32 = 5;
const DISCONNECTED: u32 = 7;

/// Signals that may wait while something else is done: a few for each connection.
const QUEUE: usize = 4096;

/// Adds the profiles and activates them, until NetworkManager has activated all.
pub(crate) async fn up(numbers: RangeInclusive<u32>) -> zbus::Result<Duration> {
    let bus = Connection::system().await?;
    let (manager, settings) = (manager(&bus).await?, SettingsProxy::new(&bus).await?);
    let (mut states, count) = (states(&bus).await?, numbers.clone().count());
    let began = Instant::now();
    let asked = try_join_all(numbers.map(|number| ask(&manager, &settings, number)));
    tokio::try_join!(asked, wait(&mut states, count, ACTIVATED))?;
    Ok(began.elapsed())
}

async fn ask(manager: &ManagerProxy<'_>, settings: &SettingsProxy<'_>, number: u32) -> zbus::Result<()> {
    let connection = dictionary([
        ("id", format!("idle{number}").into()),
        ("uuid", uuid(number).into()),
        ("type", "vpn".into()),
        ("autoconnect", false.into()),
    ])?;
    let vpn = dictionary([("service-type", SERVICE.into())])?;
    let profile: Settings = [("connection".to_owned(), connection), ("vpn".to_owned(), vpn)].into();
    let (profile, _) = settings
        .add_connection2(&profile, TO_DISK, HashMap::new())
        .await?;
    let any = ObjectPath::try_from("/")?;
    manager.activate_connection(&profile, &any, &any).await.map(drop)
}

/// Deletes the profiles, until NetworkManager has taken all down.
pub(crate) async fn remove(numbers: RangeInclusive<u32>) -> zbus::Result<Duration> {
    let bus = Connection::system().await?;
    let settings = SettingsProxy::new(&bus).await?;
    let (mut states, count) = (states(&bus).await?, numbers.clone().count());
    let began = Instant::now();
    let asked = try_join_all(numbers.map(async |number| {
        let profile = settings.get_connection_by_uuid(&uuid(number)).await?;
        let profile: SettingsConnectionProxy<'_> = at(&bus, profile).await?;
        profile.delete().await
    }));
    tokio::try_join!(asked, wait(&mut states, count, DISCONNECTED))?;
    Ok(began.elapsed())
}

fn uuid(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

/// The states of all VPN connections from now on.
async fn states(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .interface("org.freedesktop.NetworkManager.VPN.Connection")?
        .member("VpnStateChanged")?
        .build();
    MessageStream::for_match_rule(rule, bus, Some(QUEUE)).await
}

/// Waits until so many have come to the state.
async fn wait(states: &mut MessageStream, count: usize, wanted: u32) -> zbus::Result<()> {
    let mut missing = count;
    while missing > 0 {
        let change = states.next().await.ok_or(Error::InvalidReply)??;
        let (state, reason): (u32, u32) = change.body().deserialize()?;
        if state == wanted {
            missing -= 1;
        } else if state > wanted {
            return Err(Error::Failure(format!(
                "a connection came to state {state} for reason {reason}"
            )));
        }
    }
    Ok(())
}
