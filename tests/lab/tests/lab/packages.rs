//! The Debian packages on a host that has nothing else of ours: installed, used as documented, upgraded under a tunnel, removed,
//! installed again, purged.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::peer::{self, INTERFACE};
use lab::world::{Host, RIGHT_V4, World};
use lab::{commands, denials, host};

use crate::{certificates, common, docs};

/// Where `cargo xtask package` leaves them.
const BUILT: &str = "package";

/// Those that are used together; upstream's nmstatectl is on these hosts, which the one of that name conflicts with.
const INSTALLED: [&str; 3] = [
    "nmstate-ipsec_",
    "nmstate-ipsec-network-manager_",
    "nmstate-ipsec-tests_",
];

const PATIENCE: Duration = Duration::from_secs(60);

/// apt works through three packages under emulation.
const LONG: Duration = Duration::from_secs(300);

/// What people have made is not the packages' to take away.
const MADE: &str = "
mkdir -p /etc/nmstate-ipsec
echo role=worker > /etc/nmstate-ipsec/node-labels
";

/// The names that `dpkg -L` tells, as far as they are no directories.
const FILES_SCRIPT: &str = "
dpkg -L nmstate-ipsec nmstate-ipsec-network-manager nmstate-ipsec-tests |
    while read -r file; do [ -d \"$file\" ] || echo \"$file\"; done
";

/// The same packages as a later version.
const UPGRADE_SCRIPT: &str = "
cd /run/lab
for package in PACKAGES; do
    dpkg-deb --raw-extract \"$package\" later
    version=$(sed -n 's/^Version: //p' later/DEBIAN/control)
    sed -i \"s/^Version: .*/&+later/; s/(= $version)/(= $version+later)/\" later/DEBIAN/control
    dpkg-deb --build -Znone later \"later-${package##*/}\" >/dev/null
    rm -r later
done
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends ./later-*.deb
rm later-*.deb
";

/// Every unit does its work once more, and so does the dispatcher's hook, as after a boot.
const UNITS_SCRIPT: &str = "
systemctl restart nmstate-ipsec-guard.service nmstate-ipsec-certificates.service nmstate-ipsecd.service
nmcli device reapply net0
systemctl restart nmstate-ipsec-wait-online.service
";

/// From nothing to an encrypted ping with the packages and the page for Debian alone, and back to nothing.
pub(crate) fn debian(world: &World) -> Result<()> {
    let left = world.left();
    is_of_use(world)?;
    left.command(["/usr/libexec/nmstate-ipsec-self-test"])
        .timeout(LONG)
        .run()
        .context("the packages' own tests")?;
    is_upgraded(world).context("upgraded under a tunnel")?;
    works_and_goes(world)?;

    install(world).context("installed again")?;
    left.command(["nmcli", "--wait", "60", "connection", "up", INTERFACE])
        .timeout(PATIENCE * 2)
        .run()?;
    common::is_encrypted(world).context("installed again")?;
    is_purged(left).context("purged")
}

/// What the pages say works with nothing but the packages; at the end there is the README's connection.
fn is_of_use(world: &World) -> Result<()> {
    let left = world.left();
    left.shell(MADE).run()?;
    install(world)?;
    left.command(["systemctl", "restart", "NetworkManager.service"])
        .timeout(PATIENCE)
        .run()?;
    left.command(["nm-online", "-s", "-q", "--timeout=60"])
        .timeout(PATIENCE * 2)
        .run()?;
    certificates::forget_certificates(left)?;
    left.shell("cp /etc/lab-pki/ca.pem /etc/lab-pki/left_server.p12 /root/")
        .run()?;
    peer::expect_certificate(world.right(), &["type=transport"])?;
    docs::follow(left, commands::GETTING_STARTED)?;
    common::leaves_no_trace(world)?;
    peer::expect_psk(world.right())?;
    docs::follow(left, commands::README)
}

/// The units do what they do at boot, and the packages are removed.
fn works_and_goes(world: &World) -> Result<()> {
    let left = world.left();
    let files = left.shell(FILES_SCRIPT).run()?;
    left.command(["nmstate-ipsec", "guard", INTERFACE, "on"]).run()?;
    left.shell(UNITS_SCRIPT)
        .timeout(LONG)
        .run()
        .context("the units, as at boot")?;
    common::is_encrypted(world).context("the units, as at boot")?;
    is_removed(world, &files).context("removed")
}

/// Copies the packages to left, and installs or upgrades them.
fn install(world: &World) -> Result<()> {
    let built = host::target_dir().join(BUILT);
    let options = [
        "install",
        "--yes",
        "--quiet",
        "--reinstall",
        "--no-install-recommends",
    ];
    let mut argv = vec!["apt-get".to_owned()];
    argv.extend(options.map(str::to_owned));
    for entry in fs::read_dir(&built).with_context(|| {
        format!(
            "looking for packages in {}: cargo xtask package --deb makes them",
            built.display()
        )
    })? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".deb") && INSTALLED.iter().any(|installed| name.starts_with(installed)) {
            let there = format!("/run/lab/{name}");
            world.agent().put(&there, 0o644, &fs::read(&path)?)?;
            argv.push(there);
        }
    }
    ensure!(
        argv.len() == 1 + options.len() + INSTALLED.len(),
        "there is not one file of each package in {}: cargo xtask package --deb makes them",
        built.display()
    );
    world
        .left()
        .command(&argv)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .timeout(LONG)
        .run()
        .context("installing the packages")
        .map(drop)
}

/// The daemon is another one, NetworkManager and the tunnel are not, and no packet was lost on the way.
fn is_upgraded(world: &World) -> Result<()> {
    let left = world.left();
    let main_pid = |unit: &str| left.command(["systemctl", "show", "-P", "MainPID", unit]).run();
    let pids = || Ok::<_, anyhow::Error>((main_pid("NetworkManager")?, main_pid("nmstate-ipsecd")?));
    let (before, spis) = (pids()?, left.spis()?);
    let ping = left
        .command(["ping", "-n", "-i", "0.2", RIGHT_V4])
        .spawn("/run/lab/ping")?;
    left.shell(&UPGRADE_SCRIPT.replace(
        "PACKAGES",
        &INSTALLED.map(|name| format!("/run/lab/{name}*.deb")).join(" "),
    ))
    .timeout(LONG)
    .run()?;
    wait_until("the new daemon knows of the connection", PATIENCE, || {
        let status = left.command(["nmstate-ipsec", "status"]).output()?.stdout;
        Ok(status.starts_with(&format!("{INTERFACE}: up for ")).then_some(()))
    })?;
    const SIGINT: i32 = 2;
    ping.signal(SIGINT)?;
    ping.wait(PATIENCE)?;
    let said = String::from_utf8_lossy(&world.agent().get(&ping.stdout)?).into_owned();
    ensure!(said.contains(" 0% packet loss"), "packets were lost:\n{said}");
    let after = pids()?;
    ensure!(before.0 == after.0, "NetworkManager was restarted");
    ensure!(before.1 != after.1, "the daemon was not restarted");
    ensure!(spis == left.spis()?, "the tunnel is another one");
    common::is_encrypted(world)
}

/// Nothing of ours is left but what people have made; NetworkManager goes on.
fn is_removed(world: &World, files: &str) -> Result<()> {
    let left = world.left();
    let said = left
        .shell("dpkg --remove nmstate-ipsec-tests nmstate-ipsec-network-manager nmstate-ipsec 2>&1")
        .timeout(LONG)
        .run()?;
    ensure!(said.contains("guards"), "it is not said that guards go:\n{said}");
    left.await_empty_kernel()?;
    let is_there =
        |path: &&str| -> Result<bool> { Ok(left.command(["test", "-e", *path]).output()?.success()) };
    for file in files.lines().filter(|file| !file.starts_with("/etc/")) {
        ensure!(!is_there(&file)?, "{file} is left");
    }
    let running = left
        .command(["pgrep", "-af", "nmstate-ipsec|nm-libreswan"])
        .output()?
        .stdout;
    ensure!(running.is_empty(), "this is still running:\n{running}");
    let left_over = left
        .shell(
            "nft list table inet nmstate_ipsec 2>/dev/null || :
             ls -d /run/nmstate-ipsec /var/lib/nmstate-ipsec /etc/ipsec.d/*nmstate-ipsec* 2>/dev/null || :
             /usr/libexec/ipsec/whack --status | grep hosta_conn || :
             systemctl list-units --all --plain --no-legend 'nmstate-ipsec*' | grep -v not-found || :",
        )
        .run()?;
    ensure!(left_over.is_empty(), "this is left:\n{left_over}");
    for made in [
        "/etc/nmstate-ipsec/node-labels",
        "/etc/pki/certs/left_server.p12",
        "/etc/NetworkManager/system-connections/hosta_conn.nmconnection",
    ] {
        ensure!(is_there(&made)?, "{made}, which people have made, is gone");
    }
    Ok(())
}

/// Not even what is kept of removed packages is left.
fn is_purged(left: Host<'_>) -> Result<()> {
    left.shell("dpkg --purge nmstate-ipsec-tests nmstate-ipsec-network-manager nmstate-ipsec")
        .timeout(LONG)
        .run()?;
    left.await_empty_kernel()?;
    let left_over = left
        .shell(
            "dpkg -l 'nmstate-ipsec*' 2>/dev/null | grep -v '^un\\|^[D|+]' | grep nmstate-ipsec || :
             find /etc /usr /var /run -name '*nmstate-ipsec*' ! -path '/run/lab/*' ! -path '/var/log/*' \
                 ! -path /etc/nmstate-ipsec ! -path '/run/log/*' 2>/dev/null || :",
        )
        .run()?;
    ensure!(left_over.is_empty(), "this is left:\n{left_over}");
    let made = left.command(["cat", "/etc/nmstate-ipsec/node-labels"]).run()?;
    ensure!(made == "role=worker\n", "what people have made is {made:?}");
    Ok(())
}

/// Installed, used and removed where SELinux enforces Debian's policy with our module: nothing is refused.
pub(crate) fn enforcing(world: &World) -> Result<()> {
    let left = world.left();
    let mode = left.command(["cat", "/sys/fs/selinux/enforce"]).run()?;
    ensure!(mode == "1", "SELinux does not enforce anything: {mode:?}");
    is_of_use(world)?;
    works_and_goes(world)?;
    let refused = denials::of_selinux(world.agent())?;
    ensure!(refused.is_empty(), "SELinux has refused:\n{}", refused.join("\n"));
    Ok(())
}
