//! The command `nmstate-ipsec check`: what it prints, and the status with which it ends.

use std::{
    path::Path,
    process::{Command, Output},
};

#[allow(clippy::unwrap_used)]
fn check(arguments: &[&str]) -> Output {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nmstate-ipsec"));
    command.current_dir(directory).arg("check").args(arguments);
    command.output().unwrap()
}

#[test]
fn the_exit_status_says_the_worst() {
    for (files, status) in [
        (&["clean.yaml"][..], 0),
        (&["mtu-of-interface.yaml"], 0),
        (&["own-network.yaml"], 1),
        (&["own-network.yaml", "md5.yaml", "clean.yaml"], 2),
        (&["no-such-file.yaml"], 2),
        (&["../check-conf/clean.conf"], 0),
        (&["../check-conf/pods.conf"], 0),
        (&["../check-conf/pods.conf", "--pod-network", "10.128.0.0/14"], 1),
        (&["../check-conf/pods.conf", "--pod-network", "10.128.0.0/33"], 2),
        (&["../check-conf/misspelt.conf"], 2),
        (&["no-such-file.conf"], 2),
    ] {
        assert_eq!(check(files).status.code(), Some(status), "{files:?}");
    }
}

#[test]
fn a_person_gets_a_line_a_finding_and_a_summary() {
    let output = check(&["misspelt-key.yaml", "clean.yaml"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "misspelt-key.yaml:12:5: error[unknown-key]: interfaces[0].libreswan.rigthid: unknown key 'rigthid'; \
         did you mean 'rightid'?\n2 files, 3 good documents: 1 error, 0 warnings, 0 infos\n"
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn a_program_gets_one_object() {
    let output = check(&[
        "--json",
        "fight-over-secret.yaml",
        "no-such-file.yaml",
        "clean.yaml",
    ]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &told["findings"][0];
    assert_eq!(finding["code"], "interface-fight");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["file"], "fight-over-secret.yaml");
    assert_eq!(finding["line"], 14);
    assert_eq!(finding["path"], "interfaces[0]");
    assert_eq!(told["findings"][1]["code"], "unreadable");
    assert_eq!(told["findings"][1]["line"], serde_json::Value::Null);
    assert_eq!(
        told["summary"]["errors"],
        told["findings"].as_array().unwrap().len()
    );
    assert_eq!(told["summary"]["files"], 3);
    assert!(!String::from_utf8(output.stdout).unwrap().contains("sesame"));
}

/// Two files fight as two documents of one file do.
#[test]
fn files_are_compared_with_one_another() {
    let output = check(&["null-encryption.yaml", "cast.yaml"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("cast.yaml:3:3: error[interface-fight]"), "{told}");
    assert!(told.contains("differently at null-encryption.yaml:3"), "{told}");
}
