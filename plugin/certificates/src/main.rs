//! `nmstate-ipsec-certificates`: imports what is in the directories of certificates, for the units that systemd starts at
//! boot and when something changes there. With `--answer` it does for the daemon what standard input asks for
//! ([`nmstate_ipsec_certificates::request`]).

use std::{
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use nmstate_ipsec_certificates::{
    Database, Imported, Tools,
    convention::{DIRS, Found, import_all, state},
    request::Request,
};
use nmstate_ipsec_core::daemon_api::CertificatesProxy;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroizing_alloc::ZeroAlloc;

/// Keys and passwords pass through the buffers of OpenSSL's and serde's callers: all memory is wiped when it is given back.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// Most bytes of a request: a bundle, its key and its authorities, each as large as may be.
const MAX_REQUEST: u64 = 256 * 1024 * 1024;

/// How often everything is looked at again at most, where somebody changes files all the time.
const MOST_ROUNDS: usize = 10;

/// How long the daemon may take to hear of what is new; the bus may have to start it, and pluto may wait for this.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the journal ranks a line that begins so (`sd-daemon(3)`).
const ERROR: &str = "<3>";
const WARNING: &str = "<4>";
const INFO: &str = "<6>";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => start(everything()),
        ["--answer"] => start(answer()),
        _ => Err("usage: nmstate-ipsec-certificates [--answer]; certificates are managed with 'nmstate-ipsec cert'".to_owned()),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            say(ERROR, &error);
            ExitCode::FAILURE
        }
    }
}

fn start(work: impl Future<Output = Result<ExitCode, String>>) -> Result<ExitCode, String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("failed to forbid core dumps: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the event loop: {error}"))?;
    runtime.block_on(work)
}

fn database() -> Result<Database, String> {
    Database::new(None, Tools::default()).map_err(|error| error.to_string())
}

async fn answer() -> Result<ExitCode, String> {
    let mut asked = String::new();
    io::stdin()
        .lock()
        .take(MAX_REQUEST)
        .read_to_string(&mut asked)
        .map_err(|error| format!("failed to read a request: {error}"))?;
    let request: Request =
        serde_json::from_str(&asked).map_err(|error| format!("failed to understand a request: {error}"))?;
    let reply = request.run(&database()?).await;
    let text =
        serde_json::to_string(&reply).map_err(|error| format!("failed to write an answer: {error}"))?;
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| format!("failed to write an answer: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Imports what is there, and again if something has come meanwhile: systemd does not look while this runs.
async fn everything() -> Result<ExitCode, String> {
    let (database, dirs) = (database()?, DIRS.map(Path::new));
    let (mut is_bad, mut changed) = (false, Vec::new());
    for _ in 0..MOST_ROUNDS {
        let before = state(&dirs);
        let mut found = 0;
        is_bad = false;
        import_all(&database, &dirs, async |one: Found| {
            found += 1;
            told(&one);
            match one.done {
                Ok(imported) if imported.is_another() => changed.push(imported.nickname),
                Ok(_) => {}
                Err(_) => is_bad = true,
            }
        })
        .await;
        if found == 0 {
            say(INFO, &format!("there is no bundle in {}", DIRS.join(" or ")));
        }
        if state(&dirs) == before {
            break;
        }
    }
    if !changed.is_empty() {
        tell_daemon(&changed).await;
    }
    Ok(ExitCode::from(u8::from(is_bad)))
}

/// Says what came of a bundle.
fn told(found: &Found) {
    match &found.done {
        Ok(imported) => tell(&found.path, imported),
        Err(error) => say(ERROR, &error.of_bundle(&found.path)),
    }
}

fn tell(path: &Path, imported: &Imported) {
    let what = imported.action.words();
    let Imported {
        nickname,
        certificate,
        ..
    } = imported;
    let days = certificate.days_left(SystemTime::now());
    say(
        INFO,
        &format!(
            "{}: {nickname}: {what} ({}, expires in {days} days)",
            path.display(),
            certificate.subject
        ),
    );
    for warning in &imported.warnings {
        say(WARNING, &format!("{}: {nickname}: {warning}", path.display()));
    }
}

/// Connections that use a certificate which was replaced are to authenticate anew.
async fn tell_daemon(nicknames: &[String]) {
    let nicknames: Vec<&str> = nicknames.iter().map(String::as_str).collect();
    let told = async {
        let bus = zbus::Connection::system().await?;
        CertificatesProxy::new(&bus).await?.changed(&nicknames).await
    };
    let error = match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it did not answer within {} s", PATIENCE.as_secs()),
    };
    let names = nicknames.join(", ");
    say(
        WARNING,
        &format!(
            "failed to tell nmstate-ipsecd of the change: {error}; connections that are up go on with the old certificate until they \
             are brought up again ({names})"
        ),
    );
}

/// Says it on standard error; the journal is told how much it matters.
fn say(level: &str, text: &str) {
    let level = if std::env::var_os("JOURNAL_STREAM").is_some() {
        level
    } else {
        ""
    };
    eprintln!("{level}{text}");
}
