//! Guests: QEMU processes that start from a snapshot of a booted machine.
//!
//! A snapshot is a directory with a disk (an overlay over the disk it was taken from) and the state of the
//! machine's memory and devices. Any number of guests can start from one at once, each with an overlay of
//! its own. QEMU dies with the *thread* that started it, so start a guest in a thread that outlives it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::host;
use crate::qmp::Qmp;
use crate::snapshot::Snapshot;

/// A machine whose state was saved can be continued only by one that was started with the same of these. The processor is what
/// today's distributions want of one (x86-64-v2), with what cryptography uses: `max` took a fifth more of the host's time for the
/// same work.
const MACHINE: [&str; 14] = [
    "-accel",
    "tcg,thread=multi,tb-size=512",
    "-cpu",
    "Nehalem,aes=on,pclmulqdq=on,rdrand=on,fsgsbase=on",
    "-smp",
    "2",
    "-m",
    "1536",
    "-display",
    "none",
    "-nodefaults",
    "-no-user-config",
    "-device",
    "vmgenid,guid=auto",
];

const DEVICES: [&str; 10] = [
    "-device",
    "virtio-blk-pci,drive=disk,id=vda",
    "-device",
    "virtio-serial-pci,id=serial",
    "-device",
    "virtserialport,bus=serial.0,chardev=agent,name=lab.agent",
    "-device",
    "virtio-net-pci,netdev=wire,id=nic,romfile=,mac=52:54:00:00:00:01",
    "-device",
    "virtio-rng-pci",
];

const KERNEL_COMMAND_LINE: &str =
    "console=ttyS0 root=/dev/vda rw quiet net.ifnames=0 mitigations=off systemd.show_status=false";

/// The file of an image's directory that further arguments of its kernel are in, if there are any.
const KERNEL_ARGUMENTS: &str = "kernel-arguments";

/// QEMU makes its sockets at once; more time than this means that it died.
const QEMU_START_TIMEOUT: Duration = Duration::from_secs(20);

/// A restored guest answers in a second or two, unless the machine is very busy.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything about the machine that a saved state depends on.
pub(crate) fn describe() -> String {
    format!("{MACHINE:?} {DEVICES:?} {KERNEL_COMMAND_LINE}")
}

/// Has an image's kernel get further arguments.
pub(crate) fn set_kernel_arguments(image_dir: &Path, arguments: &str) -> Result<()> {
    let file = image_dir.join(KERNEL_ARGUMENTS);
    fs::write(&file, arguments).with_context(|| format!("writing {}", file.display()))
}

/// How a guest is connected to others.
#[derive(Clone, Debug, Default)]
pub enum Wire {
    /// Its network card is in no network.
    #[default]
    None,
    /// Frames go to the guest that has the same sockets the other way round.
    Pair {
        /// Where frames to this guest arrive.
        own: PathBuf,
        /// Where frames from this guest go.
        peer: PathBuf,
    },
}

/// A running guest, which ends when dropped.
#[derive(Debug)]
pub struct Vm {
    qemu: Child,
    qmp: Mutex<Qmp>,
    agent: Agent,
    run_dir: PathBuf,
    /// Holds the sockets, whose paths must be short.
    _sockets: TempDir,
}

impl Vm {
    /// Boots an image from its disk. The caller waits for what it needs.
    ///
    /// # Errors
    /// QEMU could not be started.
    pub fn boot(image_dir: &Path) -> Result<Self> {
        Self::launch(image_dir, &image_dir.join("disk.qcow2"), &Wire::None, false)
    }

    /// Continues a snapshot, sets the guest's clock, and waits until it answers.
    ///
    /// # Errors
    /// QEMU could not be started, or the guest does not answer.
    pub fn start(snapshot: &Snapshot, wire: &Wire) -> Result<Self> {
        let mut vm = Self::launch(snapshot.image_dir(), &snapshot.disk(), wire, true)?;
        let uri = format!("file:{}", snapshot.state().display());
        let qmp = vm.qmp.get_mut().unwrap_or_else(PoisonError::into_inner);
        qmp.migrate("migrate-incoming", &uri)?;
        qmp.command("cont", &json!({}))?;
        vm.agent
            .ping(RESTORE_TIMEOUT)
            .context("waiting for the restored guest")?;
        vm.set_clock()?;
        Ok(vm)
    }

    /// The guest's agent.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The directory with the guest's disk and console log, which is removed with the guest.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// What the guest's kernel and init wrote to the serial console.
    #[must_use]
    pub fn console_log(&self) -> PathBuf {
        self.run_dir.join("console.log")
    }

    /// Stops the guest and keeps it as a snapshot in a new directory, complete or not at all.
    ///
    /// # Errors
    /// QEMU could not save it.
    pub fn save(mut self, dir: &Path) -> Result<()> {
        let parent = dir.parent().context("a snapshot's directory has a parent")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let temporary = tempfile::Builder::new().prefix(".saving-").tempdir_in(parent)?;
        let qmp = self.qmp.get_mut().unwrap_or_else(PoisonError::into_inner);
        qmp.command("stop", &json!({}))?;
        qmp.migrate(
            "migrate",
            &format!("file:{}", temporary.path().join("state").display()),
        )?;
        // QEMU may close the connection before it answers.
        let _ = qmp.command("quit", &json!({}));
        self.qemu.wait().context("waiting for QEMU to end")?;
        let disk = temporary.path().join("disk.qcow2");
        fs::rename(self.run_dir.join("disk.qcow2"), &disk).context("moving the snapshot's disk")?;
        make_backing_relative(&disk, parent)?;
        let kept = temporary.keep();
        fs::rename(&kept, dir).with_context(|| format!("moving the snapshot to {}", dir.display()))
    }

    /// Has QEMU itself record what passes the guest's network card, which a reboot does not end.
    pub(crate) fn start_recording(&self, pcap: &Path) -> Result<()> {
        let arguments =
            json!({ "qom-type": "filter-dump", "id": "recording", "netdev": "wire", "file": pcap });
        self.qmp().command("object-add", &arguments).map(drop)
    }

    /// Ends the recording.
    pub(crate) fn stop_recording(&self) -> Result<()> {
        self.qmp()
            .command("object-del", &json!({ "id": "recording" }))
            .map(drop)
    }

    fn qmp(&self) -> MutexGuard<'_, Qmp> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reboots the guest and waits until its agent answers again.
    ///
    /// # Errors
    /// The guest did not come back within `timeout`.
    pub fn reboot(&self, timeout: Duration) -> Result<()> {
        let started = self.agent.next_start();
        self.agent.command(["systemctl", "reboot", "--no-block"]).run()?;
        started
            .recv_timeout(timeout)
            .context("waiting for the guest to come back from its reboot")?;
        Ok(())
    }

    /// Cuts the guest's power and turns it on again; nothing is written back first.
    ///
    /// # Errors
    /// The guest did not come back within `timeout`.
    pub fn power_cycle(&self, timeout: Duration) -> Result<()> {
        let started = self.agent.next_start();
        self.qmp().command("system_reset", &json!({}))?;
        started
            .recv_timeout(timeout)
            .context("waiting for the guest to come back from a reset")?;
        Ok(())
    }

    fn launch(image_dir: &Path, disk: &Path, wire: &Wire, incoming: bool) -> Result<Self> {
        let run_dir = new_run_dir()?;
        let sockets = tempfile::Builder::new()
            .prefix("lab-")
            .tempdir()
            .context("making a directory")?;
        let overlay = run_dir.join("disk.qcow2");
        host::run(
            Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
                .arg(disk)
                .arg(&overlay),
        )?;
        let mut qemu = qemu_command(image_dir, &run_dir, sockets.path(), wire);
        if incoming {
            qemu.args(["-incoming", "defer"]);
        }
        let log = fs::File::create(run_dir.join("qemu.log"))?;
        let child = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut child = child.context("starting qemu-system-x86_64 under setpriv")?;
        let opened = connect(&mut child, &run_dir, sockets.path());
        let (qmp, agent) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            qemu: child,
            qmp: qmp.into(),
            agent,
            run_dir,
            _sockets: sockets,
        })
    }

    fn set_clock(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = format!("@{}.{:03}", now.as_secs(), now.subsec_millis());
        self.agent
            .command(["date", "-s", &now])
            .run()
            .context("setting the guest's clock")
            .map(drop)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.run_dir);
    }
}

fn new_run_dir() -> Result<PathBuf> {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let parent = host::lab_dir().join("run");
    remove_abandoned(&parent);
    let dir = parent.join(format!("{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// Removes what processes left that were killed: directories called `<process id>-<number>`.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn qemu_command(image_dir: &Path, run_dir: &Path, sockets_dir: &Path, wire: &Wire) -> Command {
    let path = |dir: &Path, name: &str| dir.join(name).display().to_string();
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args(MACHINE);
    qemu.args([
        "-kernel",
        &path(image_dir, "vmlinuz"),
        "-initrd",
        &path(image_dir, "initrd.img"),
    ]);
    let further = fs::read_to_string(image_dir.join(KERNEL_ARGUMENTS)).unwrap_or_default();
    let command_line = format!("{KERNEL_COMMAND_LINE} {further}");
    qemu.args(["-append", command_line.trim_end()]);
    let disk = path(run_dir, "disk.qcow2");
    qemu.args([
        "-drive",
        &format!("id=disk,if=none,file={disk},format=qcow2,cache=unsafe,discard=unmap"),
    ]);
    qemu.args(["-serial", &format!("file:{}", path(run_dir, "console.log"))]);
    let agent = path(sockets_dir, "agent");
    qemu.args([
        "-chardev",
        &format!("socket,id=agent,path={agent},server=on,wait=off"),
    ]);
    qemu.args([
        "-qmp",
        &format!("unix:{},server=on,wait=off", path(sockets_dir, "qmp")),
    ]);
    let netdev = match wire {
        Wire::None => "hubport,id=wire,hubid=0".to_owned(),
        Wire::Pair { own, peer } => format!(
            "dgram,id=wire,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            own.display(),
            peer.display()
        ),
    };
    qemu.args(["-netdev", &netdev]).args(DEVICES);
    qemu
}

fn connect(qemu: &mut Child, run_dir: &Path, sockets_dir: &Path) -> Result<(Qmp, Agent)> {
    let deadline = Instant::now() + QEMU_START_TIMEOUT;
    let qmp_path = sockets_dir.join("qmp");
    let stream = loop {
        match UnixStream::connect(&qmp_path) {
            Ok(stream) => break stream,
            Err(error) => {
                if qemu.try_wait()?.is_some() || Instant::now() > deadline {
                    let log = fs::read_to_string(run_dir.join("qemu.log")).unwrap_or_default();
                    bail!("QEMU did not start ({error}): {}", host::tail(&log));
                }
                // The socket appears without an event that QEMU's parent could wait for.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    };
    let agent = UnixStream::connect(sockets_dir.join("agent")).context("connecting to the agent's port")?;
    Ok((Qmp::new(stream)?, Agent::new(agent)?))
}

/// Has the overlay name its base relative to its own directory (a sibling of `parent`'s entries), so that
/// the target directory can be moved.
fn make_backing_relative(disk: &Path, parent: &Path) -> Result<()> {
    let info = host::run(Command::new("qemu-img").args(["info", "--output=json"]).arg(disk))?;
    let info: serde_json::Value = serde_json::from_str(&info).context("parsing qemu-img's output")?;
    let base = info["backing-filename"]
        .as_str()
        .context("a snapshot's disk has a base")?;
    if let Ok(relative) = Path::new(base).strip_prefix(parent) {
        let relative = Path::new("..").join(relative);
        host::run(
            Command::new("qemu-img")
                .args(["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b"])
                .arg(relative)
                .arg(disk),
        )?;
    }
    Ok(())
}
