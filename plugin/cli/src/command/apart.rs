//! What reads certificates is a program of its own: to load OpenSSL takes longer than all else that a command does before it
//! begins, and most commands need none of it.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process,
};

use super::Fault;

/// The program, which is told what the command was told.
const PROGRAM: &str = "nmstate-ipsec-openssl";

/// Where it is installed.
const DIR: &str = "/usr/libexec";

/// Becomes the program that reads certificates. Returns why it could not.
pub(super) fn become_it() -> Fault {
    let program = find();
    let error = process::Command::new(&program)
        // Usage and errors have the name that people typed.
        .arg0("nmstate-ipsec")
        .args(env::args_os().skip(1))
        .exec();
    Fault::Failed(format!(
        "failed to run {}, which is a part of nmstate-ipsec and reads certificates: {error}; install the package again",
        program.display()
    ))
}

/// The program beside this one, as cargo builds them, or the one that is installed.
fn find() -> PathBuf {
    let beside = env::current_exe().map(|own| own.with_file_name(PROGRAM));
    beside
        .ok()
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| Path::new(DIR).join(PROGRAM))
}
