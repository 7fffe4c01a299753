//! Which profiles are let in: what their text says, and what root allows to profiles that are not the system's.
//!
//! A profile with `connection.permissions` may have been written by the user whom it names. The certificates in the NSS
//! database are the host's, so that it may use only those that `/etc/nmstate-ipsec/private-certificates` gives that
//! user, one a line:
//!
//! ```text
//! # user   nickname, to the end of the line
//! alice    laptop of alice
//! ```

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nmstate_ipsec_core::{
    connection::Nickname,
    profile::{Profile, Settings},
};

/// Which certificates the profiles of users may use.
pub const LIST_PATH: &str = "/etc/nmstate-ipsec/private-certificates";

/// Bits of a file's mode by which others than its owner could have written it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The profile in `settings`, if it can and may be used; `list` is the path of the list.
///
/// # Errors
/// What is wrong with it or not allowed, in a line without secrets.
pub fn admit(settings: &Settings, list: &Path) -> Result<Profile, String> {
    let profile = Profile::from_settings(settings).map_err(|error| error.to_string())?;
    profile.check_keys().map_err(|error| error.to_string())?;
    if profile.is_private() && profile.connection.nicknames().next().is_some() {
        may_use_certificates(&profile, list)?;
    }
    Ok(profile)
}

fn may_use_certificates(profile: &Profile, list: &Path) -> Result<(), String> {
    let path = list.display();
    let allowed = read(list).map_err(|error| {
        format!("a profile with connection.permissions may use no certificate, since {path} cannot be used: {error}")
    })?;
    for nickname in profile.connection.nicknames() {
        // Any one of its users can have written the profile, and can start it.
        if let Some(user) = profile
            .users
            .iter()
            .find(|user| !permits(&allowed, user, nickname))
        {
            let user = user.escape_debug();
            return Err(format!(
                "the profile belongs to the user '{user}', who may not use the certificate '{nickname}': root allows it \
                 with a line '{user} {nickname}' in {path}"
            ));
        }
    }
    Ok(())
}

/// The list; empty if there is none.
fn read(path: &Path) -> io::Result<String> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        metadata => metadata?,
    };
    let is_roots = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !is_roots || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::Error::other("it must be a file that root alone can write"));
    }
    fs::read_to_string(path)
}

/// Whether a line of `list` gives `user` the certificate.
fn permits(list: &str, user: &str, nickname: &Nickname) -> bool {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .any(|(allowed, certificate)| allowed == user && certificate.trim() == nickname.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::{collections::HashMap, os::unix::fs::PermissionsExt};

    use zbus::zvariant::{OwnedValue, Value};

    /// A profile of alice and bob that names a certificate.
    fn of_alice_and_bob() -> Settings {
        let owned = |value: Value<'_>| OwnedValue::try_from(value).unwrap();
        let data = HashMap::from([
            ("right", "192.0.2.252"),
            ("leftcert", "laptop"),
            ("ikev2", "insist"),
        ]);
        let connection = [
            ("id", owned("laptops".into())),
            ("uuid", owned("5b2b1ea8-0000-4000-8000-000000000001".into())),
            ("permissions", owned(vec!["user:alice:", "user:bob:"].into())),
        ];
        let vpn = [
            (
                "service-type",
                owned("org.freedesktop.NetworkManager.libreswan".into()),
            ),
            ("data", owned(data.into())),
        ];
        let section = |pairs: Vec<(&str, OwnedValue)>| {
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        };
        Settings::from([
            ("connection".to_owned(), section(connection.to_vec())),
            ("vpn".to_owned(), section(vpn.to_vec())),
        ])
    }

    #[test]
    fn a_profile_of_several_users_needs_a_line_for_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        for (list, admitted) in [
            ("", false),
            ("alice laptop\n", false),
            ("alice laptop\nbob laptop\n", true),
        ] {
            fs::write(&path, list).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let judged = admit(&of_alice_and_bob(), &path);
            assert_eq!(judged.is_ok(), admitted, "{list:?}: {judged:?}");
            if let Err(error) = judged {
                assert!(error.contains("laptop") && error.contains("list"), "{error}");
            }
        }
    }

    #[test]
    fn a_certificate_is_given_to_one_user_by_its_whole_name() {
        let list = "# alice  everything\n\nalice   laptop of alice \nbob left_server\n";
        for (user, nickname, permitted) in [
            ("alice", "laptop", false),
            ("alice", "laptop of alice", true),
            ("alice", "left_server", false),
            ("bob", "left_server", true),
            ("", "left_server", false),
            ("bob", "left_server2", false),
        ] {
            let nickname: Nickname = nickname.parse().unwrap();
            assert_eq!(permits(list, user, &nickname), permitted, "{user} {nickname}");
        }
        assert!(!permits("", "alice", &"left_server".parse().unwrap()));
    }

    #[test]
    fn a_list_that_others_can_write_is_no_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        assert_eq!(read(&path).unwrap(), "");
        fs::write(&path, "alice laptop").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(read(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path).unwrap(), "alice laptop");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link).is_err());
    }
}
