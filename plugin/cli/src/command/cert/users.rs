//! Who uses a certificate: the profiles of NetworkManager's libreswan service that name it.

use std::time::Duration;

use nmstate_ipsec_certificates::{
    description::Description,
    judge::{self, Finding},
};
use nmstate_ipsec_core::{
    connection::Connection as Declared,
    networkmanager::{self, text, texts},
    profile::Settings,
};
use tokio::time::timeout;
use zbus::{Connection, fdo::DBusProxy, names::BusName};

use crate::profiles;

/// How long NetworkManager may take to say what it has.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Who uses which certificate, or why that is not known.
pub(super) enum Users {
    Known(Vec<User>),
    Unknown(String),
}

/// A profile that names certificates.
pub(super) struct User {
    id: String,
    left: Option<String>,
    right: Option<String>,
    /// The connection, if all of it is valid.
    declared: Option<Declared>,
}

impl Users {
    /// Names of the profiles that use `nickname`.
    pub(super) fn of(&self, nickname: &str) -> Vec<String> {
        let Self::Known(users) = self else {
            return Vec::new();
        };
        let names = |user: &&User| {
            [&user.left, &user.right]
                .into_iter()
                .flatten()
                .any(|name| name == nickname)
        };
        users.iter().filter(names).map(|user| user.id.clone()).collect()
    }

    pub(super) fn are_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub(super) fn say_if_unknown(&self) {
        if let Self::Unknown(why) = self {
            eprintln!("warning: which connections use a certificate is not known: {why}");
        }
    }

    /// What is to be said of the names in a certificate that these use as theirs.
    pub(super) fn identity_findings(&self, nickname: &str, certificate: &Description) -> Vec<Finding> {
        let Self::Known(users) = self else {
            return Vec::new();
        };
        let showing = users.iter().filter(|user| user.left.as_deref() == Some(nickname));
        showing
            .filter_map(|user| {
                let declared = user.declared.as_ref()?;
                judge::identity(certificate, &user.id, &declared.left, declared.leftid.as_ref())
            })
            .collect()
    }
}

/// Asks this host's NetworkManager, if there is one. It is not started for that.
pub(super) async fn of_this_host() -> Users {
    let asked = async {
        let bus = Connection::system().await?;
        let name = BusName::try_from(networkmanager::NAME)?;
        if !DBusProxy::new(&bus).await?.name_has_owner(name).await? {
            return Ok(Users::Unknown("NetworkManager is not running".to_owned()));
        }
        of(&bus).await.map(Users::Known)
    };
    match timeout(TIME_OUT, asked).await {
        Ok(Ok(users)) => users,
        Ok(Err::<_, zbus::Error>(error)) => {
            Users::Unknown(format!("NetworkManager cannot be asked: {error}"))
        }
        Err(_) => Users::Unknown(format!(
            "NetworkManager has not answered for {} s",
            TIME_OUT.as_secs()
        )),
    }
}

/// Every profile of the libreswan service that names certificates.
async fn of(bus: &Connection) -> zbus::Result<Vec<User>> {
    Ok(profiles::all(bus).await?.iter().filter_map(user).collect())
}

fn user(settings: &Settings) -> Option<User> {
    let data = texts(settings, "vpn", "data")?;
    Some(User {
        id: text(settings, "connection", "id").to_owned(),
        left: data.get("leftcert").cloned(),
        right: data.get("rightcert").cloned(),
        declared: Declared::from_data(&data).ok(),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, os::unix::net::UnixStream};

    use nmstate_ipsec_core::contract::PLUGIN_NAME;
    use zbus::{
        connection::Builder,
        zvariant::{OwnedObjectPath, Value},
    };

    use super::*;

    struct FakeSettings;

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings")]
    impl FakeSettings {
        fn list_connections(&self) -> Vec<OwnedObjectPath> {
            let path = |name: &str| OwnedObjectPath::try_from(format!("/profile/{name}")).unwrap();
            vec![path("vpn"), path("gone"), path("wired")]
        }
    }

    struct FakeProfile(Vec<(&'static str, &'static str, Value<'static>)>);

    #[zbus::interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
    impl FakeProfile {
        fn get_settings(&self) -> Settings {
            let mut settings = Settings::new();
            for (setting, key, value) in &self.0 {
                let value = value.try_to_owned().unwrap();
                settings
                    .entry((*setting).to_owned())
                    .or_default()
                    .insert((*key).to_owned(), value);
            }
            settings
        }
    }

    fn vpn() -> FakeProfile {
        let data = HashMap::from([
            ("left", "hosta.example.org"),
            ("right", "192.0.2.2"),
            ("leftcert", "left_server"),
            ("leftid", "@other.example.org"),
            ("rightcert", "peer"),
        ]);
        FakeProfile(vec![
            ("connection", "id", "hosta_conn".into()),
            ("vpn", "service-type", PLUGIN_NAME.into()),
            ("vpn", "data", data.into()),
        ])
    }

    #[tokio::test]
    async fn profiles_that_name_a_certificate_use_it() {
        let (near, far) = UnixStream::pair().unwrap();
        let streams = [near, far].map(|stream| {
            stream.set_nonblocking(true).unwrap();
            tokio::net::UnixStream::from_std(stream).unwrap()
        });
        let [near, far] = streams;
        let guid = zbus::Guid::generate();
        let wired = FakeProfile(vec![("connection", "id", "wired".into())]);
        let server = Builder::unix_stream(far)
            .server(guid)
            .unwrap()
            .p2p()
            .serve_at("/org/freedesktop/NetworkManager/Settings", FakeSettings)
            .unwrap()
            .serve_at("/profile/vpn", vpn())
            .unwrap()
            .serve_at("/profile/wired", wired)
            .unwrap()
            .build();
        let (client, _server) = tokio::try_join!(Builder::unix_stream(near).p2p().build(), server).unwrap();
        let users = Users::Known(of(&client).await.unwrap());
        assert_eq!(users.of("left_server"), ["hosta_conn"]);
        assert_eq!(users.of("peer"), ["hosta_conn"]);
        assert!(users.of("other").is_empty());
    }

    #[test]
    fn an_identity_that_the_certificate_lacks_is_found() {
        let settings = vpn().get_settings();
        let users = Users::Known(vec![user(&settings).unwrap()]);
        let description = |san: &str| Description {
            subject: "CN=a".into(),
            issuer: "CN=CA".into(),
            serial: "1".into(),
            san: vec![san.into()],
            key: "RSA 2048".into(),
            not_before: 0,
            not_after: 0,
            sha256: String::new(),
        };
        let found = users.identity_findings("left_server", &description("DNS:hosta.example.org"));
        assert!(
            found[0].is_error && found[0].text.contains("leftid=@other.example.org"),
            "{found:?}"
        );
        assert!(
            users
                .identity_findings("left_server", &description("DNS:OTHER.example.org"))
                .is_empty()
        );
        assert!(users.identity_findings("peer", &description("DNS:x")).is_empty());
    }
}
