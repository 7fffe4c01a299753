//! Bundles into real databases, read back with the real certutil.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::SystemTime};

use common::{
    DAY, Nss, Pair, Request, authority, ec, fingerprint, import_file, issue, password, pem, pkcs12, rsa,
};
use nmstate_ipsec_certificates::{Action, Error, Import, bundle::Bundle, held, import, name};
use openssl::nid::Nid;

#[tokio::test]
async fn a_bundle_comes_in_with_its_authority() {
    let ca = authority("Test CA", None);
    for key in [
        rsa(2048),
        rsa(3072),
        ec(Nid::X9_62_PRIME256V1),
        ec(Nid::SECP384R1),
        ec(Nid::SECP521R1),
    ] {
        let nss = Nss::missing();
        let pair = issue(&ca, &Request::new("left").key(&key));
        let path = nss.file("left_server.p12", &pkcs12(&pair, &[&ca], ""));
        let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
        assert_eq!(
            (done.action, done.nickname.as_str()),
            (Action::Imported, "left_server")
        );
        let state = nss.state();
        assert_eq!(nss.trust("left_server"), ["u,u,u"], "{state:?}");
        assert_eq!(nss.trust("Test CA"), ["CT,C,C"], "{state:?}");
        assert_eq!((state.lines.len(), state.keys.len()), (2, 1), "{state:?}");
        assert_eq!(nss.certificates("left_server"), [fingerprint(&pair.certificate)]);
        let mode = |name: &str| fs::metadata(nss.dir().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(""), 0o700);
        for name in ["cert9.db", "key4.db", "pkcs11.txt"] {
            assert_eq!(mode(name), 0o600, "{name}");
        }
    }
}

#[tokio::test]
async fn the_same_bundle_again_changes_nothing_and_costs_one_process() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let pair = issue(&ca, &Request::new("left"));
    let path = nss.file("left.p12", &pkcs12(&pair, &[&ca], ""));
    import_file(&nss.database(), &path, None, &[]).await.unwrap();
    let files = || ["cert9.db", "key4.db"].map(|name| fs::read(nss.dir().join(name)).unwrap());
    let (before, counter) = (files(), common::Saboteur::new(""));
    let again = import_file(&nss.with(counter.tools()), &path, None, &[])
        .await
        .unwrap();
    assert_eq!(again.action, Action::Unchanged);
    assert!(
        again
            .authorities
            .iter()
            .all(|authority| authority.action == Action::Unchanged)
    );
    assert_eq!(counter.calls(), 1);
    assert!(before == files());
}

#[tokio::test]
async fn trust_that_was_lost_is_given_again() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    import_file(&nss.database(), &path, None, &[]).await.unwrap();
    nss.run("certutil", &["-M", "-n", "Test CA", "-t", ",,"]);
    nss.run("certutil", &["-M", "-n", "left", "-t", "P,,"]);
    let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(
        (done.action, done.authorities[0].action),
        (Action::Mended, Action::Mended)
    );
    assert_eq!(
        (nss.trust("left"), nss.trust("Test CA")),
        (vec!["u,u,u".into()], vec!["CT,C,C".into()])
    );
}

#[tokio::test]
async fn authorities_between_come_along_untrusted() {
    let (nss, root) = (Nss::new(), authority("Root", None));
    let between = authority("Between", Some(&root));
    let pair = issue(&between, &Request::new("left"));
    let path = nss.file("left.pem", &pem(&pair, &[&between]));
    import_file(&nss.database(), &path, None, &[&root]).await.unwrap();
    assert_eq!(
        (nss.trust("Root"), nss.trust("Between")),
        (vec!["CT,C,C".into()], vec![",,".into()])
    );
    nss.run("certutil", &["-V", "-n", "left", "-u", "V"]);
    // Without the one between nothing leads to the root.
    let path = nss.file("other.pem", &pem(&issue(&between, &Request::new("other")), &[]));
    let error = import_file(&nss.database(), &path, None, &[&root])
        .await
        .unwrap_err();
    assert_eq!(error.code(), "authority", "{error}");
}

#[tokio::test]
async fn an_authority_keeps_the_name_that_it_has_and_shares_none() {
    let (nss, ca, namesake) = (Nss::new(), authority("Test CA", None), authority("Other", None));
    let file = nss.file("ca.pem", &ca.certificate.to_pem().unwrap());
    nss.run(
        "certutil",
        &["-A", "-n", "CA", "-t", "CT,C,C", "-i", file.to_str().unwrap()],
    );
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(
        (done.authorities[0].nickname.as_str(), done.authorities[0].action),
        ("CA", Action::Unchanged)
    );
    // Somebody else's certificate has the name that this authority would get.
    let file = nss.file(
        "other.pem",
        &issue(&ca, &Request::new("x")).certificate.to_pem().unwrap(),
    );
    nss.run(
        "certutil",
        &["-A", "-n", "Other", "-t", ",,", "-i", file.to_str().unwrap()],
    );
    let path = nss.file(
        "right.p12",
        &pkcs12(&issue(&namesake, &Request::new("right")), &[&namesake], ""),
    );
    let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(done.authorities[0].nickname, "Other - Ex");
    assert_eq!(
        (nss.trust("Other"), nss.trust("Other - Ex")),
        (vec![",,".into()], vec!["CT,C,C".into()])
    );
}

#[tokio::test]
async fn a_renewed_authority_is_beside_the_old_one() {
    let (nss, old, new) = (Nss::new(), authority("Test CA", None), authority("Test CA", None));
    let left = nss.file(
        "left.p12",
        &pkcs12(&issue(&old, &Request::new("left")), &[&old], ""),
    );
    import_file(&nss.database(), &left, None, &[]).await.unwrap();
    let left = nss.file(
        "left.p12",
        &pkcs12(&issue(&new, &Request::new("left")), &[&new], ""),
    );
    import_file(&nss.database(), &left, None, &[]).await.unwrap();
    assert_eq!(nss.trust("Test CA"), ["CT,C,C", "CT,C,C"]);
    nss.run("certutil", &["-V", "-n", "left", "-u", "V"]);
}

fn legacy(nss: &Nss, pair: &Pair, arguments: &[&str]) -> std::path::PathBuf {
    let (source, target) = (
        nss.file("source.pem", &pem(pair, &[])),
        nss.place.path().join("left.p12"),
    );
    let output = Command::new("openssl")
        .args(["pkcs12", "-export", "-legacy", "-passout", "pass:"])
        .args(arguments)
        .args([
            "-in".as_ref(),
            source.as_os_str(),
            "-out".as_ref(),
            target.as_os_str(),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target
}

#[tokio::test]
async fn bundles_of_old_are_read() {
    let ca = authority("Test CA", None);
    let pair = issue(&ca, &Request::new("left").key(&rsa(2048)));
    for arguments in [
        &["-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES"][..],
        &["-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-40"],
        &["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES"],
        &["-certpbe", "NONE", "-keypbe", "NONE"],
    ] {
        let nss = Nss::new();
        let path = legacy(&nss, &pair, arguments);
        import_file(&nss.database(), &path, None, &[&ca])
            .await
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert_eq!(nss.certificates("left"), [fingerprint(&pair.certificate)]);
    }
}

#[tokio::test]
async fn a_subject_under_another_nickname_is_a_collision_that_names_it() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let pair = issue(&ca, &Request::new("left"));
    let one = nss.file("one.p12", &pkcs12(&pair, &[&ca], ""));
    import_file(&nss.database(), &one, None, &[]).await.unwrap();
    let before = nss.state();
    let renewed = issue(&ca, &Request::new("left"));
    for (name, pair) in [("two.p12", &pair), ("three.p12", &renewed)] {
        let path = nss.file(name, &pkcs12(pair, &[&ca], ""));
        let error = import_file(&nss.database(), &path, None, &[]).await.unwrap_err();
        assert!(
            matches!(&error, Error::Collision { other, .. } if other == "one"),
            "{error}"
        );
        assert_eq!(nss.state(), before);
    }
}

#[tokio::test]
async fn a_dry_run_tells_and_touches_nothing() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    let nickname = name::parse("left").unwrap();
    for (database_is_there, expected) in [(false, Action::Imported), (true, Action::Replaced)] {
        let pair = issue(&ca, &Request::new("left"));
        let path = nss.file("left.p12", &pkcs12(&pair, &[&ca], ""));
        let bundle = Bundle::open(&path, None, &password("")).unwrap();
        let mut what = Import {
            bundle: &bundle,
            nickname: &nickname,
            authorities: &[],
            dry_run: true,
            now: SystemTime::now(),
        };
        let before = database_is_there.then(|| nss.state());
        assert_eq!(import(&nss.database(), &what).await.unwrap().action, expected);
        assert_eq!(nss.dir().exists(), database_is_there);
        if let Some(before) = before {
            assert_eq!(nss.state(), before);
        }
        what.dry_run = false;
        import(&nss.database(), &what).await.unwrap();
    }
}

#[tokio::test]
async fn databases_with_a_password_and_in_fips_mode_work() {
    for fips in [false, true] {
        let (nss, ca) = (Nss::missing(), authority("Test CA", None));
        fs::create_dir(nss.dir()).unwrap();
        let plain = nss.file("password", b"Sesame-open-12\n");
        nss.run("certutil", &["-N", "-f", plain.to_str().unwrap()]);
        if fips {
            let dbdir = format!("sql:{}", nss.dir().display());
            let output = Command::new("modutil")
                .args(["-fips", "true", "-force", "-dbdir", &dbdir])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        let path = nss.file(
            "left.p12",
            &pkcs12(&issue(&ca, &Request::new("left").key(&rsa(2048))), &[&ca], ""),
        );
        let error = import_file(&nss.database(), &path, None, &[]).await.unwrap_err();
        assert!(error.to_string().contains("nsspassword"), "{error}");
        assert_eq!(nss.state().lines.len(), 0);
        let text = "NSS Certificate DB:Sesame-open-12\nNSS FIPS 140-2 Certificate DB:Sesame-open-12\n";
        fs::write(nss.dir().join("nsspassword"), text).unwrap();
        for expected in [Action::Imported, Action::Unchanged] {
            assert_eq!(
                import_file(&nss.database(), &path, None, &[])
                    .await
                    .unwrap()
                    .action,
                expected
            );
        }
        let renewed = nss.file(
            "left.p12",
            &pkcs12(&issue(&ca, &Request::new("left").key(&rsa(2048))), &[&ca], ""),
        );
        let done = import_file(&nss.database(), &renewed, None, &[]).await.unwrap();
        assert_eq!(done.action, Action::Replaced);
        let keys = nss.run(
            "certutil",
            &["-K", "-f", nss.dir().join("nsspassword").to_str().unwrap()],
        );
        assert_eq!(keys.matches("rsa ").count(), 1, "{keys}");
    }
}

#[tokio::test]
async fn two_imports_at_once_come_one_after_the_other() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    let pairs: Vec<Pair> = (0..4).map(|_| issue(&ca, &Request::new("left"))).collect();
    let paths: Vec<_> = pairs
        .iter()
        .enumerate()
        .map(|(n, pair)| nss.file(&format!("{n}.p12"), &pkcs12(pair, &[&ca], "")))
        .collect();
    let database = nss.database();
    let one = |n: usize| import_file(&database, &paths[n], Some("left"), &[]);
    let (a, b, c, d) = tokio::join!(one(0), one(1), one(2), one(3));
    let actions = [a, b, c, d].map(|done| done.unwrap().action);
    assert_eq!(
        actions
            .iter()
            .filter(|action| **action == Action::Imported)
            .count(),
        1,
        "{actions:?}"
    );
    assert_eq!(
        (nss.trust("left"), nss.state().keys.len()),
        (vec!["u,u,u".to_owned()], 1)
    );
    let left = nss.certificates("left");
    assert!(pairs.iter().any(|pair| left == [fingerprint(&pair.certificate)]));
}

#[tokio::test]
async fn a_certificate_that_expires_soon_is_warned_of() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let pair = issue(&ca, &Request::new("left").valid(-DAY, 29 * DAY + 3600));
    let path = nss.file("left.p12", &pkcs12(&pair, &[&ca], ""));
    let done = import_file(&nss.database(), &path, None, &[]).await.unwrap();
    assert_eq!(
        done.warnings
            .iter()
            .map(|warning| &*warning.code)
            .collect::<Vec<_>>(),
        ["expires-soon"]
    );
    let listed = held(&nss.database(), SystemTime::now())
        .await
        .unwrap()
        .certificates;
    let left = listed.iter().find(|held| held.nickname == "left").unwrap();
    assert!(
        left.has_key && left.findings[0].code == "expires-soon" && left.days_left == 29,
        "{left:?}"
    );
}

#[tokio::test]
async fn passwords_and_keys_are_in_no_argument_and_no_environment() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    fs::create_dir(nss.dir()).unwrap();
    let text = nss.file("plain", b"Sesame-open-12\n");
    nss.run("certutil", &["-N", "-f", text.to_str().unwrap()]);
    fs::write(
        nss.dir().join("nsspassword"),
        "NSS Certificate DB:Sesame-open-12\n",
    )
    .unwrap();
    let log = nss.place.path().join("log");
    let spy = common::Saboteur::new(&format!(
        "printf '%s\\n' \"$@\" >> {0}; cat /proc/$$/environ >> {0}",
        log.display()
    ));
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], "bundle-word"),
    );
    let (nickname, word) = (name::parse("left").unwrap(), password("bundle-word"));
    let bundle = Bundle::open(&path, None, &word).unwrap();
    let what = Import {
        bundle: &bundle,
        nickname: &nickname,
        authorities: &[],
        dry_run: false,
        now: SystemTime::now(),
    };
    import(&nss.with(spy.tools()), &what).await.unwrap();
    nmstate_ipsec_certificates::export(&nss.with(spy.tools()), &nickname)
        .await
        .unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("/proc/self/fd/") && log.contains("nsspassword"),
        "{log}"
    );
    let is_secret = |word: &str| word.len() >= 48 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(
        !log.contains("Sesame")
            && !log.contains("bundle-word")
            && !log.split(['\n', '\0', '=']).any(is_secret),
        "{log}"
    );
}

#[tokio::test]
async fn an_authority_that_is_there_need_not_be_given() {
    let (nss, ca, other) = (Nss::new(), authority("Test CA", None), authority("Other", None));
    let codes = |done: nmstate_ipsec_certificates::Imported| -> Vec<String> {
        done.warnings
            .iter()
            .map(|warning| warning.code.to_string())
            .collect()
    };
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    import_file(&nss.database(), &path, None, &[]).await.unwrap();
    let path = nss.file("left.p12", &pkcs12(&issue(&ca, &Request::new("left")), &[], ""));
    assert!(codes(import_file(&nss.database(), &path, None, &[]).await.unwrap()).is_empty());
    let path = nss.file(
        "right.p12",
        &pkcs12(&issue(&other, &Request::new("right")), &[], ""),
    );
    assert_eq!(
        codes(import_file(&nss.database(), &path, None, &[]).await.unwrap()),
        ["no-authority"]
    );
}
