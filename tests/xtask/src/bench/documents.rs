//! `nmstate-ipsec check` on this machine: how many policies a second, and how much memory for very many.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::install::Build;

use super::process;

/// How many policies are checked at once.
const CROWDS: [usize; 3] = [100, 1000, 10_000];

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_millis(2);

pub(super) fn run() -> Result<()> {
    let command = Build::Release.programs()?.join("nmstate-ipsec");
    println!("\nnmstate-ipsec check, release build\n\npolicies  seconds  a second  most memory");
    for count in CROWDS {
        let dir = tempfile::tempdir().context("making a directory for the policies")?;
        for number in 1..=count {
            fs::write(dir.path().join(format!("{number:05}.yaml")), policy(number))?;
        }
        let (seconds, memory) = check(&command, dir.path(), count)?;
        println!(
            "{count:>8}  {seconds:>7.2}  {:>8.0}  {memory:>8} kB",
            count as f64 / seconds
        );
    }
    Ok(())
}

/// One policy for one node, as a cluster has one for each.
fn policy(number: usize) -> String {
    format!(
        "apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata:
  name: ipsec-node-{number}
spec:
  nodeSelector:
    kubernetes.io/hostname: node-{number}
  desiredState:
    interfaces:
    - name: hosta_conn
      type: ipsec
      libreswan:
        left: node-{number}.example.org
        leftid: '%fromcert'
        leftrsasigkey: '%cert'
        leftcert: left_server
        leftmodecfgclient: false
        right: external.example.org
        rightid: '%fromcert'
        rightrsasigkey: '%cert'
        rightsubnet: 198.18.{}.{}/32
        ikev2: insist
        type: transport
",
        number / 250,
        number % 250 + 1
    )
}

/// Seconds, and the most memory in kB.
fn check(command: &Path, dir: &Path, count: usize) -> Result<(f64, u64)> {
    let began = Instant::now();
    let mut files: Vec<_> = fs::read_dir(dir)?
        .map(|file| Ok(file?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let mut child = Command::new(command)
        .arg("check")
        .args(&files)
        .stdout(Stdio::piped())
        .spawn()
        .context("running nmstate-ipsec")?;
    let mut output = child.stdout.take().context("its standard output")?;
    let reader = thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).map(|_| said)
    });
    let mut most = 0;
    // A process that has ended, and is not waited for yet, has no memory left to tell of.
    while let Ok(memory) = process::most_memory(child.id()) {
        most = memory.max(most);
        thread::sleep(LOOK);
    }
    let status = child.wait()?;
    let seconds = began.elapsed().as_secs_f64();
    let said = reader
        .join()
        .map_err(|_| anyhow::anyhow!("reading its output failed"))??;
    ensure!(
        status.success() && said.contains(&format!("{count} ")),
        "the policies are not without fault: {}",
        said.lines().last().unwrap_or_default()
    );
    Ok((seconds, most))
}
