//! The command `render` as a shell sees it.
#![allow(clippy::unwrap_used)]

mod common;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

use common::{Scene, rendered::decoded};
use serde_json::Value;

const DOCUMENTED: &str = include_str!("render/documented.yaml");

/// Sections of a unit, and their lines without comments.
fn sections(unit: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in unit
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line.starts_with('[') {
            section = line;
        } else {
            sections.entry(section).or_default().push(line);
        }
    }
    sections
}

/// Compares everything but what is in files; a unit may say more than the documented one.
fn compare(ours: &Value, documented: &Value, place: &str) {
    match (ours, documented) {
        (Value::Object(ours), Value::Object(documented)) => {
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(ours), keys(documented), "{place}");
            for (key, value) in documented {
                compare(&ours[key], value, &format!("{place}.{key}"));
            }
        }
        (Value::Array(ours), Value::Array(documented)) => {
            assert_eq!(ours.len(), documented.len(), "{place}");
            for (index, (ours, documented)) in ours.iter().zip(documented).enumerate() {
                compare(ours, documented, &format!("{place}[{index}]"));
            }
        }
        (Value::String(ours), Value::String(documented)) if place.ends_with("].contents") => {
            let (ours, documented) = (sections(ours), sections(documented));
            for (section, lines) in documented {
                let missing: Vec<_> = lines
                    .iter()
                    .filter(|line| !ours[section].contains(line))
                    .collect();
                assert!(missing.is_empty(), "{section}: {missing:?}");
            }
        }
        (Value::String(ours), Value::String(documented)) if place.ends_with(".source") => {
            assert!(
                ours.starts_with(documented) && ours.len() > documented.len(),
                "{place}"
            );
        }
        _ => assert_eq!(ours, documented, "{place}"),
    }
}

#[test]
fn with_the_script_it_is_the_documented_one() {
    let scene = Scene::new();
    scene.left_server("left", "");
    let arguments = ["--script", "--bundle", "left_server.p12", "--ca", "ca.pem"];
    let (machine_config, _) = scene.rendered(&arguments);
    let documented: Value = serde_yaml::from_str(DOCUMENTED).unwrap();
    compare(&machine_config, &documented, "");
    let files = decoded(&machine_config);
    let on_node = |path: &str| &files[path].0;
    let here = |name: &str| fs::read(scene.path(name)).unwrap();
    assert_eq!(*on_node("/etc/pki/certs/ca.pem"), here("ca.pem"));
    assert_eq!(
        *on_node("/etc/pki/certs/left_server.p12"),
        here("left_server.p12")
    );
    assert!(on_node("/usr/local/bin/ipsec-addcert.sh").starts_with(b"#!/bin/bash\n"));
    // Nothing of it changes by itself.
    assert_eq!(scene.render(&arguments), scene.render(&arguments));
}

#[test]
fn nodes_with_our_package_get_what_was_given() {
    let scene = Scene::new();
    scene.left_server("left", "sesame");
    scene.authority("second");
    scene.shell(
        "printf 'sesame\\n' > left_server_password; openssl x509 -in second.pem -outform der -out second.der",
    );
    let (machine_config, _) = scene.rendered(&[
        "--bundle",
        "left_server.p12",
        "--bundle",
        "right.p12",
        "--ca",
        "second.der",
        "--ca",
        "ca.pem",
        "--ca",
        "second.pem",
    ]);
    let here = |name: &str| fs::read(scene.path(name)).unwrap();
    let on_node = [
        ("ca.pem", [here("second.pem"), here("ca.pem")].concat()),
        ("left_server.p12", here("left_server.p12")),
        ("left_server_password", b"sesame".to_vec()),
        ("right.p12", here("right.p12")),
    ];
    let expected = on_node.map(|(name, contents)| (format!("/etc/pki/certs/{name}"), (contents, 0o400)));
    assert_eq!(decoded(&machine_config), BTreeMap::from(expected));
    assert_eq!(
        machine_config["spec"]["config"]["systemd"]["units"],
        serde_json::json!([
            { "enabled": true, "name": "nmstate-ipsec-certificates.path" },
            { "enabled": true, "name": "nmstate-ipsec-certificates.service" },
        ])
    );
    assert_eq!(machine_config["metadata"]["name"], "99-worker-ipsec-certificates");
}

#[test]
fn what_a_node_could_not_read_is_made_anew() {
    let scene = Scene::new();
    scene.left_server("left", "sesame");
    scene.shell(
        "echo sesame > word; cat left.pem left.key > plain.pem\n\
         openssl rsa -in left.key -aes128 -passout file:word -out sealed.key",
    );
    let p12 = "/etc/pki/certs/left_server.p12";
    let word = ["--nickname", "left_server", "--password-file", "word"];
    let with =
        |more: &[&'static str]| [more, &word[..], &["--ca", "ca.pem", "--no-disruption-policy"]].concat();
    for (arguments, password, says) in [
        // The script knows no password.
        (
            with(&["--script", "--bundle", "left_server.p12"]),
            "",
            "left_server: the script knows no passwords",
        ),
        (
            with(&["--bundle", "left.pem", "--key", "sealed.key"]),
            "sesame",
            "left_server: made into PKCS#12 anew",
        ),
        (
            vec![
                "--bundle",
                "plain.pem",
                "--nickname",
                "left_server",
                "--ca",
                "ca.pem",
            ],
            "",
            "left_server: made into PKCS#12 anew",
        ),
        // pk12util would call it 'other'.
        (
            vec!["--script", "--bundle", "left.p12", "--nickname", "left_server"],
            "",
            "left_server: made into PKCS#12 anew",
        ),
    ] {
        let (status, stdout, stderr) = scene.render(&arguments);
        assert!(status == 0 && stderr.contains(says), "{stderr}");
        assert!(!stderr.contains("sesame"), "{stderr}");
        let document = stdout.split("\n---\n").next().unwrap();
        let files = decoded(&serde_yaml::from_str(document).unwrap());
        fs::write(scene.path("out.p12"), &files[p12].0).unwrap();
        let sent = files
            .get("/etc/pki/certs/left_server_password")
            .map_or(&b""[..], |file| &file.0);
        assert_eq!(sent, password.as_bytes());
        let output = scene.shell(&format!(
            "openssl pkcs12 -in out.p12 -passin pass:{password} -nodes -out out.pem\n\
             openssl rsa -in out.pem -pubout > out.pub; openssl rsa -in left.key -pubout | cmp - out.pub\n\
             grep friendlyName out.pem | sort -u"
        ));
        let names = String::from_utf8(output.stdout).unwrap();
        assert_eq!(names.trim(), "friendlyName: left_server");
    }
}

#[test]
fn the_policy_saves_the_reboot_for_everything_there_is() {
    let scene = Scene::new();
    scene.left_server("left", "");
    for script in [&[][..], &["--script"]] {
        let bundles = [
            "--ca",
            "ca.pem",
            "--bundle",
            "left_server.p12",
            "--bundle",
            "right.p12",
        ];
        let (machine_config, policy) = scene.rendered(&[&bundles, script].concat());
        assert_eq!(policy["kind"], "MachineConfiguration");
        let policy = &policy["spec"]["nodeDisruptionPolicy"];
        let names = |list: &Value, key: &str| -> Vec<String> {
            let entries = list.as_array().unwrap().iter();
            entries
                .map(|entry| entry[key].as_str().unwrap().to_owned())
                .collect()
        };
        let config = &machine_config["spec"]["config"];
        assert_eq!(
            names(&policy["files"], "path"),
            names(&config["storage"]["files"], "path")
        );
        assert_eq!(
            names(&policy["units"], "name"),
            names(&config["systemd"]["units"], "name")
        );
        let entries = [&policy["files"], &policy["units"]].map(|list| list.as_array().unwrap());
        for entry in entries.into_iter().flatten() {
            let actions = entry["actions"].as_array().unwrap();
            let last = actions.last().unwrap();
            let is_import = ["ipsec-import.service", "nmstate-ipsec-certificates.service"]
                .iter()
                .any(|unit| last["restart"]["serviceName"] == *unit);
            assert!(
                last["type"] == "Restart" && (is_import || entry["name"] == last["restart"]["serviceName"]),
                "{entry}"
            );
        }
    }
}

#[test]
fn json_holds_one_object_or_a_list() {
    let scene = Scene::new();
    let bundle = ["--json", "--bundle", "left.p12", "--name", "50-mine"];
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&scene.render(arguments).1).unwrap() };
    let list = json(&bundle);
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&"v1".into(), &"List".into())
    );
    let (machine_config, policy) = scene.rendered(&bundle[1..]);
    assert_eq!(list["items"], Value::Array(vec![machine_config.clone(), policy]));
    assert_eq!(
        json(&[&bundle[..], &["--no-disruption-policy"]].concat()),
        machine_config
    );
    assert_eq!(machine_config["metadata"]["name"], "50-mine");
}

#[test]
fn a_file_is_new_and_private() {
    let scene = Scene::new();
    let arguments = ["--bundle", "left.p12", "--output", "out.yaml"];
    let (status, stdout, stderr) = scene.render(&arguments);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "", ""));
    let mode = fs::metadata(scene.path("out.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(scene.path("out.yaml")).unwrap();
    let (status, _, stderr) = scene.render(&arguments);
    assert!(status == 2 && stderr.contains("is there already"), "{stderr}");
    assert_eq!(fs::read(scene.path("out.yaml")).unwrap(), before);
}

/// What is of no use, and what is said of it.
const OF_NO_USE: &[(&str, &str)] = &[
    ("--bundle left.p12 --nickname .left", "hidden files"),
    ("--ca ca.pem", "--bundle"),
    ("--bundle nothing.p12", "nothing.p12: cannot be read"),
    (
        "--bundle left.p12 --ca nothing.pem",
        "nothing.pem: cannot be read",
    ),
    ("--bundle left.p12 --ca left.key", "left.key: holds 0"),
    ("--bundle left.p12 --bundle cut.p12", "cut.p12: "),
    ("--bundle mixed.pem --ca ca.pem", "belongs to none"),
    ("--bundle left.p12 --ca second.pem", "does not lead to"),
    ("--bundle alone.p12", "with --ca"),
    ("--bundle self.pem --key right.key", "with --ca"),
    ("--bundle self.pem --key right.key --ca self.pem", "with --ca"),
    (
        "--bundle late.pem --key right.key --ca ca.pem",
        "late.pem: not rendered: the certificate expired",
    ),
    ("--bundle sealed.p12", "--password-file"),
    (
        "--bundle left.p12 --bundle sub/left.p12",
        "both have the nickname 'left'",
    ),
    (
        "--bundle left.p12 --bundle again.p12",
        "one subject, 'CN=left, O=Ex'",
    ),
    ("--bundle ovs_left.p12", "does not begin with ovs_"),
    (
        "--bundle ovs_x.pem --nickname x --key ovs_x.key --ca ca.pem",
        "its common name",
    ),
    (
        "--bundle left.p12 --nickname CA --script",
        "the script calls authorities so",
    ),
    (
        "--bundle left.p12 --bundle right.p12 --nickname x",
        "--nickname is for one bundle",
    ),
    (
        "--bundle left.p12 --bundle right.p12 --password-file -",
        "standard input is for one bundle",
    ),
    ("--bundle left.p12 --name a_b", "the name of a MachineConfig"),
];

#[test]
fn what_is_of_no_use_is_refused_and_nothing_is_written() {
    let scene = Scene::new();
    scene.authority("second");
    scene.issue("again", "/O=Ex/CN=left");
    scene.issue("ovs_x", "/O=Ex/CN=ovs_x");
    scene.shell(
        "openssl pkcs12 -export -in again.pem -inkey again.key -certfile ca.pem -out again.p12 -passout pass:\n\
         openssl pkcs12 -export -in right.pem -inkey right.key -out alone.p12 -passout pass:\n\
         openssl pkcs12 -export -in right.pem -inkey right.key -certfile ca.pem -out sealed.p12 -passout pass:sesame\n\
         mkdir sub; cp right.p12 sub/left.p12; cp left.p12 ovs_left.p12\n\
         openssl req -x509 -key right.key -subj /CN=self -addext keyUsage=digitalSignature -days 90 -out self.pem\n\
         openssl x509 -req -in right.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -out late.pem\n\
         head -c 1000 left.p12 > cut.p12; cat left.pem right.key > mixed.pem",
    );
    for (arguments, says) in OF_NO_USE {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (status, stdout, stderr) = scene.render(&arguments);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
    }
    let (status, _, stderr) = scene.run(&["render", "machine-config", "--bundle", "left.p12", "--role", "W"]);
    assert!(
        status == 2 && stderr.contains("the name of a machine config pool"),
        "{stderr}"
    );
    // Our package calls authorities by their common names.
    assert_eq!(scene.render(&["--bundle", "left.p12", "--nickname", "CA"]).0, 0);
}
