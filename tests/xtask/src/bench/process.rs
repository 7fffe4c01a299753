//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Memory of one process, in kilobytes.
pub(super) struct Memory {
    pub(super) resident: u64,
    pub(super) proportional: u64,
}

/// The memory of the process `id`.
pub(super) fn memory(id: u32) -> Result<Memory> {
    let text = read(id, "smaps_rollup")?;
    Ok(Memory {
        resident: field(&text, "Rss:")?,
        proportional: field(&text, "Pss:")?,
    })
}

/// The most memory that the process `id` has had resident so far, in kilobytes.
pub(super) fn most_memory(id: u32) -> Result<u64> {
    field(&read(id, "status")?, "VmHWM:")
}

/// How often the process `id` went to sleep by itself, which is how often it was woken.
pub(super) fn wakeups(id: u32) -> Result<u64> {
    field(&read(id, "status")?, "voluntary_ctxt_switches:")
}

/// Whether the process `id` waits for something.
pub(super) fn sleeps(id: u32) -> Result<bool> {
    let status = read(id, "status")?;
    Ok(status.lines().any(|line| line.starts_with("State:\tS")))
}

/// The processor's time that all threads of the process `id` have had.
pub(super) fn processor_time(id: u32) -> Result<Duration> {
    let dir = format!("/proc/{id}/task");
    let mut time = Duration::ZERO;
    for task in fs::read_dir(&dir).with_context(|| format!("reading {dir}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let nanoseconds = text.split(' ').next().unwrap_or_default();
        time += Duration::from_nanos(nanoseconds.parse().context("reading a thread's time")?);
    }
    Ok(time)
}

fn read(id: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{id}/{file}");
    fs::read_to_string(&path).with_context(|| format!("reading {path}, which takes root"))
}

/// The number behind `name` in lines of names and numbers.
fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("the kernel says nothing of {name}"))
}
