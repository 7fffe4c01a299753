//! A database and files with thousands of certificates.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use common::{Nss, Request, authority, import_file, issue, pem, pkcs12};
use nmstate_ipsec_certificates::{Action, Error, bundle::read_authorities, held, request::Files};
use openssl::x509::X509;

/// How many certificates a database has. With ten thousand NSS's own programs take minutes to add and to print them.
const MANY: usize = 2000;

/// How many a file has.
const VERY_MANY: usize = 10_000;

/// Certificates that one run of certutil adds: it gets slower with each.
const AT_ONCE: usize = 1000;

/// As many certificates, each of an issuer of its own: of one issuer certutil takes minutes to add them.
fn many(count: usize) -> impl Iterator<Item = X509> {
    (0..count).map(|number| authority(&format!("peer{number}"), None).certificate)
}

/// A database with all of them.
fn full() -> Nss {
    let nss = Nss::new();
    let files: Vec<PathBuf> = many(MANY)
        .enumerate()
        .map(|(number, certificate)| nss.file(&format!("peer{number}"), &certificate.to_der().unwrap()))
        .collect();
    for files in files.chunks(AT_ONCE) {
        let line = |path: &PathBuf| {
            format!(
                "-A -n {} -t ,, -i {}\n",
                path.file_name().unwrap().to_str().unwrap(),
                path.display()
            )
        };
        let lines: String = files.iter().map(line).collect();
        let lines = nss.file("lines", lines.as_bytes());
        nss.run("certutil", &["-B", "-i", lines.to_str().unwrap()]);
    }
    nss
}

#[tokio::test]
async fn among_many_certificates_a_bundle_comes_in_stays_or_is_refused() {
    let ca = authority("Test CA", None);
    let nss = full();
    let left = issue(&ca, &Request::new("left"));
    let path = nss.file("left.p12", &pkcs12(&left, &[&ca], ""));
    let before = nss.state();
    assert_eq!((before.lines.len(), before.certificates.len()), (MANY, MANY));

    let imported = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(imported.action, Action::Imported);
    let after = nss.state();
    assert_eq!(
        (after.trust("left"), after.trust("Test CA")),
        (vec!["u,u,u".to_owned()], vec!["CT,C,C".to_owned()])
    );
    assert_eq!((after.lines.len(), after.keys.len()), (MANY + 2, 1));
    assert!(
        before
            .lines
            .iter()
            .all(|line| after.lines.binary_search(line).is_ok())
    );
    assert!(before.certificates.is_subset(&after.certificates));

    let again = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(again.action, Action::Unchanged);

    let sealed = nss.file(
        "sealed.p12",
        &pkcs12(&issue(&ca, &Request::new("sealed")), &[&ca], "sesame"),
    );
    let error = import_file(&nss.database(), &sealed, None, &[])
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.is_input()), ("no-password", true), "{error}");
    let stranger = nss.file(
        "stranger.p12",
        &pkcs12(&issue(&ca, &Request::new("stranger")), &[], ""),
    );
    let error = import_file(&nss.database(), &stranger, None, &[&authority("Third CA", None)])
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.is_input()), ("authority", true), "{error}");
    // The subject of one that is there.
    let collision = nss.file(
        "collision.p12",
        &pkcs12(&issue(&ca, &Request::new("peer17")), &[&ca], ""),
    );
    let error = import_file(&nss.database(), &collision, None, &[])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("under the nickname 'peer17'"),
        "{error}"
    );
    assert!(nss.state() == after, "something has changed");

    let found = held(&nss.database(), SystemTime::now()).await.unwrap();
    assert_eq!((found.certificates.len(), found.unreadable.len()), (MANY + 2, 0));
    let keys = found.certificates.iter().filter(|held| held.has_key);
    let keys: Vec<&str> = keys.map(|held| held.nickname.as_str()).collect();
    assert_eq!(keys, ["left"]);
}

#[tokio::test]
async fn a_file_of_many_certificates_is_one_clear_error_and_touches_nothing() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let left = issue(&ca, &Request::new("left"));
    let good = nss.file("left.p12", &pkcs12(&left, &[&ca], ""));
    import_file(&nss.database(), &good, None, &[]).await.unwrap();
    let before = nss.state();
    let certificates: Vec<u8> = many(VERY_MANY).flat_map(|one| one.to_pem().unwrap()).collect();
    let large = nss.file("large.pem", &[pem(&left, &[&ca]), certificates.clone()].concat());
    let error = import_file(&nss.database(), &large, None, &[]).await.unwrap_err();
    is_too_large(&error, &large);
    let large = nss.file("large-ca.pem", &certificates);
    is_too_large(&read_authorities(&large).unwrap_err(), &large);
    let error = Files::read(&good, None, None, std::slice::from_ref(&large), None).unwrap_err();
    is_too_large(&error, &large);
    assert_eq!(nss.state(), before);
}

fn is_too_large(error: &Error, path: &Path) {
    let text = error.to_string();
    assert_eq!((error.code(), error.is_input()), ("too-large", true), "{text}");
    assert!(
        text.contains(path.to_str().unwrap()) && !text.contains('\n'),
        "{text}"
    );
}
