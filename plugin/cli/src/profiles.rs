//! NetworkManager's profiles of libreswan's (`org.freedesktop.NetworkManager.Settings(5)`), without their secrets.

use nmstate_ipsec_core::{
    networkmanager::{
        self, SettingsConnectionProxy, SettingsProxy, is_autoconnect, is_libreswan, text, texts,
    },
    profile::Settings,
};
use zbus::Connection;

use crate::document::{InterfaceState, IpsecInterface, Libreswan, Location};

/// All profiles of libreswan's.
///
/// # Errors
/// NetworkManager does not answer.
pub(crate) async fn all(bus: &Connection) -> zbus::Result<Vec<Settings>> {
    let mut found = Vec::new();
    for path in SettingsProxy::new(bus).await?.list_connections().await? {
        let profile: SettingsConnectionProxy<'_> = networkmanager::at(bus, path).await?;
        // It may have gone since.
        found.extend(profile.get_settings().await.ok().filter(is_libreswan));
    }
    Ok(found)
}

/// Those with that name.
///
/// # Errors
/// NetworkManager does not answer.
pub(crate) async fn named(bus: &Connection, name: &str) -> zbus::Result<Vec<Settings>> {
    let mut found = all(bus).await?;
    found.retain(|settings| text(settings, "connection", "id") == name);
    Ok(found)
}

/// The interface that a document would declare for the profile to be as it is.
pub(crate) fn interface(settings: &Settings) -> IpsecInterface {
    let data = texts(settings, "vpn", "data");
    let is_up = is_autoconnect(settings);
    let name = text(settings, "connection", "id");
    IpsecInterface {
        name: name.to_owned(),
        state: if is_up {
            InterfaceState::Up
        } else {
            InterfaceState::Down
        },
        profile_name: None,
        description: None,
        ipv4: None,
        ipv6: None,
        libreswan: Some(Libreswan {
            data: data.unwrap_or_default().into_iter().collect(),
            ..Libreswan::default()
        }),
        rest: serde_json::Map::new(),
        location: Location { line: 1, column: 1 },
        path: format!("the profile '{name}'"),
        given: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use nmstate_ipsec_core::contract::PLUGIN_NAME;
    use tokio::net::UnixStream;
    use zbus::{
        Guid,
        connection::Builder,
        zvariant::{OwnedObjectPath, Value},
    };

    use super::*;
    use crate::ipsec_conf;

    /// NetworkManager with these profiles.
    struct NetworkManager(usize);

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings")]
    impl NetworkManager {
        fn list_connections(&self) -> Vec<OwnedObjectPath> {
            (0..self.0)
                .map(|number| path(number).try_into().unwrap())
                .collect()
        }
    }

    struct Profile(Settings);

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
    impl Profile {
        fn get_settings(&self) -> Settings {
            self.0
                .iter()
                .map(|(name, keys)| (name.clone(), copy(keys)))
                .collect()
        }
    }

    fn path(number: usize) -> String {
        format!("/org/freedesktop/NetworkManager/Settings/{number}")
    }

    fn copy(
        keys: &HashMap<String, zbus::zvariant::OwnedValue>,
    ) -> HashMap<String, zbus::zvariant::OwnedValue> {
        let keys = keys.iter();
        keys.map(|(key, value)| (key.clone(), value.try_clone().unwrap()))
            .collect()
    }

    fn profile(id: &str, service: &str, autoconnect: bool) -> Settings {
        let data: HashMap<String, String> = [
            ("left", "192.0.2.251"),
            ("right", "192.0.2.252"),
            ("ikev2", "insist"),
            ("rightsubnet", "198.51.100.0/24"),
            ("leftcert", "left_server"),
            ("nm-auto-defaults", "no"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let setting = |keys: Vec<(&str, Value<'_>)>| {
            let keys = keys.into_iter();
            keys.map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
                .collect()
        };
        [
            (
                "connection".to_owned(),
                setting(vec![("id", id.into()), ("autoconnect", autoconnect.into())]),
            ),
            (
                "vpn".to_owned(),
                setting(vec![("service-type", service.into()), ("data", data.into())]),
            ),
        ]
        .into()
    }

    #[tokio::test]
    async fn a_profile_is_found_by_name_and_kind_and_becomes_a_section() {
        let (one, other) = UnixStream::pair().unwrap();
        let mut server = Builder::unix_stream(one).server(Guid::generate()).unwrap().p2p();
        let profiles = [
            profile("hosta_conn", "org.freedesktop.NetworkManager.openvpn", true),
            profile("other", PLUGIN_NAME, true),
            profile("hosta_conn", PLUGIN_NAME, false),
        ];
        server = server
            .serve_at(
                "/org/freedesktop/NetworkManager/Settings",
                NetworkManager(profiles.len() + 1),
            )
            .unwrap();
        // The last one that is listed has gone.
        for (number, profile) in profiles.into_iter().enumerate() {
            server = server.serve_at(path(number), Profile(profile)).unwrap();
        }
        let (server, client) = tokio::join!(server.build(), Builder::unix_stream(other).p2p().build());
        let (_server, client) = (server.unwrap(), client.unwrap());
        let found = named(&client, "hosta_conn").await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            ipsec_conf::section(&interface(&found[0])).unwrap(),
            "conn hosta_conn\n\t# nm-auto-defaults=no\n\tauto=add\n\tleft=\"192.0.2.251\"\n\tright=\"192.0.2.252\"\n\
             \tikev2=\"insist\"\n\tleftcert=\"left_server\"\n\trightsubnet=\"198.51.100.0/24\"\n"
        );
        assert!(named(&client, "nobody").await.unwrap().is_empty());
    }

    #[test]
    fn a_profile_without_a_valid_connection_is_no_section() {
        let mut settings = profile("a", PLUGIN_NAME, true);
        settings.get_mut("vpn").unwrap().remove("data");
        let error = ipsec_conf::section(&interface(&settings)).unwrap_err();
        assert!(error.to_string().contains("'right'"), "{error}");
    }
}
