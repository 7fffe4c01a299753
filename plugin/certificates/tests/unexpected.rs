//! Databases and bundles that are not as an import expects them.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Nss, Request, authority, import_file, issue, p256, pkcs12};
use nmstate_ipsec_certificates::{Action, name, remove};

#[tokio::test]
async fn an_authority_keeps_its_nickname() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let bundle = |name: &str| pkcs12(&issue(&ca, &Request::new(name)), &[&ca], "");
    let left = nss.file("left.p12", &bundle("left"));
    import_file(&nss.database(), &left, None, &[]).await.unwrap();
    let before = nss.state();
    let other = nss.file("other.p12", &bundle("other"));
    let error = import_file(&nss.database(), &other, Some("Test CA"), &[])
        .await
        .unwrap_err();
    assert!(
        error.is_input() && error.to_string().contains("an authority"),
        "{error}"
    );
    assert_eq!(before, nss.state());
    // In an empty database the authority gets another name.
    let empty = Nss::new();
    import_file(&empty.database(), &other, Some("Test CA"), &[])
        .await
        .unwrap();
    assert_eq!(empty.state().trust("Test CA"), ["u,u,u"]);
}

#[tokio::test]
async fn a_database_that_was_never_finished_is_made_anew() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    let left = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    fs::create_dir_all(nss.dir()).unwrap();
    for (name, content) in [
        (".nmstate-ipsec-making", ""),
        ("cert9.db", "half of"),
        ("pkcs11.txt", ""),
    ] {
        fs::write(nss.dir().join(name), content).unwrap();
    }
    import_file(&nss.database(), &left, None, &[]).await.unwrap();
    assert_eq!(nss.state().trust("left"), ["u,u,u"]);
    assert!(!nss.dir().join(".nmstate-ipsec-making").exists());
    // What was finished and has lost a part is nobody's to make anew.
    fs::remove_file(nss.dir().join("cert9.db")).unwrap();
    for _ in 0..2 {
        let error = import_file(&nss.database(), &left, None, &[]).await.unwrap_err();
        assert_eq!(error.code(), "damaged");
    }
    assert!(!nss.dir().join("cert9.db").exists());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_replaced() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let (old, new) = (
        issue(&ca, &Request::new("left")),
        issue(&ca, &Request::new("left").key(&p256())),
    );
    let pem = nss.file("old.pem", &old.certificate.to_pem().unwrap());
    for trust in [",,", "P,,"] {
        nss.run(
            "certutil",
            &["-A", "-n", "left", "-t", trust, "-i", pem.to_str().unwrap()],
        );
        let path = nss.file("left.p12", &pkcs12(&new, &[&ca], ""));
        let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
        assert_eq!(done.action, Action::Replaced);
        assert_eq!(nss.state().trust("left"), ["u,u,u"]);
        // The same one, with its key this time.
        remove(&nss.database(), &name::parse("left").unwrap(), false, false)
            .await
            .unwrap();
        nss.run(
            "certutil",
            &["-A", "-n", "left", "-t", trust, "-i", pem.to_str().unwrap()],
        );
        let path = nss.file("left.p12", &pkcs12(&old, &[&ca], ""));
        import_file(&nss.database(), &path, None, &[]).await.unwrap();
        assert_eq!(nss.state().trust("left"), ["u,u,u"]);
        remove(&nss.database(), &name::parse("left").unwrap(), false, false)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_given_as_an_authority_must_be_one() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let (left, other) = (
        issue(&ca, &Request::new("left")),
        issue(&ca, &Request::new("other")),
    );
    let path = nss.file("left.p12", &pkcs12(&left, &[], ""));
    let before = nss.state();
    for given in [vec![&left], vec![&ca, &other]] {
        let error = import_file(&nss.database(), &path, None, &given)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "not-an-authority", "{error}");
        assert_eq!(before, nss.state());
    }
    import_file(&nss.database(), &path, None, &[&ca]).await.unwrap();
}

#[tokio::test]
async fn what_is_the_cluster_networks_stays_as_it_is() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let pem = nss.file("ca.pem", &ca.certificate.to_pem().unwrap());
    nss.run(
        "certutil",
        &["-A", "-n", "ovs_cacert", "-t", "C,,", "-i", pem.to_str().unwrap()],
    );
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(nss.state().trust("ovs_cacert"), ["C,,"]);
    let removed = remove(&nss.database(), &name::parse("left").unwrap(), true, false)
        .await
        .unwrap();
    assert!(removed.authorities.is_empty());
    assert_eq!(nss.state().trust("ovs_cacert"), ["C,,"]);
}

#[tokio::test]
async fn the_longest_nickname_is_imported_and_replaced_and_a_longer_one_refused() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    let bundle = |name: &str| pkcs12(&issue(&ca, &Request::new(name)), &[&ca], "");
    let path = nss.file("left.p12", &bundle("left"));
    for length in [181, 185, 200, 240] {
        let error = import_file(&nss.database(), &path, Some(&"n".repeat(length)), &[])
            .await
            .unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains("longer than 180 bytes"),
            "{error}"
        );
        assert!(!nss.dir().exists());
    }
    let longest = "n".repeat(180);
    import_file(&nss.database(), &path, Some(&longest), &[])
        .await
        .unwrap();
    // Of another subject, so that both are renamed.
    let path = nss.file("left.p12", &bundle("other"));
    let done = import_file(&nss.database(), &path, Some(&longest), &[])
        .await
        .unwrap();
    assert_eq!(done.action, Action::Replaced);
    assert_eq!(nss.state().trust(&longest), ["u,u,u"]);
}
