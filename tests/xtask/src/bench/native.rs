//! The adapter on this machine, on a bus of its own: no guest, no emulation.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::agent::wait_until;
use lab::install::Build;

use super::process;
use super::times::Times;

/// So many connections at once.
const ADAPTERS: usize = 20;

/// How long idle processes are looked at.
const IDLE: Duration = Duration::from_secs(10);

/// How often a small program is run.
const RUNS: usize = 41;

const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:dir=DIRECTORY</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"#;

/// A process that ends with its measurement.
struct Process(Child);

impl Process {
    /// Starts `command` and waits for its first line on standard output or standard error, whichever is a pipe.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        let program = command.get_program().to_owned();
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut process = Self(child);
        let mut line = String::new();
        if let Some(output) = process.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        } else if let Some(output) = process.0.stderr.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        ensure!(!line.is_empty(), "{} ended at once", program.display());
        Ok((process, line.trim_end().to_owned()))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run() -> Result<()> {
    let programs = Build::Release.programs()?;
    let dir = tempfile::tempdir().context("making a directory for the bus")?;
    let config_path = dir.path().join("bus.conf");
    let config = BUS_CONFIG.replace("DIRECTORY", &dir.path().display().to_string());
    fs::write(&config_path, config).context("describing the bus")?;
    let (_bus, address) = Process::start(
        Command::new("dbus-daemon")
            .arg("--config-file")
            .arg(&config_path)
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    )
    .context("the package dbus has it")?;
    println!("cargo xtask bench --native");
    adapters(&programs, &address)?;
    let mut helper = Command::new(programs.join("nm-libreswan-service-helper"));
    helper.envs([("PLUTO_VERB", "up-host"), ("PLUTO_CONNECTION", "bench")]);
    start_to_end("updown helper", helper, &address)?;
    // Here is no profile of libreswan's; with one it says a word on the bus, as the updown helper does.
    let mut hook = Command::new(programs.join("nmstate-ipsec-dispatcher"));
    hook.args(["bench0", "up"]);
    start_to_end("dispatcher's hook", hook, &address)
}

/// Starts twenty adapters and measures each of them.
fn adapters(programs: &Path, address: &str) -> Result<()> {
    let (mut processor, mut named) = (Times::default(), Times::default());
    let mut adapters = Vec::new();
    for number in 0..ADAPTERS {
        let began = Instant::now();
        let (adapter, _) = Process::start(
            Command::new(programs.join("nm-libreswan-service"))
                .arg("--bus-name")
                .arg(format!(
                    "org.freedesktop.NetworkManager.libreswan.Connection_{number}"
                ))
                .args(["--persist", "--debug"])
                .env("DBUS_SYSTEM_BUS_ADDRESS", address)
                .stderr(Stdio::piped()),
        )?;
        named.add(began.elapsed());
        processor.add(process::processor_time(adapter.id())?);
        adapters.push(adapter);
    }
    let wakeups = |adapters: &[Process]| -> Result<u64> {
        adapters
            .iter()
            .map(|adapter| process::wakeups(adapter.id()))
            .sum()
    };
    // The last one has said that it is there, and may not have gone to sleep yet.
    wait_until("the adapters are idle", IDLE, || {
        let sleeping: Result<Vec<_>> = adapters.iter().map(|one| process::sleeps(one.id())).collect();
        Ok(sleeping?.into_iter().all(|sleeps| sleeps).then_some(()))
    })?;
    let before = wakeups(&adapters)?;
    // How often they wake in that time is what is asked.
    thread::sleep(IDLE);
    let woken = wakeups(&adapters)? - before;
    let memory: Result<Vec<_>> = adapters.iter().map(|one| process::memory(one.id())).collect();
    let memory = memory?;
    let median = |of: fn(&process::Memory) -> u64| {
        let mut sorted: Vec<u64> = memory.iter().map(of).collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let ((least, most), (quickest, slowest)) = (processor.range(), named.range());
    println!("medians of {ADAPTERS} adapters on a bus of their own, release build\n");
    let milliseconds = |seconds: f64| seconds * 1000.0;
    println!(
        "processor's time from start to bus name   {:.1} ms ({:.1} to {:.1}; to be at most 10)",
        milliseconds(processor.median()),
        milliseconds(least),
        milliseconds(most)
    );
    println!(
        "time from start to bus name               {:.1} ms ({:.1} to {:.1})",
        milliseconds(named.median()),
        milliseconds(quickest),
        milliseconds(slowest)
    );
    println!(
        "memory of one                             {} kB PSS (to be at most 614), {} kB RSS (at most 4096)",
        median(|memory| memory.proportional),
        median(|memory| memory.resident)
    );
    println!(
        "wake-ups of all in {} s of idleness        {woken}",
        IDLE.as_secs()
    );
    ensure!(woken == 0, "idle adapters wake");
    Ok(())
}

/// Runs a small program that others wait for against one that does nothing.
fn start_to_end(name: &str, mut program: Command, address: &str) -> Result<()> {
    let (mut ours, mut nothing) = (Times::default(), Times::default());
    program.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    for _ in 0..RUNS {
        let status = ours.measure(|| program.status().with_context(|| format!("running the {name}")))?;
        ensure!(status.success(), "the {name} failed");
        nothing.measure(|| Command::new("true").status().context("running true"))?;
    }
    println!(
        "{:<42}{:.1} ms, where a program that does nothing takes {:.1}",
        format!("{name}, from start to end"),
        ours.median() * 1000.0,
        nothing.median() * 1000.0
    );
    Ok(())
}
