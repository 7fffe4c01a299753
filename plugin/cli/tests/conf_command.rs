//! The commands `import` and `export` as a shell sees them.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nmstate-ipsec"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf"))
        .output()
        .unwrap()
}

#[test]
fn what_is_wrong_leaves_standard_output_empty() {
    for arguments in [
        ["import", "values-wrong.conf"],
        ["import", "no-such-file.conf"],
        ["import", "."],
        ["export", "values-wrong.conf"],
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn documents_and_profiles_are_written() {
    for (option, begins) in [
        ("--policy", "apiVersion: nmstate.io/v1\n"),
        ("--profile", "[connection]\nid=hosts\n"),
        ("--local=left", "interfaces:\n- name: hosts\n"),
    ] {
        let output = run(&["import", "host-psk.conf", option]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{option}");
        assert!(text.starts_with(begins), "{option}: {text}");
    }
    let output = run(&["export", "../../../../policy-examples/remove.yaml"]);
    assert_eq!(output.status.code(), Some(2));
}
