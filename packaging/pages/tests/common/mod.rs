//! What the tests of pages and of completions have in common.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use nmstate_ipsec_pages::{File, Release, files};

/// All files, without a date.
pub fn all() -> Vec<File> {
    files(&Release::new(None).unwrap()).unwrap()
}

/// The file at this path.
pub fn one(path: &str) -> File {
    let found = all().into_iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("there is no {path}"))
}

/// Runs a program, unless this host lacks it: then the test says that it is skipped.
pub fn run(test: &str, program: &str, arguments: &[&str]) -> Option<Output> {
    let ran = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    if ran.is_err() {
        println!("SKIP {test}: there is no {program}");
    }
    ran.ok()
}
