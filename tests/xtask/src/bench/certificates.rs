//! `nmstate-ipsec cert import` on this machine, against NSS's own programs as the documentation has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lab::install::Build;

use super::times::{Row, Times};

const RUNS: usize = 21;

/// An authority, and a certificate that it issued for left_server.
const ISSUE: &str = "\
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 900 \
    -subj '/O=Example/CN=CA' -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign
openssl req -newkey rsa:2048 -nodes -keyout left.key -out left.csr -subj /O=Example/CN=left.example.org
echo subjectAltName=DNS:left.example.org >left.ext
openssl x509 -req -in left.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile left.ext -out left.pem
openssl pkcs12 -export -in left.pem -inkey left.key -certfile ca.pem -name left_server -out left_server.p12 -passout pass:
mkdir empty; certutil -N -d sql:empty --empty-password";

pub(super) fn run() -> Result<()> {
    let command = Build::Release.programs()?.join("nmstate-ipsec");
    let dir = tempfile::tempdir().context("making a directory for the certificates")?;
    let dir = dir.path();
    done(Command::new("sh").args(["-ec", ISSUE]).current_dir(dir))?;
    let (mut plain, mut new, mut again) = (Times::default(), Times::default(), Times::default());
    for run in 0..RUNS {
        let database = copy(dir, &format!("plain{run}"))?;
        plain.measure(|| documented(dir, &database))?;
        let database = copy(dir, &format!("ours{run}"))?;
        new.measure(|| import(&command, dir, &database, "imported"))?;
        again.measure(|| import(&command, dir, &database, "there already"))?;
    }
    println!("\nimport of certificates, medians of {RUNS} runs in turns, seconds, release build");
    println!("plain: certutil -A, pk12util -i, certutil -M\n");
    for (work, ours, most) in [
        ("a new bundle", &new, 1.1),
        ("the same bundle again", &again, 0.4),
    ] {
        Row {
            work,
            ours,
            plain: &plain,
        }
        .print(Some(most));
    }
    Ok(())
}

/// A database of its own with nothing in it.
fn copy(dir: &Path, name: &str) -> Result<PathBuf> {
    let to = dir.join(name);
    fs::create_dir(&to)?;
    for file in fs::read_dir(dir.join("empty"))? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(to)
}

/// What the documentation has an administrator do.
fn documented(dir: &Path, database: &Path) -> Result<()> {
    let place = format!("sql:{}", database.display());
    let steps: [&[&str]; 3] = [
        &["certutil", "-A", "-n", "CA", "-t", "CT,C,C", "-i", "ca.pem"],
        &["pk12util", "-W", "", "-i", "left_server.p12"],
        &["certutil", "-M", "-n", "left_server", "-t", "u,u,u"],
    ];
    for step in steps {
        done(
            Command::new(step[0])
                .args(&step[1..])
                .args(["-d", &place])
                .current_dir(dir),
        )?;
    }
    Ok(())
}

fn import(command: &Path, dir: &Path, database: &Path, outcome: &str) -> Result<()> {
    let mut import = Command::new(command);
    import
        .args(["cert", "import", "left_server.p12", "--ca", "ca.pem", "--nssdir"])
        .arg(database)
        .current_dir(dir);
    let said = import.output().context("running nmstate-ipsec")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure!(
        said.starts_with(&format!("left_server: {outcome}")),
        "the import said: {said}"
    );
    Ok(())
}

fn done(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
