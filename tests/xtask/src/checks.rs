//! `cargo xtask test`: formatting, lints, documentation, dependencies, tests, and the lab.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use lab::image::Image;
use lab::{host, install, setup, tools};

use crate::{package, tally::Tally};

/// Checks that are one command each: what they are called, and the arguments of cargo.
const CHECKS: [(&str, &[&str]); 4] = [
    ("formatting", &["fmt", "--all", "--check"]),
    (
        "lints",
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ),
    // The lab's own tests are in no `--all-targets`, as plain `cargo test` must not run them.
    (
        "lints of the lab's tests",
        &[
            "clippy",
            "--package",
            "lab",
            "--test",
            "lab",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("documentation", &["doc", "--workspace", "--no-deps"]),
];

/// Runs everything, or with a filter only the lab's trials that match it, be it `everywhere`.
pub(crate) fn run(lab_filter: Option<&str>, everywhere: bool) -> Result<ExitCode> {
    setup::ensure_native()?;
    let mut tally = Tally::default();
    if lab_filter.is_none() {
        for (name, arguments) in CHECKS {
            heading(name);
            let mut command = cargo(arguments);
            command.env("RUSTDOCFLAGS", "-D warnings");
            tally.add(Tally::of(tell(
                name,
                &command.status().context("starting cargo")?,
            )));
        }
        tally.add(dependencies()?);
        heading("tests");
        // A test that skips itself says why in what it prints.
        tally.add(run_tests(&mut cargo(&[
            "test",
            "--workspace",
            "--",
            "--show-output",
        ]))?);
    }
    // What the lab installs is to be what is here.
    if lab_filter.is_none_or(|filter| filter.contains("packages")) {
        heading("packages");
        let all = lab_filter.is_none();
        // Much of either keeps one processor busy alone.
        let prepared = all.then(prepare_lab).flatten();
        tally.add(package::for_tests(all)?);
        if let Some(prepared) = prepared {
            let _ = prepared.join();
        }
    }
    heading("the lab");
    tally.add(run_lab(lab_filter, everywhere)?);
    println!("{tally}");
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(host::workspace_dir()).args(arguments);
    cargo
}

fn heading(name: &str) {
    println!("== {name}");
}

fn tell(name: &str, status: &std::process::ExitStatus) -> bool {
    println!("{name}: {}", if status.success() { "ok" } else { "FAILED" });
    status.success()
}

/// Whether anything may be left out: not where the result decides what is merged.
fn skip(what: &str, reason: &str) -> Tally {
    println!("SKIP {what}: {reason}");
    let in_ci = env::var("CI").is_ok_and(|value| value == "true");
    Tally {
        skipped: 1,
        failed: u64::from(in_ci),
        passed: 0,
    }
}

/// Licences, duplicates, sources and known vulnerabilities of all dependencies.
fn dependencies() -> Result<Tally> {
    heading("dependencies");
    let cargo_deny = tools::CARGO_DENY.path()?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&cargo_deny);
        // As a subcommand of cargo it is called with its own name first.
        command
            .current_dir(host::workspace_dir())
            .args(["--workspace", "--all-features"])
            .args(arguments);
        command
    };
    let mut tally = Tally::default();
    let status = deny(&["check", "licenses", "bans", "sources"])
        .status()
        .context("starting cargo-deny")?;
    tally.add(Tally::of(tell("licences, duplicates and sources", &status)));
    match host::run(&mut deny(&["fetch", "db"])) {
        Ok(_) => {
            let status = deny(&["check", "--disable-fetch", "advisories"]).status()?;
            tally.add(Tally::of(tell("advisories", &status)));
        }
        Err(error) => {
            let error = format!("{error:#}");
            let reason = error
                .lines()
                .find_map(|line| Some(line.split_once("[ERROR] ")?.1));
            let reason = reason.unwrap_or("cargo-deny does not say why");
            println!("SKIP advisories: the advisory database cannot be fetched: {reason}");
            tally.skipped += 1;
        }
    }
    Ok(tally)
}

/// Runs test programs, shows what they print and sums up their results.
fn run_tests(command: &mut Command) -> Result<Tally> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cargo test")?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("reading what the tests print")?;
            println!("{line}");
            tally.add(Tally::of_line(&line));
        }
    }
    let status = child.wait().context("waiting for the tests")?;
    if !status.success() && tally.failed == 0 {
        // They did not even get to count, for instance because they do not compile.
        tally.failed = 1;
    }
    Ok(tally)
}

/// Makes the images and the program of others that the lab needs. What fails is told when the lab wants it.
fn prepare_lab() -> Option<JoinHandle<()>> {
    // apt installs for one at a time, and what makes the packages may have to be installed as well.
    setup::ensure().ok()?;
    Some(thread::spawn(|| {
        for image in Image::ALL {
            let _ = image.booted();
        }
        let _ = tools::NMSTATECTL.path();
    }))
}

fn run_lab(filter: Option<&str>, everywhere: bool) -> Result<Tally> {
    if let Err(error) = setup::ensure() {
        return Ok(skip("lab", &format!("{error:#}")));
    }
    let mut tests = cargo(&["test", "--package", "lab", "--test", "lab", "--"]);
    match filter {
        Some(filter) => tests.arg(filter),
        // They are compiled already, and are what users get.
        None => tests.env(install::PROGRAMS_DIR, package::programs_dir()),
    };
    if everywhere {
        tests.env("LAB_EVERYWHERE", "1");
    }
    run_tests(tests.env("LAB_TESTS", "1"))
}
