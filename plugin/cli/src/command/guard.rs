//! `nmstate-ipsec guard`: whether a profile asks for a guard, as NetworkManager has it.
//!
//! The daemon hears of a changed profile from NetworkManager, and sets the guard or takes it away.

use nmstate_ipsec_core::{
    connection::{Family, Subnet},
    daemon_api::{AutoconnectProxy, Dictionary},
    guard,
    networkmanager::{self, SettingsConnectionProxy, SettingsProxy, is_libreswan, text},
    plan::copy,
    profile::{InvalidProfile, Profile, Settings, shown},
};
use serde_json::json;
use zbus::Connection;

use super::Fault;
use crate::args::{Guard, Switch};

/// `NM_SETTINGS_UPDATE2_FLAG_BLOCK_AUTOCONNECT`; where the profile is kept stays as it is without further flags.
const BLOCK_AUTOCONNECT: u32 = 0x20;

/// What is said on standard error before a whole host is guarded, maybe from afar.
const FOR_EVERYTHING: &str = "warning: this connection protects all addresses: while it is down nothing else leaves, \
     answers to remote logins and the local network included; 'rightsubnet' says what is to be protected";

pub(super) async fn run(arguments: &Guard) -> Result<(), Fault> {
    let bus = Connection::system().await.map_err(unanswered)?;
    let (profile, mut settings) = one(
        found(&bus, &arguments.name).await.map_err(unanswered)?,
        &arguments.name,
    )?;
    let invalid = |fault| Fault::Failed(format!("'{}': {fault}", shown(&arguments.name)));
    if let Some(switch) = arguments.switch
        && change(&mut settings, switch).map_err(invalid)?
    {
        if switch == Switch::On && is_for_everything(&settings) {
            eprintln!("{FOR_EVERYTHING}");
        }
        store(&profile, &settings).await.map_err(unanswered)?;
        see(&bus, &settings, switch == Switch::On).await?;
    }
    let is_guarded = guard::of(&settings).map_err(invalid)?;
    println!("{}", told(&settings, is_guarded, arguments.json));
    Ok(())
}

/// Has the settings say it, and tells whether that is new to them. Only a profile that can be guarded is: the daemon would
/// refuse to bring another one up.
fn change(settings: &mut Settings, switch: Switch) -> Result<bool, InvalidProfile> {
    let before = copy(settings);
    guard::set(settings, switch == Switch::On);
    if switch == Switch::On {
        Profile::from_settings(settings)?;
    }
    Ok(*settings != before)
}

/// Whether nothing is left beside what the connection protects.
fn is_for_everything(settings: &Settings) -> bool {
    let Ok(profile) = Profile::from_settings(settings) else {
        return false;
    };
    let connection = &profile.connection;
    let families = [Family::Ipv4, Family::Ipv6];
    families
        .into_iter()
        .flat_map(|family| connection.remote_subnets(family))
        .any(Subnet::is_everything)
}

/// Stores the profile with the secrets that it has: what is stored replaces all of it.
async fn store(profile: &SettingsConnectionProxy<'_>, changed: &Settings) -> zbus::Result<()> {
    let mut settings = copy(changed);
    networkmanager::fill_in_secrets(profile, &mut settings).await?;
    profile
        .update2(&settings, BLOCK_AUTOCONNECT, Dictionary::new())
        .await
        .map(drop)
}

/// Sees that the guard is in place, or has gone. The daemon, which does that, may not run yet.
async fn see(bus: &Connection, settings: &Settings, wanted: bool) -> Result<(), Fault> {
    let daemon = AutoconnectProxy::new(bus).await.map_err(unanswered)?;
    let read = daemon.read(text(settings, "connection", "uuid")).await;
    let is_in_place = read.map_err(|error| {
        Fault::failed(
            "the profile says it now, but nmstate-ipsecd, which sets guards, cannot be asked",
            error,
        )
    })?;
    if is_in_place != wanted {
        return Err(Fault::Failed(format!(
            "the profile says it now, but the guard is {}; see 'journalctl -u nmstate-ipsecd'",
            if is_in_place {
                "still in place"
            } else {
                "not in place"
            }
        )));
    }
    Ok(())
}

/// libreswan's profiles with that name or UUID, without their secrets.
async fn found(
    bus: &Connection,
    name: &str,
) -> zbus::Result<Vec<(SettingsConnectionProxy<'static>, Settings)>> {
    let mut found = Vec::new();
    for path in SettingsProxy::new(bus).await?.list_connections().await? {
        let profile: SettingsConnectionProxy<'_> = networkmanager::at(bus, path).await?;
        // It may have gone since.
        let Ok(settings) = profile.get_settings().await else {
            continue;
        };
        let is_called = |key| text(&settings, "connection", key) == name;
        if is_libreswan(&settings) && (is_called("id") || is_called("uuid")) {
            found.push((profile, settings));
        }
    }
    Ok(found)
}

/// The one that is meant.
fn one<T>(mut found: Vec<(T, Settings)>, name: &str) -> Result<(T, Settings), Fault> {
    let name = shown(name);
    match (found.pop(), found.as_slice()) {
        (Some(one), []) => Ok(one),
        (Some((_, last)), others) => {
            let all = others.iter().map(|(_, settings)| settings).chain([&last]);
            let uuids: Vec<&str> = all.map(|settings| text(settings, "connection", "uuid")).collect();
            Err(Fault::Input(format!(
                "there are several profiles called '{name}'; give one of their UUIDs: {}",
                uuids.join(", ")
            )))
        }
        (None, _) => Err(Fault::Input(format!(
            "NetworkManager has no profile '{name}' of libreswan's; see 'nmcli connection show'"
        ))),
    }
}

fn told(settings: &Settings, is_guarded: bool, json: bool) -> String {
    let part = |key| text(settings, "connection", key);
    if json {
        return json!({"name": part("id"), "uuid": part("uuid"), "guard": is_guarded}).to_string();
    }
    let word = if is_guarded { "on" } else { "off" };
    format!("{}: guard {word}", shown(part("id")))
}

fn unanswered(error: zbus::Error) -> Fault {
    Fault::failed("NetworkManager refuses, or does not answer", error)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use std::sync::{Arc, Mutex};

    use nmstate_ipsec_core::{contract::PLUGIN_NAME, networkmanager::texts};
    use tokio::net::UnixStream;
    use zbus::{
        Guid,
        connection::Builder,
        zvariant::{OwnedObjectPath, OwnedValue, Value},
    };

    use super::*;

    fn settings(right: &str) -> Settings {
        let data = HashMap::from([
            ("right".to_owned(), right.to_owned()),
            ("type".into(), "transport".into()),
        ]);
        let setting = |pairs: Vec<(&str, Value<'_>)>| -> HashMap<String, OwnedValue> {
            let pairs = pairs.into_iter();
            pairs
                .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
                .collect()
        };
        let uuid = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11";
        [
            (
                "connection".to_owned(),
                setting(vec![("id", "a".into()), ("uuid", uuid.into())]),
            ),
            (
                "vpn".to_owned(),
                setting(vec![("service-type", PLUGIN_NAME.into()), ("data", data.into())]),
            ),
        ]
        .into()
    }

    #[test]
    fn what_is_new_is_told_and_what_cannot_be_is_refused() {
        let mut host = settings("192.0.2.2");
        assert!(!change(&mut host, Switch::Off).unwrap());
        assert!(change(&mut host, Switch::On).unwrap());
        assert!(!change(&mut host, Switch::On).unwrap());
        assert_eq!(told(&host, guard::of(&host).unwrap(), false), "a: guard on");
        let for_programs: serde_json::Value = serde_json::from_str(&told(&host, true, true)).unwrap();
        assert_eq!(for_programs["guard"], true);
        assert_eq!(for_programs["uuid"], "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11");
        assert!(!is_for_everything(&host));
        let data = HashMap::from([("right".to_owned(), "192.0.2.2".to_owned())]);
        let vpn = host.get_mut("vpn").unwrap();
        vpn.insert("data".into(), Value::from(data).try_into_owned().unwrap());
        assert!(is_for_everything(&host));
        assert!(change(&mut host, Switch::Off).unwrap());
        let fault = change(&mut settings("%any"), Switch::On).unwrap_err().to_string();
        assert!(fault.contains("nmstate-ipsec.guard"), "{fault}");
    }

    #[test]
    fn one_profile_is_meant() {
        let some = |number: usize| {
            (0..number)
                .map(|_| ((), settings("192.0.2.2")))
                .collect::<Vec<_>>()
        };
        assert!(one(some(1), "a").is_ok());
        let text = |number| one(some(number), "a").unwrap_err().to_string();
        assert!(text(0).contains("no profile 'a'"));
        assert!(text(2).contains("several") && text(2).matches("6d9b2d80").count() == 2);
    }

    const PATH: &str = "/org/freedesktop/NetworkManager/Settings/1";

    /// NetworkManager with one profile, and what was stored of it.
    #[derive(Clone)]
    struct Stored(Arc<Mutex<Option<(Settings, u32)>>>);

    struct All;

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings")]
    impl All {
        fn list_connections(&self) -> Vec<OwnedObjectPath> {
            vec![PATH.try_into().unwrap()]
        }
    }

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
    impl Stored {
        fn get_settings(&self) -> Settings {
            settings("192.0.2.2")
        }

        fn get_secrets(&self, _setting: &str) -> Settings {
            let secrets = HashMap::from([("pskvalue", "open sesame")]);
            let secrets = Value::from(secrets).try_into_owned().unwrap();
            [("vpn".to_owned(), [("secrets".to_owned(), secrets)].into())].into()
        }

        fn update2(&self, settings: Settings, flags: u32, _arguments: Dictionary) -> Dictionary {
            *self.0.lock().unwrap() = Some((settings, flags));
            Dictionary::new()
        }
    }

    #[tokio::test]
    async fn the_profile_is_stored_with_its_secrets() {
        let (one_end, other_end) = UnixStream::pair().unwrap();
        let stored = Stored(Arc::default());
        let server = Builder::unix_stream(one_end)
            .server(Guid::generate())
            .unwrap()
            .p2p()
            .serve_at("/org/freedesktop/NetworkManager/Settings", All)
            .unwrap()
            .serve_at(PATH, stored.clone())
            .unwrap();
        let (server, client) = tokio::join!(server.build(), Builder::unix_stream(other_end).p2p().build());
        let (_server, client) = (server.unwrap(), client.unwrap());
        let by_uuid = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11";
        let (profile, mut settings) = one(found(&client, by_uuid).await.unwrap(), by_uuid).unwrap();
        assert!(change(&mut settings, Switch::On).unwrap());
        store(&profile, &settings).await.unwrap();
        let (stored, flags) = stored.0.lock().unwrap().take().unwrap();
        assert_eq!(flags, BLOCK_AUTOCONNECT);
        assert!(guard::of(&stored).unwrap());
        assert_eq!(
            texts(&stored, "vpn", "secrets").unwrap()["pskvalue"],
            "open sesame"
        );
        assert_eq!(texts(&stored, "vpn", "data"), texts(&settings, "vpn", "data"));
        assert!(found(&client, "another").await.unwrap().is_empty());
    }
}
