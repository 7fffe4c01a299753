//! Bundles and databases that are not what they should be: one clear error each, and nothing is touched.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    DAY, Nss, Request, Usage, authority, ec, fingerprint, import_file, issue, p256, password, pem, pkcs12,
    rsa,
};
use nmstate_ipsec_certificates::{
    Error, bundle::Bundle, export, held, name, password_of, remove, write_bundle,
};
use nmstate_ipsec_core::secret::Secret;
use openssl::{nid::Nid, pkey::PKey};

/// What is no regular file at all.
fn no_files(nss: &Nss) -> Vec<(PathBuf, &'static str)> {
    let directory = nss.place.path().join("directory.p12");
    fs::create_dir(&directory).unwrap();
    let fifo = nss.place.path().join("fifo.p12");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    vec![
        (directory, "not-a-file"),
        (fifo, "not-a-file"),
        (nss.place.path().join("none.p12"), "unreadable"),
    ]
}

/// The files of bad bundles, what they are called by, and the code of the error.
fn bad_files(nss: &Nss) -> Vec<(PathBuf, &'static str)> {
    let (ca, namesake) = (authority("Test CA", None), authority("Test CA", None));
    let good = issue(&ca, &Request::new("left"));
    let whole = pkcs12(&good, &[&ca], "");
    let request = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::new("left");
        change(&mut request);
        pkcs12(&issue(&ca, &request), &[&ca], "")
    };
    let stranger = common::Pair {
        certificate: good.certificate.clone(),
        key: p256(),
    };
    let many: Vec<u8> = (0..150).flat_map(|_| ca.certificate.to_pem().unwrap()).collect();
    let mut cut = pem(&good, &[]);
    cut.truncate(400);
    let files: Vec<(&str, Vec<u8>, &'static str)> = vec![
        ("empty.p12", Vec::new(), "empty"),
        ("text.p12", b"hello, world\n".to_vec(), "malformed"),
        ("truncated.p12", whole[..whole.len() / 2].to_vec(), "malformed"),
        ("truncated.pem", cut, "malformed"),
        ("large.p12", vec![0x30; 1024 * 1024 + 1], "too-large"),
        ("protected.p12", pkcs12(&good, &[&ca], "sesame"), "no-password"),
        ("many.pem", [pem(&good, &[]), many].concat(), "too-many"),
        ("mismatch.pem", pem(&stranger, &[]), "key-mismatch"),
        ("keyless.pem", good.certificate.to_pem().unwrap(), "no-key"),
        (
            "key.pem",
            good.key.private_key_to_pem_pkcs8().unwrap(),
            "no-certificate",
        ),
        (
            "foreign.p12",
            pkcs12(&good, &[&authority("Other", None)], ""),
            "authority",
        ),
        ("namesake.p12", pkcs12(&good, &[&namesake], ""), "authority"),
        (
            "expired.p12",
            request(&|it| (it.from, it.to) = (-9 * DAY, -DAY)),
            "expired",
        ),
        ("early.p12", request(&|it| it.from = DAY), "not-yet-valid"),
        ("rsa1024.p12", request(&|it| it.key = rsa(1024)), "key"),
        ("k256.p12", request(&|it| it.key = ec(Nid::SECP256K1)), "key"),
        (
            "ed25519.p12",
            request(&|it| it.key = PKey::generate_ed25519().unwrap()),
            "key",
        ),
        (
            "usage.p12",
            request(&|it| it.usage = Some(Usage::EnciphermentOnly)),
            "key-usage",
        ),
        (
            "purpose.p12",
            request(&|it| it.purpose = Some("codeSigning")),
            "extended-key-usage",
        ),
        ("cn.p12", request(&|it| it.cn = "OVS_x".to_owned()), "common-name"),
    ];
    let mut all = no_files(nss);
    all.extend(
        files
            .into_iter()
            .map(|(name, bytes, code)| (nss.file(name, &bytes), code)),
    );
    all
}

#[tokio::test]
async fn a_bad_bundle_is_one_clear_error_and_touches_nothing() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let path = nss.file(
        "there.p12",
        &pkcs12(&issue(&ca, &Request::new("there")), &[&ca], ""),
    );
    import_file(&nss.database(), &path, None, &[]).await.unwrap();
    let before = nss.state();
    for (path, code) in bad_files(&nss) {
        let error = import_file(&nss.database(), &path, None, &[]).await.unwrap_err();
        assert_eq!(
            (error.code(), error.is_input()),
            (code, true),
            "{}: {error}",
            path.display()
        );
        let text = error.to_string();
        let subject = if code == "nickname" {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .escape_debug()
                .to_string()
        } else {
            path.display().to_string()
        };
        assert!(text.contains(&subject) && !text.contains('\n'), "{text}");
        assert_eq!(nss.state(), before, "{text}");
    }
}

#[tokio::test]
async fn a_nickname_with_a_slash_is_refused_and_one_with_a_blank_is_not() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let path = nss.file(
        "left.p12",
        &pkcs12(&issue(&ca, &Request::new("left")), &[&ca], ""),
    );
    for nickname in ["a/b", "../left", "", " left", "left (next)", "ovs_cert"] {
        let error = import_file(&nss.database(), &path, Some(nickname), &[])
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Nickname { .. }), "{nickname}: {error}");
    }
    let done = import_file(&nss.database(), &path, Some("Köln, left server"), &[])
        .await
        .unwrap();
    assert_eq!(done.nickname, "Köln, left server");
    assert_eq!(nss.trust("Köln, left server"), ["u,u,u"]);
}

#[test]
fn purposes_that_mean_ipsec_are_fit() {
    let ca = authority("Test CA", None);
    for purpose in [
        "1.3.6.1.5.5.7.3.17",
        "serverAuth",
        "clientAuth",
        "anyExtendedKeyUsage",
        "1.3.6.1.5.5.8.2.2",
    ] {
        let mut request = Request::new("left");
        (request.purpose, request.usage) = (Some(purpose), Some(Usage::Signature));
        let pair = issue(&ca, &request);
        let authorities = nmstate_ipsec_certificates::judge::Authorities {
            trusted: std::slice::from_ref(&ca.certificate),
            between: &[],
        };
        let findings = nmstate_ipsec_certificates::judge::findings(
            &pair.certificate,
            authorities,
            std::time::SystemTime::now(),
        );
        assert!(findings.is_empty(), "{purpose}: {findings:?}");
    }
}

#[test]
fn a_password_is_found_by_the_nickname_or_told_to_be_wrong() {
    let (nss, ca) = (Nss::missing(), authority("Test CA", None));
    let pair = issue(&ca, &Request::new("left"));
    let path = nss.file("left.p12", &pkcs12(&pair, &[&ca], "sesame"));
    let nickname = name::parse("left").unwrap();
    let code = |given: Option<&Path>| {
        let password = password_of(given, &path, &nickname).unwrap();
        Bundle::open(&path, None, &password)
            .map(|_| "ok")
            .map_err(|error| error.code().to_owned())
    };
    assert_eq!(code(None), Err("no-password".to_owned()));
    let wrong = nss.file("wrong", b"open\n");
    assert_eq!(code(Some(&wrong)), Err("wrong-password".to_owned()));
    nss.file("left_password", b"sesame\n");
    assert_eq!(
        (code(None), code(Some(&wrong))),
        (Ok("ok"), Err("wrong-password".to_owned()))
    );
    // An encrypted key in PEM has the same password.
    let key = pair
        .key
        .private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"sesame")
        .unwrap();
    let bundle = nss.file("left.pem", &[pair.certificate.to_pem().unwrap(), key].concat());
    for (text, expected) in [("sesame", true), ("open", false), ("", false)] {
        assert_eq!(
            Bundle::open(&bundle, None, &password(text)).is_ok(),
            expected,
            "{text}"
        );
    }
    for (bytes, code) in [
        (&b"a\nb\n"[..], "password-file"),
        (b"\xff\xfe", "password-file"),
        (b"", "empty"),
    ] {
        let file = nss.file("odd", bytes);
        assert_eq!(
            password_of(Some(&file), &path, &nickname).unwrap_err().code(),
            code
        );
    }
}

/// Fails to import, and says why; nothing is changed where the database can be read.
async fn refused(nss: &Nss, words: &str) {
    let ca = authority("Test CA", None);
    let path = nss.file(
        "other.p12",
        &pkcs12(&issue(&ca, &Request::new("other")), &[&ca], ""),
    );
    let error = import_file(&nss.database(), &path, None, &[]).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(words) && text.contains(&nss.dir().display().to_string()) && !error.is_input(),
        "{text}"
    );
}

#[tokio::test]
async fn a_damaged_database_is_named_and_stays() {
    for (file, size) in [("cert9.db", 9000), ("cert9.db", 0), ("key4.db", 0)] {
        let nss = Nss::new();
        let path = nss.dir().join(file);
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(size)
            .unwrap();
        let before = fs::read(&path).unwrap();
        refused(&nss, "damaged").await;
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let nss = Nss::new();
    fs::write(nss.dir().join("cert9.db"), [0x55; 30000]).unwrap();
    refused(&nss, "damaged").await;
}

#[tokio::test]
async fn missing_programs_are_named() {
    let nss = Nss::new();
    let tools = nmstate_ipsec_certificates::Tools {
        certutil: "/nonexistent/certutil".into(),
        ..Default::default()
    };
    let error = held(&nss.with(tools), std::time::SystemTime::now())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nonexistent/certutil") && error.contains("nss-tools"),
        "{error}"
    );
}

#[tokio::test]
async fn what_was_imported_can_be_exported_and_removed() {
    let (nss, root) = (Nss::new(), authority("Root", None));
    let between = authority("Between", Some(&root));
    let pairs = ["left", "right"].map(|cn| issue(&between, &Request::new(cn)));
    for (name, pair) in ["left", "right"].into_iter().zip(&pairs) {
        let path = nss.file(&format!("{name}.p12"), &pkcs12(pair, &[&between, &root], ""));
        import_file(&nss.database(), &path, None, &[]).await.unwrap();
    }
    let [left, right] = ["left", "right"].map(|name| name::parse(name).unwrap());
    let bundle = export(&nss.database(), &left).await.unwrap();
    assert!(bundle.certificate == pairs[0].certificate && bundle.key.public_eq(&pairs[0].key));
    let file = nss.place.path().join("out.p12");
    write_bundle(&bundle, "left", &Secret::new("sesame".into()), &file).unwrap();
    assert_eq!(
        write_bundle(&bundle, "left", &Secret::new("sesame".into()), &file)
            .unwrap_err()
            .code(),
        "exists"
    );
    let again = Bundle::open(&file, None, &password("sesame")).unwrap();
    let chain: Vec<String> = again.chain.iter().map(fingerprint).collect();
    assert_eq!(chain.len(), 2);
    // An authority that has issued something stays, also by name.
    let error = remove(&nss.database(), &name::parse("Between").unwrap(), false, false)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "in-use", "{error}");
    let removed = remove(&nss.database(), &left, true, false).await.unwrap();
    assert!(removed.authorities.is_empty());
    assert_eq!((nss.state().lines.len(), nss.state().keys.len()), (3, 1));
    assert_eq!(
        remove(&nss.database(), &left, true, false)
            .await
            .unwrap_err()
            .code(),
        "missing"
    );
    let dry = remove(&nss.database(), &right, true, true).await.unwrap();
    assert_eq!((dry.authorities.len(), nss.state().lines.len()), (2, 3));
    remove(&nss.database(), &right, true, false).await.unwrap();
    assert_eq!((nss.state().lines.len(), nss.state().keys.len()), (0, 0));
    // What was exported is as good as what it was made from, to NSS's own program too.
    let word = nss.file("word", b"sesame");
    nss.run(
        "pk12util",
        &["-i", file.to_str().unwrap(), "-w", word.to_str().unwrap()],
    );
    assert_eq!(nss.trust("left"), ["u,u,u"]);
}

#[tokio::test]
async fn faults_of_what_is_there_are_found() {
    let (nss, ca) = (Nss::new(), authority("Test CA", None));
    let expired = issue(&ca, &Request::new("old").valid(-9 * DAY, -DAY));
    let path = nss.file("old.p12", &pkcs12(&expired, &[], ""));
    nss.run("pk12util", &["-i", path.to_str().unwrap(), "-W", ""]);
    let peer = nss.file(
        "peer.pem",
        &issue(&ca, &Request::new("peer")).certificate.to_pem().unwrap(),
    );
    nss.run(
        "certutil",
        &["-A", "-n", "peer", "-t", ",,", "-i", peer.to_str().unwrap()],
    );
    let codes = |listed: &[nmstate_ipsec_certificates::Held], has_key: bool| -> Vec<String> {
        let certificate = listed.iter().find(|held| held.has_key == has_key).unwrap();
        certificate
            .findings
            .iter()
            .map(|finding| finding.code.to_string())
            .collect()
    };
    let now = std::time::SystemTime::now();
    let listed = held(&nss.database(), now).await.unwrap().certificates;
    assert_eq!(codes(&listed, true), ["expired", "no-authority"]);
    assert_eq!(codes(&listed, false), ["no-authority", "no-key"]);
    let file = nss.file("ca.pem", &ca.certificate.to_pem().unwrap());
    nss.run(
        "certutil",
        &["-A", "-n", "CA", "-t", "CT,C,C", "-i", file.to_str().unwrap()],
    );
    let listed = held(&nss.database(), now).await.unwrap().certificates;
    let peer = listed.iter().find(|held| held.nickname == "peer").unwrap();
    assert_eq!(
        peer.findings
            .iter()
            .map(|finding| &*finding.code)
            .collect::<Vec<_>>(),
        ["no-key"]
    );
    assert!(
        held(&Nss::missing().database(), now)
            .await
            .unwrap()
            .certificates
            .is_empty()
    );
}
