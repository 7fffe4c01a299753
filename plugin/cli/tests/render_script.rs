//! What `render machine-config --script` brings to a node, run as there with NSS's own programs.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use common::{Scene, rendered::decoded};
use serde_json::Value;

/// A node without our package, in a directory.
struct Node<'a>(&'a Scene);

impl Node<'_> {
    /// Writes the files of a MachineConfig, as they are but for the script's directories.
    fn take(&self, machine_config: &Value) {
        for (path, (contents, mode)) in decoded(machine_config) {
            let place = self.0.path("node").join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            drop(fs::remove_file(&place));
            let contents = if Path::new(&path).extension().is_some_and(|ending| ending == "sh") {
                self.moved(String::from_utf8(contents).unwrap()).into_bytes()
            } else {
                contents
            };
            fs::write(&place, contents).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(u32::try_from(mode).unwrap())).unwrap();
        }
    }

    fn moved(&self, mut script: String) -> String {
        let root = self.0.path("node");
        fs::create_dir_all(root.join("run")).unwrap();
        for (line, place) in [
            ("certs_dir=/etc/pki/certs\n", root.join("etc/pki/certs")),
            ("nss_dir=/var/lib/ipsec/nss\n", self.0.path("nss")),
            ("run_dir=/run\n", root.join("run")),
        ] {
            let (name, _) = line.split_once('=').unwrap();
            assert!(script.contains(line), "{script}");
            script = script.replace(line, &format!("{name}={}\n", place.display()));
        }
        script
    }

    /// Runs what the unit runs.
    fn start(&self) -> Output {
        let script = self.0.path("node/usr/local/bin/ipsec-addcert.sh");
        let output = Command::new(script).output().unwrap();
        let left = fs::read_dir(self.0.path("node/run")).unwrap().count();
        assert_eq!(left, 0, "something is left in /run");
        output
    }

    /// What the script says of certificates.
    fn told(&self) -> String {
        let output = self.start();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8(output.stdout).unwrap();
        let lines = said.lines().filter(|line| !line.starts_with("pk12util"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Nicknames with trusts, and nicknames with the keys' identifiers.
    fn database(&self) -> (Vec<String>, Vec<String>) {
        let output = self
            .0
            .shell("certutil -K -d sql:nss | sed -n 's/^<.*> *[a-z]* *//p'");
        let keys = String::from_utf8(output.stdout).unwrap();
        let listed = self.0.listed();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut certificates: Vec<String> = listed.lines().skip(4).map(words).collect();
        certificates.sort();
        (certificates, keys.lines().map(words).collect())
    }

    /// The certificate is the only one of its nickname.
    fn has(&self, nickname: &str, file: &str) {
        self.0.shell(&format!(
            "certutil -L -d sql:nss -n '{nickname}' -a | tr -d '\\r' | cmp - {file}"
        ));
    }
}

#[test]
fn the_script_imports_once_and_replaces_what_has_changed() {
    let scene = Scene::new();
    let node = Node(&scene);
    let script = ["--script", "--bundle", "left_server.p12", "--ca", "ca.pem"];
    scene.left_server("left", "");
    node.take(&scene.rendered(&script).0);
    assert_eq!(node.told(), "left_server: imported");
    let first = node.database();
    assert_eq!(first.0, ["CA CT,C,C", "left_server u,u,u"]);
    assert!(
        first.1.len() == 1 && first.1[0].ends_with(" left_server"),
        "{:?}",
        first.1
    );
    assert_eq!(node.told(), "left_server: there already");
    assert_eq!(node.database(), first);
    // Renewed: with another key, with the same key, with another subject.
    for (name, key, subject) in [
        ("renewed", "renewed", "/O=Ex/CN=left"),
        ("resigned", "renewed", "/O=Ex/CN=left"),
        ("moved", "moved", "/O=Ex/CN=elsewhere"),
    ] {
        if key != name {
            scene.shell(&format!("cp {key}.key {name}.key"));
        }
        scene.issue(name, subject);
        scene.left_server(name, "");
        node.take(&scene.rendered(&script).0);
        assert_eq!(node.told(), "left_server: imported", "{name}");
        let (certificates, keys) = node.database();
        assert_eq!(certificates, first.0, "{name}");
        assert_eq!(keys.len(), 1, "{name}: {keys:?}");
        node.has("left_server", &format!("{name}.pem"));
        assert_eq!(node.told(), "left_server: there already");
        assert_eq!(node.database(), (certificates, keys), "{name}");
    }
}

#[test]
fn the_script_trusts_the_authorities_that_it_has_and_no_others() {
    let scene = Scene::new();
    let node = Node(&scene);
    scene.authority("second");
    scene.authority("third");
    scene.left_server("left", "");
    let trusted = |authorities: &[&str]| {
        let bundles = ["--script", "--bundle", "left_server.p12", "--bundle", "right.p12"];
        let options = authorities.iter().flat_map(|name| ["--ca", name]);
        let arguments: Vec<&str> = bundles.into_iter().chain(options).collect();
        node.take(&scene.rendered(&arguments).0);
        for _ in 0..2 {
            node.told();
            for (index, authority) in authorities.iter().enumerate() {
                let nickname = match index {
                    0 => "CA".to_owned(),
                    _ => format!("CA {}", index + 1),
                };
                node.has(&nickname, authority);
            }
            let (certificates, keys) = node.database();
            let count = |end: &str| certificates.iter().filter(|line| line.ends_with(end)).count();
            assert_eq!(
                (count(" CT,C,C"), count(" u,u,u"), keys.len()),
                (authorities.len(), 2, 2),
                "{certificates:?}"
            );
        }
    };
    trusted(&["ca.pem"]);
    trusted(&["second.pem", "ca.pem", "third.pem"]);
    trusted(&["ca.pem", "third.pem"]);
    trusted(&["ca.pem"]);
}

#[test]
fn the_script_puts_in_order_what_the_documented_commands_have_left() {
    let scene = Scene::new();
    let node = Node(&scene);
    scene.issue("renewed", "/O=Ex/CN=left");
    scene.shell("mkdir nss; certutil -N -d sql:nss --empty-password");
    for name in ["left", "renewed"] {
        scene.left_server(name, "");
        scene.shell(
            "certutil -A -n CA -t CT,C,C -d sql:nss -i ca.pem; pk12util -W '' -i left_server.p12 -d sql:nss\n\
             certutil -M -n left_server -t u,u,u -d sql:nss",
        );
    }
    assert_eq!(
        node.database().0,
        ["CA CT,C,C", "left_server u,u,u", "left_server u,u,u"]
    );
    let (machine_config, _) = scene.rendered(&["--script", "--bundle", "left_server.p12", "--ca", "ca.pem"]);
    node.take(&machine_config);
    assert_eq!(node.told(), "left_server: imported");
    assert_eq!(node.database().0, ["CA CT,C,C", "left_server u,u,u"]);
    node.has("left_server", "renewed.pem");
}

#[test]
fn a_bundle_that_the_script_cannot_import_leaves_the_database_alone() {
    let scene = Scene::new();
    let node = Node(&scene);
    scene.left_server("left", "");
    let arguments = ["--script", "--bundle", "right.p12", "--bundle", "left_server.p12"];
    node.take(&scene.rendered(&[&arguments[..], &["--ca", "ca.pem"]].concat()).0);
    node.told();
    let before = node.database();
    let place = scene.path("node/etc/pki/certs/left_server.p12");
    // One that is damaged, and one that goes by another name.
    let other = fs::read(scene.path("left.p12")).unwrap();
    let damaged = other.iter().take(1000).copied().collect();
    for (contents, says) in [(damaged, "pk12util"), (other, "another friendly name")] {
        fs::remove_file(&place).unwrap();
        fs::write(&place, contents).unwrap();
        let output = node.start();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{said}");
        assert_eq!(node.database(), before);
    }
}
