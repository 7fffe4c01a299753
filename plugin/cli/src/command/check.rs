//! `nmstate-ipsec check`: what is wrong with documents, file by file, so that memory holds one file at a time.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use serde_json::json;

use super::Fault;
use crate::{
    args::Check,
    check::{Checker, Finding, Options, Severity, Summary},
    document::Source,
};

/// Checks the files and prints what was found.
///
/// # Errors
/// Standard output takes nothing.
pub(super) fn run(arguments: &Check) -> Result<ExitCode, Fault> {
    let mut checker = Checker::new(Options {
        pod_networks: arguments.pod_network.clone(),
        certs: arguments.certs.clone(),
    });
    let written = write(arguments, &mut checker, &mut BufWriter::new(io::stdout().lock()));
    match written {
        // Who reads the first lines only has what they want.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Fault::failed("failed to write the findings", error));
        }
        _ => {}
    }
    Ok(ExitCode::from(match checker.summary().worst() {
        None | Some(Severity::Info) => 0,
        Some(Severity::Warning) => 1,
        Some(Severity::Error) => 2,
    }))
}

fn write(arguments: &Check, checker: &mut Checker, out: &mut impl Write) -> io::Result<()> {
    let mut is_first = true;
    if arguments.json {
        write!(out, "{{\"findings\":[")?;
    }
    for path in &arguments.files {
        for finding in checker.check(&Source::from_argument(path.as_os_str())) {
            if arguments.json {
                let separator = if is_first { "" } else { "," };
                write!(out, "{separator}\n{}", for_programs(&finding))?;
            } else {
                writeln!(out, "{finding}")?;
            }
            is_first = false;
        }
    }
    let summary = checker.summary();
    if arguments.json {
        writeln!(out, "\n],\"summary\":{}}}", numbers(&summary))?;
    } else {
        writeln!(out, "{summary}")?;
    }
    out.flush()
}

fn for_programs(finding: &Finding) -> serde_json::Value {
    json!({
        "code": finding.code,
        "severity": finding.severity.name(),
        "file": finding.file,
        "line": finding.location.map(|location| location.line),
        "column": finding.location.map(|location| location.column),
        "path": finding.path,
        "text": finding.text,
    })
}

fn numbers(summary: &Summary) -> serde_json::Value {
    json!({
        "files": summary.files,
        "documents": summary.documents,
        "errors": summary.errors,
        "warnings": summary.warnings,
        "infos": summary.infos,
    })
}
