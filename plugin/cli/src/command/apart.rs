//! What reads certificates is a program of its own: to load OpenSSL takes longer than all else that a command does before it
//! begins, and most commands need none of it.

use std::{
    env,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

/// The program, which is told what the command was told.
const PROGRAM: &str = "nmstate-ipsec-openssl";

/// Where it is installed.
const DIR: &str = "/usr/libexec";

/// What a shell ends with that does not find a program; [`super::Fault`] has no such status, and 1 would be a mere warning of check's.
const NOT_FOUND: u8 = 127;

/// Becomes the program that reads certificates. Returns only if it could not, which it has told then.
pub(super) fn become_it() -> ExitCode {
    let program = find();
    let error = process::Command::new(&program)
        // Usage and errors have the name that people typed.
        .arg0("nmstate-ipsec")
        .args(env::args_os().skip(1))
        .exec();
    eprintln!(
        "failed to run {}, which is a part of nmstate-ipsec and reads certificates: {error}; install the package again",
        program.display()
    );
    ExitCode::from(NOT_FOUND)
}

/// The program beside this one, as cargo builds them, if both have one owner; or the one that is installed.
fn find() -> PathBuf {
    let beside = || {
        let own = env::current_exe().ok()?;
        let beside = own.with_file_name(PROGRAM);
        // A link is followed by nobody: where others may write, it could lead anywhere.
        let (of_own, of_it) = (own.metadata().ok()?, beside.symlink_metadata().ok()?);
        (of_it.is_file() && of_it.uid() == of_own.uid()).then_some(beside)
    };
    beside().unwrap_or_else(|| Path::new(DIR).join(PROGRAM))
}
