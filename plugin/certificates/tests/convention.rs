//! Bundles that are where they are expected, and the requests of the daemon.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use common::{Nss, Request, authority, issue, pkcs12, place};
use nmstate_ipsec_certificates::{
    Action,
    convention::{DIRS, Found, import_all, import_by_name, state},
    name,
    request::{self, Answer, Files},
};
use tempfile::TempDir;

/// A directory with two bundles and their authority.
fn directory() -> TempDir {
    let (dir, ca) = (place(), authority("Test CA", None));
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    put("ca.pem", &ca.certificate.to_pem().unwrap());
    for name in ["left", "right"] {
        put(
            &format!("{name}.p12"),
            &pkcs12(&issue(&ca, &Request::new(name)), &[], ""),
        );
    }
    dir
}

async fn all(nss: &Nss, dirs: &[&Path]) -> Vec<Found> {
    let mut found = Vec::new();
    import_all(&nss.database(), dirs, async |one| found.push(one)).await;
    found
}

#[tokio::test]
async fn everything_is_imported_and_a_bad_bundle_keeps_nothing_out() {
    let (nss, dir, other) = (Nss::missing(), directory(), directory());
    for (name, content) in [
        ("bad.p12", "nothing"),
        ("notes.txt", "nothing"),
        (".hidden.p12", "nothing"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    fs::remove_file(other.path().join("right.p12")).unwrap();
    let dirs = [dir.path(), other.path(), Path::new("/nonexistent")];
    let found = all(&nss, &dirs).await;
    let told: Vec<(String, String)> = found
        .iter()
        .map(|found| {
            let name = found.path.file_name().unwrap().to_string_lossy().into_owned();
            let done = match &found.done {
                Ok(imported) => format!("{:?}", imported.action),
                Err(error) => error.code().to_owned(),
            };
            (name, done)
        })
        .collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(name, done)| (&**name, &**done)).collect();
    let expected = [
        ("bad.p12", "malformed"),
        ("left.p12", "Imported"),
        ("right.p12", "Imported"),
        ("left.p12", "duplicate"),
    ];
    assert_eq!(told, expected);
    let state = nss.state();
    assert_eq!(state.trust("left"), ["u,u,u"]);
    assert_eq!(state.trust("right"), ["u,u,u"]);
    assert_eq!(state.trust("Test CA"), ["CT,C,C"]);
    let again = all(&nss, &[dir.path()]).await;
    let unchanged = |found: &Found| {
        found
            .done
            .as_ref()
            .is_ok_and(|done| done.action == Action::Unchanged)
    };
    assert_eq!(again.iter().filter(|found| unchanged(found)).count(), 2);
}

#[tokio::test]
async fn what_is_said_of_a_bundle_names_its_file() {
    let (nss, dir) = (Nss::missing(), directory());
    for name in ["bad.p12", "ovs_left.p12", "it's.p12"] {
        fs::write(dir.path().join(name), "nothing").unwrap();
    }
    // The same subject under another name.
    fs::copy(dir.path().join("left.p12"), dir.path().join("left2.p12")).unwrap();
    let found = all(&nss, &[dir.path()]).await;
    let faults = found
        .iter()
        .filter_map(|found| Some((&found.path, found.done.as_ref().err()?)));
    let mut codes = Vec::new();
    for (path, error) in faults {
        let said = error.of_bundle(path);
        assert_eq!(said.matches(&path.display().to_string()).count(), 1, "{said}");
        assert_eq!(
            error.code() == "nickname",
            said.ends_with("another name"),
            "{said}"
        );
        codes.push(error.code().to_owned());
    }
    assert_eq!(codes, ["malformed", "nickname", "collision", "nickname"]);
}

#[tokio::test]
async fn a_name_finds_its_bundle_in_the_first_directory_that_has_one() {
    let (nss, empty, dir) = (Nss::missing(), place(), directory());
    let dirs = [empty.path(), dir.path()];
    let left = name::parse("left").unwrap();
    let imported = import_by_name(&nss.database(), &left, &dirs).await.unwrap();
    assert_eq!(
        (imported.nickname.as_str(), imported.action),
        ("left", Action::Imported)
    );
    let nobody = name::parse("nobody").unwrap();
    let error = import_by_name(&nss.database(), &nobody, &dirs).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.code(), "no-bundle");
    assert!(
        dirs.iter()
            .all(|dir| text.contains(&dir.join("nobody.p12").display().to_string())),
        "{text}"
    );
}

#[tokio::test]
async fn a_damaged_database_stays_as_it_is() {
    let (nss, dir) = (Nss::new(), directory());
    let left = name::parse("left").unwrap();
    for (name, content) in [("key4.db", Some("")), ("cert9.db", Some("")), ("key4.db", None)] {
        let damaged = nss.copy();
        let path = damaged.dir().join(name);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = import_by_name(&damaged.database(), &left, &[dir.path()])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "damaged", "{error}");
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), content);
    }
}

#[tokio::test]
async fn what_others_could_have_written_is_not_imported_by_itself() {
    let (nss, dir) = (Nss::missing(), directory());
    let left = name::parse("left").unwrap();
    for name in ["left.p12", "ca.pem"] {
        let path = dir.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let error = import_by_name(&nss.database(), &left, &[dir.path()])
            .await
            .unwrap_err();
        assert_eq!(error.code(), "not-roots");
        assert!(error.to_string().contains(name), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o775)).unwrap();
    let error = import_by_name(&nss.database(), &left, &[dir.path()])
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not-roots");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (authority, aside) = (dir.path().join("ca.pem"), dir.path().join("ca"));
    fs::rename(&authority, &aside).unwrap();
    std::os::unix::fs::symlink("nowhere", &authority).unwrap();
    let error = import_by_name(&nss.database(), &left, &[dir.path()])
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unreadable");
    fs::rename(&aside, &authority).unwrap();
    assert!(!nss.database().exists());
    import_by_name(&nss.database(), &left, &[dir.path()])
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_and_replies_survive_their_way() {
    let (nss, dir) = (Nss::missing(), directory());
    let files = Files::read(
        &dir.path().join("left.p12"),
        None,
        None,
        &[dir.path().join("ca.pem")],
        None,
    )
    .unwrap();
    assert!(!format!("{files:?}").contains("MII"));
    let requests = [
        request::Request::Import(Box::new(files)),
        request::Request::List,
        request::Request::Export {
            nickname: "left".into(),
            password: nmstate_ipsec_core::secret::Secret::new("sesame".into()),
        },
        request::Request::Remove {
            nickname: "left".into(),
            with_authorities: true,
            dry_run: false,
        },
        request::Request::Remove {
            nickname: "left".into(),
            with_authorities: false,
            dry_run: false,
        },
    ];
    let mut answers = Vec::new();
    for request in requests {
        let sent = serde_json::to_string(&request).unwrap();
        let received: request::Request = serde_json::from_str(&sent).unwrap();
        let reply = serde_json::to_string(&received.run(&nss.database()).await).unwrap();
        let reply: request::Reply = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply.database, nss.dir());
        answers.push(reply.answer);
    }
    let [imported, listed, exported, removed, refused] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(matches!(imported, Answer::Imported(imported) if imported.action == Action::Imported));
    assert!(matches!(listed, Answer::Listed(listed) if listed.len() == 2));
    assert!(
        matches!(exported, Answer::Exported(bytes) if openssl::pkcs12::Pkcs12::from_der(bytes).unwrap().parse2("sesame").is_ok())
    );
    assert!(matches!(removed, Answer::Removed(removed) if removed.authorities == ["Test CA"]));
    assert!(matches!(refused, Answer::Refused(refusal) if refusal.code == "missing" && !refusal.is_input));
    for bad in [
        "",
        "{}",
        r#"{"do":"format"}"#,
        r#"{"do":"remove","nickname":"left"}"#,
    ] {
        assert!(serde_json::from_str::<request::Request>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_change_in_the_directories_is_seen() {
    let dir = directory();
    let dirs = [dir.path(), Path::new("/nonexistent")];
    let before = state(&dirs);
    assert_eq!(before, state(&dirs));
    fs::rename(dir.path().join("left.p12"), dir.path().join("other.p12")).unwrap();
    let renamed = state(&dirs);
    assert_ne!(before, renamed);
    fs::write(dir.path().join("other.p12"), "else").unwrap();
    assert_ne!(renamed, state(&dirs));
}

#[test]
fn our_directory_is_there_before_anybody_puts_a_bundle_into_it() {
    let (dir, config) = (
        place(),
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../packaging/root/usr/lib/tmpfiles.d/nmstate-ipsec.conf"
        ),
    );
    let mut make = Command::new("systemd-tmpfiles");
    make.args(["--create", &format!("--root={}", dir.path().display()), config]);
    if !rustix::process::geteuid().is_root() {
        return println!("SKIP our_directory_is_there_before_anybody_puts_a_bundle_into_it: not root");
    }
    let Ok(made) = make.output() else {
        return println!(
            "SKIP our_directory_is_there_before_anybody_puts_a_bundle_into_it: no systemd-tmpfiles"
        );
    };
    assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    let mode = |path: &str| {
        let path = dir.path().join(path.trim_start_matches('/'));
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!((mode("/etc/nmstate-ipsec"), mode(DIRS[1])), (0o755, 0o700));
}
