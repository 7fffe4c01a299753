//! The command `cert` as a shell sees it, with real databases and bundles.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, OpenOptions},
    path::Path,
    process::Command,
};

use common::{BINARY, Scene};
use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::Value;

impl Scene {
    fn cert(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = [&["cert"], arguments].concat();
        if arguments.first() != Some(&"bundle") {
            all.extend(["--nssdir", "nss"]);
        }
        let (status, stdout, stderr) = self.run(&all);
        // Ninety of them within the very second in which the certificate was made.
        let text = |text: String| text.replace("in 90 days", "in 89 days");
        (status, text(stdout), text(stderr))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (_, stdout, stderr) = self.cert(arguments);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"))
    }
}

#[test]
fn a_certificate_comes_is_looked_at_and_goes() {
    let scene = Scene::new();
    let (status, stdout, stderr) = scene.cert(&["import", "--dry-run", "left.p12"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("left: would be imported (CN=left, O=Ex, expires in 89 days)\n"),
        "{stdout}"
    );
    assert!(!scene.path("nss").exists());
    let (status, stdout, stderr) = scene.cert(&["import", "left.p12", "right.p12"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "left: imported (CN=left, O=Ex, expires in 89 days)\n  authority 'Test CA': imported (CN=Test CA, O=Ex)\n\
         right: imported (CN=right, O=Ex, expires in 89 days)\n"
    );
    let again = scene.json(&["import", "--json", "left.p12"]);
    assert_eq!(again["bundles"][0]["action"], "unchanged");
    assert_eq!(again["bundles"][0]["authorities"][0]["action"], "unchanged");
    let listed = scene.json(&["list", "--json"]);
    let left = &listed["certificates"][1];
    assert_eq!(
        (&left["nickname"], &left["trust"], &left["has-key"]),
        (&"left".into(), &"u,u,u".into(), &true.into())
    );
    assert_eq!(
        (&left["san"][0], &left["key"]),
        (&"DNS:left.example.org".into(), &"RSA 2048".into())
    );
    assert_eq!(
        (&left["used-by"], &listed["users-known"]),
        (&Value::Array(Vec::new()), &false.into())
    );
    let (status, stdout, stderr) = scene.cert(&["verify"]);
    assert_eq!(
        (status, stdout.as_str()),
        (0, "left: fit for use\nright: fit for use\n")
    );
    assert!(stderr.contains("NetworkManager cannot be asked"), "{stderr}");
    assert_eq!(scene.cert(&["verify", "other"]).0, 1);
    let (status, _, stderr) = scene.cert(&["remove", "Test CA"]);
    assert!(status == 1 && stderr.contains("'left', 'right'"), "{stderr}");
    let (status, stdout, _) = scene.cert(&["remove", "left"]);
    assert_eq!((status, stdout.as_str()), (0, "left: removed\n"));
    let (status, stdout, stderr) = scene.cert(&["remove", "right", "--with-ca"]);
    assert_eq!(
        (status, stdout.as_str()),
        (0, "right: removed\n  authority 'Test CA': removed\n")
    );
    assert!(stderr.contains("not known"), "{stderr}");
    assert_eq!(scene.listed().lines().count(), 4);
}

#[test]
fn what_is_of_no_use_is_found_and_shows_in_the_status() {
    let scene = Scene::new();
    assert_eq!(scene.cert(&["import", "left.p12"]).0, 0);
    // What no import would take, as NSS's own programs take it.
    scene.shell(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old.key -out old.csr -subj /O=Ex/CN=old\n\
         printf '[ca]\\ndefault_ca=any\\n[any]\\ndatabase=index\\nnew_certs_dir=.\\nrand_serial=yes\\npolicy=names\\n' >ca.conf\n\
         printf '[names]\\norganizationName=optional\\ncommonName=supplied\\n' >>ca.conf\n\
         : >index\n\
         openssl ca -batch -config ca.conf -cert ca.pem -keyfile ca.key -in old.csr -md sha256 -notext -out old.pem \
             -startdate 20200101000000Z -enddate 20210101000000Z\n\
         openssl pkcs12 -export -in old.pem -inkey old.key -name old -out old.p12 -passout pass:\n\
         pk12util -i old.p12 -W '' -d sql:nss\n\
         certutil -A -n right -t ,, -i right.pem -d sql:nss",
    );
    let (status, stdout, stderr) = scene.cert(&["verify"]);
    // Certificates without keys are those of peers.
    assert!(
        status == 1 && stdout.starts_with("left: fit for use\nold: error: ") && !stdout.contains("right"),
        "{stdout}{stderr}"
    );
    let (status, stdout, _) = scene.cert(&["verify", "old"]);
    let first = stdout.lines().next().unwrap_or_default();
    assert!(
        status == 1
            && first.starts_with("old: error: the certificate expired on ")
            && first.ends_with("; renew it"),
        "{stdout}"
    );
    for (arguments, has_old) in [
        (&["verify", "--json"][..], true),
        (&["verify", "--json", "left"], false),
    ] {
        let told = scene.json(arguments);
        assert_eq!(told["ok"], !has_old, "{told}");
        let old = told["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["nickname"] == "old");
        assert_eq!(old.is_some(), has_old, "{told}");
        if let Some(old) = old {
            assert_eq!(old["findings"][0]["code"], "expired", "{told}");
        }
    }
    let (status, stdout, _) = scene.cert(&["verify", "right"]);
    assert!(
        status == 0 && stdout.starts_with("right: warning: its key is not there"),
        "{stdout}"
    );
}

#[test]
fn bundles_are_made_and_taken_out_again() {
    let scene = Scene::new();
    fs::write(scene.path("word"), "sesame\n").unwrap();
    let bundle = [
        "bundle", "--cert", "left.pem", "--key", "left.key", "--ca", "ca.pem", "-o",
    ];
    let with = |more: &[&'static str]| [&bundle[..], more].concat();
    assert_eq!(scene.cert(&with(&["plain.p12"])).0, 0);
    assert_eq!(scene.cert(&with(&["sealed.p12", "--password-file", "word"])).0, 0);
    let (status, _, stderr) = scene.cert(&with(&["plain.p12"]));
    assert!(status == 2 && stderr.contains("is there already"), "{stderr}");
    // As the documentation does it with what it makes itself.
    scene.shell("mkdir nss; certutil -N -d sql:nss --empty-password; pk12util -i plain.p12 -W '' -d sql:nss");
    assert!(scene.listed().contains("plain "), "{}", scene.listed());
    scene.shell("rm -r nss");
    let (status, _, stderr) = scene.cert(&["import", "sealed.p12"]);
    assert!(status == 2 && stderr.contains("--password-file"), "{stderr}");
    fs::copy(scene.path("word"), scene.path("sealed_password")).unwrap();
    assert_eq!(scene.cert(&["import", "sealed.p12"]).0, 0);
    assert_eq!(
        scene
            .cert(&["export", "sealed", "-o", "out.p12", "--password-file", "word"])
            .0,
        0
    );
    scene.shell("openssl pkcs12 -in out.p12 -passin file:word -nodes -out out.pem; test $(grep -c 'BEGIN CERT' out.pem) = 2; test $(stat -c %a out.p12) = 600");
    let (status, _, stderr) = scene.cert(&["import", "--key", "right.key", "left.pem"]);
    assert!(status == 2 && stderr.contains("belongs to none"), "{stderr}");
    assert_eq!(
        scene
            .cert(&["import", "--key", "right.key", "--ca", "ca.pem", "right.pem"])
            .0,
        0
    );
}

#[test]
fn a_key_with_a_password_is_bundled() {
    let scene = Scene::new();
    fs::write(scene.path("word"), "sesame\n").unwrap();
    fs::write(scene.path("other"), "rice\n").unwrap();
    scene.shell("openssl pkcs8 -topk8 -in left.key -passout file:word -out sealed.key");
    let bundle = [
        "bundle",
        "--cert",
        "left.pem",
        "--key",
        "sealed.key",
        "-o",
        "left2.p12",
    ];
    let with = |more: &[&'static str]| scene.cert(&[&bundle[..], more].concat());
    for more in [&[][..], &["--password-file", "word"]] {
        let (status, _, stderr) = with(more);
        assert!(
            status == 2 && stderr.starts_with("sealed.key: ") && stderr.contains("--key-password-file"),
            "{stderr}"
        );
    }
    let (status, _, stderr) = with(&["--key-password-file", "other"]);
    assert!(
        status == 2 && stderr.contains("not the one of the key"),
        "{stderr}"
    );
    let (status, _, stderr) = with(&["--key-password-file", "-", "--password-file", "-"]);
    assert!(status == 2 && stderr.contains("standard input"), "{stderr}");
    assert!(!scene.path("left2.p12").exists());
    assert_eq!(
        with(&["--key-password-file", "word", "--password-file", "other"]).0,
        0
    );
    scene.shell("openssl pkcs12 -in left2.p12 -passin file:other -nodes -out out.pem");
}

#[test]
fn a_bad_bundle_among_good_ones_shows_in_the_status() {
    let scene = Scene::new();
    fs::write(scene.path("bad.p12"), "no bundle").unwrap();
    let (status, stdout, stderr) = scene.cert(&["import", "bad.p12", "left.p12"]);
    assert_eq!(status, 2);
    assert!(
        stdout.contains("left: imported") && stderr.starts_with("bad.p12: "),
        "{stdout}{stderr}"
    );
    let told = scene.json(&["import", "--json", "bad.p12", "left.p12"]);
    assert_eq!(told["bundles"][0]["error"]["code"], "malformed");
    assert_eq!(told["bundles"][1]["action"], "unchanged");
    let (status, _, stderr) = scene.cert(&["import", "--nickname", "x", "left.p12", "right.p12"]);
    assert!(status == 2 && stderr.contains("--nickname"), "{stderr}");
}

#[test]
fn a_database_that_another_program_has_locked_is_told() {
    let scene = Scene::new();
    assert_eq!(scene.cert(&["import", "left.p12"]).0, 0);
    let before = scene.listed();
    for name in ["cert9.db", "key4.db"] {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(scene.path("nss").join(name))
            .unwrap();
        // As SQLite locks it.
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let (status, _, stderr) = scene.cert(&["import", "right.p12"]);
        assert!(
            status == 1 && stderr.contains("another program has") && stderr.contains(name),
            "{stderr}"
        );
        drop(file);
        assert_eq!(scene.listed(), before);
    }
    assert_eq!(scene.cert(&["import", "right.p12"]).0, 0);
}

#[test]
fn a_failure_is_told_to_programs_too() {
    let scene = Scene::new();
    assert_eq!(scene.cert(&["import", "left.p12"]).0, 0);
    let told = |arguments: &[&str], code: &str, status: i32| {
        let (found, stdout, stderr) = scene.cert(arguments);
        let told: Value = serde_json::from_str(&stdout).unwrap_or_default();
        assert_eq!((found, stderr.as_str()), (status, ""), "{arguments:?}: {stdout}");
        assert_eq!(told["error"]["code"], code, "{arguments:?}: {stdout}");
        assert!(
            told["error"]["text"].as_str().is_some_and(|text| text.len() > 20),
            "{stdout}"
        );
    };
    told(&["verify", "--json", "other"], "missing", 1);
    told(&["remove", "--json", "other"], "missing", 1);
    told(&["remove", "--json", "ovs_cert"], "nickname", 2);
    told(
        &["import", "--json", "--nickname", "x", "left.p12", "right.p12"],
        "arguments",
        2,
    );
    fs::write(scene.path("nss/cert9.db"), "no database at all").unwrap();
    told(&["list", "--json"], "tool", 1);
    told(&["verify", "--json"], "tool", 1);
    told(&["remove", "--json", "left"], "tool", 1);
    fs::remove_file(scene.path("nss/cert9.db")).unwrap();
    told(&["list", "--json"], "damaged", 1);
    // For people it is said where they look for it.
    let (status, stdout, stderr) = scene.cert(&["list"]);
    assert!(
        status == 1 && stdout.is_empty() && stderr.contains("cert9.db"),
        "{stdout}{stderr}"
    );
}

/// With little room, from none to enough, an import succeeds or leaves everything as it was.
const LITTLE_ROOM: &str = r#"
state() {
    certutil -L -d sql:$PWD/nss > list; cat list; certutil -K -d sql:$PWD/nss 2>&1 | sort
    sed 's/  .*//' list | while read -r name; do certutil -L -n "$name" -a -d sql:$PWD/nss 2>/dev/null; done
}
mkdir -p mounted
for room in 0 40 120 240 256 260 264 268 272 276 280 284 288 292 296 300 320 340 400 READ-ONLY; do
    rm -f nss
    mount -t tmpfs -o size=1000k none mounted
    cp -p start/* mounted/
    ln -s mounted nss
    if [ $room = READ-ONLY ]; then
        mount -o remount,ro mounted
    else
        used=$(df -k --output=used mounted | tail -1)
        fallocate -l $((1000 - used - room))k mounted/filler
    fi
    state > before
    DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent "$BINARY" cert import --nssdir mounted right.p12 > out 2> err
    status=$?
    state > after
    if cmp -s before after; then same=same; else same=changed; fi
    echo "$room $status $same $(tr '\n' ' ' < err)"
    umount mounted
done
"#;

#[test]
fn without_room_everything_is_as_it_was() {
    let scene = Scene::new();
    assert_eq!(scene.cert(&["import", "left.p12"]).0, 0);
    fs::rename(scene.path("nss"), scene.path("start")).unwrap();
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "--map-root-user"])
        .current_dir(scene.0.path())
        .env("BINARY", BINARY);
    if !Path::new("/proc/self/ns/user").exists() || !probe(&mut Command::new("unshare")) {
        return println!("SKIP without_room_everything_is_as_it_was: no file system can be mounted here");
    }
    let output = unshare.args(["sh", "-c", LITTLE_ROOM]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut outcomes = (0, 0, 0);
    for line in told.lines() {
        let [room, status, same, error] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}: {said}")
        };
        match (status, same) {
            ("0", "changed") => outcomes.0 += 1,
            ("1", "same") if error.contains("no room for a change") => outcomes.1 += 1,
            ("1", "same") => outcomes.2 += 1,
            _ => panic!("with {room} kB: {line}"),
        }
        assert_eq!(
            room == "READ-ONLY",
            error.contains("file system read-only"),
            "{line}"
        );
    }
    println!("{told}");
    // Some succeed, some are refused beforehand, some fail in the middle.
    assert!(
        outcomes.0 > 0 && outcomes.1 > 0 && outcomes.2 > 1,
        "{outcomes:?}: {told} {said}"
    );
}

fn probe(unshare: &mut Command) -> bool {
    let mounted = unshare
        .args([
            "--mount",
            "--map-root-user",
            "mount",
            "-t",
            "tmpfs",
            "none",
            "/mnt",
        ])
        .output();
    mounted.is_ok_and(|output| output.status.success())
}
