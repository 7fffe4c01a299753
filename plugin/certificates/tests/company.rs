//! Databases that hold other people's certificates, or several that look alike.
#![allow(clippy::unwrap_used)]

mod common;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command, time::SystemTime};

use common::{DAY, Nss, Pair, Request, Saboteur, authority, fingerprint, import_file, issue, pkcs12, twin};
use nmstate_ipsec_certificates::{Action, held, name, remove};

/// Nicknames that certutil takes and cannot be given back, as it lists them. Those without text are what it cannot be
/// asked for.
const ODD: [(&[u8], &str); 5] = [
    (b"trailing ", "trailing"),
    (b"lat\xe9n", "lat\u{fffd}n"),
    (b"new\nline", "line"),
    (b"qu\"ote", "qu\"ote"),
    (b"tab\t", "tab"),
];

impl Nss {
    /// Adds a certificate as somebody else would.
    fn add(&self, nickname: &[u8], trust: &str, pair: &Pair) {
        let file = self.file("added.pem", &pair.certificate.to_pem().unwrap());
        let output = Command::new("certutil")
            .args(["-A", "-t", trust, "-d", &format!("sql:{}", self.dir().display())])
            .args([
                OsStr::new("-i"),
                file.as_os_str(),
                OsStr::new("-n"),
                OsStr::from_bytes(nickname),
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The trust of each certificate of a nickname, as `certutil -L -n` has it: `C` if it is trusted to issue.
    fn is_trusted(&self, nickname: &str, pair: &Pair) -> bool {
        let shown = self.run("certutil", &["-L", "-n", nickname]);
        let wanted = fingerprint(&pair.certificate).to_uppercase();
        let mut of_it = shown.split("Fingerprint (SHA-256):").skip(1);
        let of_it = of_it.find(|text| {
            let digits = text.trim_start().lines().next().unwrap();
            digits.replace(':', "") == wanted
        });
        of_it.unwrap().contains("Trusted CA")
    }
}

#[tokio::test]
async fn nicknames_that_cannot_be_read_hold_nothing_up() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    for (nickname, _) in ODD {
        let cn = format!("{:02x?}", nickname);
        nss.add(nickname, ",,", &issue(&ca, &Request::new(&cn)));
    }
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    for expected in [Action::Imported, Action::Unchanged] {
        let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
        assert_eq!(done.action, expected);
    }
    let renewed = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    let done = import_file(&nss.database(), &renewed, None, &[]).await.unwrap();
    assert_eq!(done.action, Action::Replaced);
    let found = held(&nss.database(), SystemTime::now()).await.unwrap();
    let names: Vec<&str> = found
        .certificates
        .iter()
        .map(|held| held.nickname.as_str())
        .collect();
    assert_eq!(names, ["Test CA", "left"]);
    let mut odd = ODD.map(|(_, listed)| listed);
    odd.sort_unstable();
    assert_eq!(found.unreadable, odd);
    remove(&nss.database(), &name::parse("left").unwrap(), true, false)
        .await
        .unwrap();
    assert!(
        held(&nss.database(), SystemTime::now())
            .await
            .unwrap()
            .certificates
            .is_empty()
    );
}

#[tokio::test]
async fn a_nickname_that_reads_like_somebody_elses_is_refused() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    nss.add(b"left ", ",,", &issue(&ca, &Request::new("other")));
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    let before = nss.run("certutil", &["-L"]);
    let error = import_file(&nss.database(), &path, None, &[]).await.unwrap_err();
    assert!(
        error.code() == "unreadable" && error.to_string().contains("reads like 'left'"),
        "{error}"
    );
    assert_eq!(before, nss.run("certutil", &["-L"]));
}

#[tokio::test]
async fn trust_goes_to_the_right_one_of_two_authorities() {
    let subject = || authority("Test CA", None);
    let (one, two) = (subject(), subject());
    // The last has the key of the second.
    let three = twin(&two, -2 * DAY);
    let all = [&one, &two, &three];
    for wanted in all {
        // Whatever NSS takes first, it is not always the right one.
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let nss = Nss::new();
            for index in order {
                nss.add(b"Test CA", ",,", all[index]);
            }
            let path = nss.file(
                "left.p12",
                &pkcs12(&issue(wanted, &Request::new("left")), &[wanted], ""),
            );
            let done = import_file(&nss.database(), &path, None, &[wanted])
                .await
                .unwrap();
            assert_eq!(done.authorities[0].action, Action::Mended);
            for other in all {
                let is_it = fingerprint(&other.certificate) == fingerprint(&wanted.certificate);
                assert_eq!(nss.is_trusted("Test CA", other), is_it);
            }
            let again = import_file(&nss.database(), &path, None, &[wanted])
                .await
                .unwrap();
            assert_eq!(
                (again.action, again.authorities[0].action),
                (Action::Unchanged, Action::Unchanged)
            );
            let listed = held(&nss.database(), SystemTime::now()).await.unwrap();
            let trusted = listed
                .certificates
                .iter()
                .filter(|held| held.trust.as_str() == "CT,C,C");
            assert_eq!(
                trusted.map(|held| &held.certificate.sha256).collect::<Vec<_>>(),
                [&fingerprint(&wanted.certificate)]
            );
        }
    }
}

#[tokio::test]
async fn the_trust_of_each_authority_is_given_back() {
    let (nss, one, two) = (Nss::new(), authority("Test CA", None), authority("Test CA", None));
    nss.add(b"Test CA", ",,", &one);
    nss.add(b"Test CA", "C,,", &two);
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&one, &Request::new("left")), &[&one], ""),
    );
    let before = nss.state();
    // When everything is done, certutil says that it is not.
    let saboteur = Saboteur::new("[ $n = 4 ] && { $tool \"$@\"; echo sabotage >&2; exit 9; }");
    let error = import_file(&nss.with(saboteur.tools()), &path, None, &[&one])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("as it was"), "{error}");
    assert_eq!(before, nss.state());
    assert!(!nss.is_trusted("Test CA", &one) && nss.is_trusted("Test CA", &two));
}
