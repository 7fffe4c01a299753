//! Where a secret may be while a connection comes up and is up, and where not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::world::{Host, World};

use crate::profile::Profile;

/// Nothing else in the guest has this text.
const SECRET: &str = "kohlrabi-9f3c1e77-verbena";

/// The only other file with the secret that the story itself makes on left; searches read it from here, so that it is in
/// none of their arguments.
const PATTERN: &str = "/run/lab/pattern";
const PROFILE: Profile = Profile {
    id: "secrets",
    uuid: "5ec2e75e-0000-4000-8000-000000000001",
    data: "rightsubnet=192.0.2.252/32\ntype=transport\n",
    psk: SECRET,
};

/// right's secrets, which are of the other host.
const OF_RIGHT: &str = "/etc/right/ipsec.secrets";

/// Looks into every process's arguments and environment again and again, and writes down the programs that it saw and
/// where the secret was.
const WATCHER: &str = include_str!("secrets/watch.pl");

/// What the daemon runs ends too quickly for anybody who looks around: each of these programs first writes down what it
/// was called with.
const WRAP: &str = r#"
cd /usr/libexec/ipsec
for program in addconn whack; do
    mv $program real-$program
    cat >$program <<'END'
#!/bin/sh
tr '\0' '\n' </proc/$$/cmdline >>/run/pluto/arguments
tr '\0' '\n' </proc/$$/environ >>/run/pluto/arguments
exec "/usr/libexec/ipsec/real-${0##*/}" "$@"
END
    chmod 755 $program
done
"#;

/// What the programs wrote down.
const ARGUMENTS: &str = "/run/pluto/arguments";

/// How long a condition may take.
const PATIENCE: Duration = Duration::from_secs(60);

const SIGTERM: i32 = 15;

/// The secret is in NetworkManager's profile, in our secrets file, and nowhere else; after the connection only in the
/// former. Not even a crash writes it anywhere.
pub(crate) fn stay_secret(world: &World) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    right.set_psk(SECRET)?;
    right.add_connection(
        "peer",
        &[&lab::peer::PSK_PEER[..], &["ikev2=insist", "type=transport"]].concat(),
    )?;
    let agent = world.agent();
    agent.put(PATTERN, 0o600, format!("{SECRET}\n").as_bytes())?;
    PROFILE.load(world)?;
    comes_up_watched(world)?;

    let ours = format!("/etc/ipsec.d/nmstate-ipsec-{}.secrets", PROFILE.uuid);
    let path = PROFILE.path();
    let digits: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    is_only_in(left, &[&path])?;
    agent.put(PATTERN, 0o600, format!("{digits}\n").as_bytes())?;
    is_only_in(left, &[&ours])?;
    let modes = left.command(["stat", "-c", "%a %U", &path, &ours]).run()?;
    ensure!(
        modes == "600 root\n600 root\n",
        "files with secrets are of the modes:\n{modes}"
    );

    leave_no_core(left)?;
    is_only_in(left, &[])?;
    agent.put(PATTERN, 0o600, format!("{SECRET}\n").as_bytes())?;
    is_only_in(left, &[&path])
}

/// Brings the connection up and looks at the arguments and the environment of every process meanwhile.
fn comes_up_watched(world: &World) -> Result<()> {
    let (left, agent) = (world.left(), world.agent());
    left.shell(WRAP).run()?;
    agent.put("/run/lab/watch.pl", 0o600, WATCHER.as_bytes())?;
    let watcher = left
        .command(["perl", "/run/lab/watch.pl", PATTERN])
        .spawn("/run/lab/watch")?;
    wait_until("the watcher has seen who runs already", PATIENCE, || {
        let seen = agent.get(&watcher.stdout)?;
        Ok(String::from_utf8_lossy(&seen).contains("settled").then_some(()))
    })?;
    left.command(["nmcli", "connection", "up", PROFILE.id]).run()?;
    left.ping("192.0.2.252")?;
    watcher.signal(SIGTERM)?;
    watcher.wait(PATIENCE)?;
    let seen = String::from_utf8_lossy(&agent.get(&watcher.stdout)?).into_owned();
    for program in ["nm-libreswan-service", "nmstate-ipsecd", "pluto"] {
        ensure!(
            seen.lines().any(|line| line == format!("saw {program}")),
            "the watcher was too slow to see {program}:\n{seen}"
        );
    }
    ensure!(
        !seen.contains("SECRET"),
        "the secret was in a process's arguments or environment:\n{seen}"
    );

    let written = String::from_utf8_lossy(&agent.get(ARGUMENTS)?).into_owned();
    for program in ["addconn", "whack"] {
        let path = format!("/usr/libexec/ipsec/{program}");
        ensure!(
            written.lines().any(|line| line == path),
            "{program} was not run:\n{written}"
        );
    }
    ensure!(
        !written.contains(SECRET),
        "the secret was in a program's arguments or environment:\n{written}"
    );
    Ok(())
}

/// What is in [`PATTERN`] is in these files of the host, in no other, and not in the journal.
fn is_only_in(left: Host<'_>, expected: &[&str]) -> Result<()> {
    let search = format!(
        "grep -rlsaF -f {PATTERN} --exclude-dir=lab /etc /home /opt /root /run /srv /tmp /var /core* /dev/shm"
    );
    // grep ends with 1 if it found nothing and with 2 if a file vanished meanwhile.
    let found = left.command(["bash", "-c", &search]).output()?.stdout;
    let mut found: Vec<&str> = found.lines().filter(|path| *path != OF_RIGHT).collect();
    found.sort_unstable();
    ensure!(
        found == expected,
        "the secret is in {found:?}, not in {expected:?}"
    );
    let journal = left
        .shell(&format!(
            "journalctl -b -o export | grep -acF -f {PATTERN} || true"
        ))
        .run()?;
    ensure!(
        journal.trim() == "0",
        "the secret is in {} lines of the journal",
        journal.trim()
    );
    Ok(())
}

/// A crash of the plugin and then of the daemon leaves no core, though others would; the connection goes with the plugin.
fn leave_no_core(left: Host<'_>) -> Result<()> {
    const CORES: &str = "/run/cores";
    let prepare = format!("mkdir -p {CORES}; sysctl -qw kernel.core_pattern={CORES}/%p; ulimit -c unlimited");
    // One that may be dumped shows that cores are written at all.
    let script =
        format!("{prepare}; sleep 60 & sleep=$!; kill -SEGV $sleep; wait $sleep || true; ls {CORES}");
    let of_another = left.shell(&script).run()?;
    ensure!(
        of_another.lines().count() == 1,
        "no core was written of a process that may be dumped: {of_another}"
    );
    crash(left, "nm-libreswan-service")?;
    wait_until("NetworkManager has noticed", PATIENCE, || {
        let active = left
            .command(["nmcli", "-g", "NAME", "connection", "show", "--active"])
            .run()?;
        Ok((!active.contains(PROFILE.id)).then_some(()))
    })?;
    left.await_empty_kernel()?;
    crash(left, "nmstate-ipsecd")?;
    let cores = left.command(["ls", CORES]).run()?;
    ensure!(cores == of_another, "cores were written: {cores}");
    Ok(())
}

/// Has a program crash, and waits until it is gone.
fn crash(left: Host<'_>, program: &str) -> Result<()> {
    let pattern = format!("^/usr/libexec/{program}( |$)");
    let pid = left.command(["pgrep", "-f", &pattern]).run()?;
    let pid = pid.trim();
    // No limit keeps it from writing a core.
    left.command(["prlimit", "--core=unlimited:unlimited", "--pid", pid])
        .run()?;
    // It ends as after a panic; a SIGSEGV from outside is swallowed by the handler that looks for stack overflows.
    left.command(["kill", "-ABRT", pid]).run()?;
    wait_until("it has crashed", PATIENCE, || {
        let there = left.command(["test", "-e", &format!("/proc/{pid}")]).output()?;
        Ok((!there.success()).then_some(()))
    })
    .with_context(|| program.to_owned())
}
