//! Another program locks the database in the middle of an import.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    env,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use common::{Nss, Request, Saboteur, authority, import_file, issue, pkcs12};
use rustix::fs::{FlockOperation, fcntl_lock};

/// Not a test but the other program, where this says which file it locks: as SQLite does, until somebody waits for it and
/// somebody writes to the FIFO beside it.
const VARIABLE: &str = "LOCKED_FILE";

#[test]
fn a_program_that_locks_a_file() {
    let Some(path) = env::var_os(VARIABLE).map(PathBuf::from) else {
        return;
    };
    let file = File::options().read(true).write(true).open(&path).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::write(path.with_file_name("locked"), "").unwrap();
    File::open(path.with_file_name("release"))
        .unwrap()
        .read_to_end(&mut Vec::new())
        .unwrap();
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    while is_kept(Path::new("/proc/locks"), &inode) {
        std::thread::yield_now();
    }
}

/// Whether nobody waits for the file yet, as far as that can be known.
fn is_kept(locks: &Path, inode: &str) -> bool {
    let locks = fs::read_to_string(locks).unwrap_or_default();
    let of_it: Vec<&str> = locks.lines().filter(|line| line.contains(inode)).collect();
    !of_it.is_empty() && !of_it.iter().any(|line| line.contains("->"))
}

#[tokio::test]
async fn undoing_waits_for_another_programs_lock() {
    for name in ["cert9.db", "key4.db"] {
        let (nss, ca) = (Nss::new(), authority("Test CA", None));
        let bundle = |name: &str| pkcs12(&issue(&ca, &Request::new(name)), &[&ca], "");
        let path = nss.file("bystander.p12", &bundle("bystander"));
        import_file(&nss.database(), &path, None, &[]).await.unwrap();
        let made = Command::new("mkfifo")
            .args(["locked", "release"])
            .current_dir(nss.dir())
            .status();
        assert!(made.unwrap().success());
        let before = nss.state();
        // The lock comes when the certificate is in, and the fourth program fails of it, or is made to where it only
        // reads; it is let go when undoing has failed of it once.
        let holder = env::current_exe().unwrap();
        let saboteur = Saboteur::new(&format!(
            "cd {dir}\n\
             if [ $n = 4 ]; then\n\
                 {VARIABLE}={dir}/{name} {holder} --exact a_program_that_locks_a_file >/dev/null 2>&1 &\n\
                 cat locked; $tool \"$@\"; exit 9\n\
             fi\n\
             [ $n = 5 ] && {{ $tool \"$@\"; status=$?; echo >release; exit $status; }}",
            dir = nss.dir().display(),
            holder = holder.display(),
        ));
        let path = nss.file("left.p12", &bundle("left"));
        let error = import_file(&nss.with(saboteur.tools()), &path, None, &[])
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("everything in it is as it was"),
            "{error}"
        );
        assert!(saboteur.calls() > 5, "{error}");
        assert_eq!(nss.state(), before);
        import_file(&nss.database(), &path, None, &[]).await.unwrap();
    }
}
