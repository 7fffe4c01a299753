//! libreswan on this host: where its programs are, which version it is, and what is asked of them.
//!
//! whack and addconn are run directly; the `ipsec` command in front of them is a shell script whose
//! words differ between libreswan 4 and 5, while theirs do not.

pub mod addconn;
pub mod outcome;
pub mod process;
pub mod status;
pub mod whack;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nmstate_ipsec_core::{
    command::{Command, CommandError},
    reason::Reason,
    render::LibreswanVersion,
};
use tokio::sync::{OnceCell, Semaphore};

use status::Status;

use crate::shared::Shared;

/// Where distributions put whack, addconn and pluto.
const PROGRAM_DIRS: [&str; 3] = ["/usr/libexec/ipsec", "/usr/lib/ipsec", "/usr/local/libexec/ipsec"];

/// The crypto policy of the system, where it has one (`crypto-policies(7)`).
const CRYPTO_POLICY_PATH: &str = "/etc/crypto-policies/back-ends/libreswan.config";

/// How long a program may take that does not wait for a peer.
const LOCAL_TIME_OUT: Duration = Duration::from_secs(20);

/// How long pluto may take for each step of taking a connection down: NetworkManager waits ten seconds for a
/// `Disconnect` in all.
pub(crate) const SOON: Duration = Duration::from_secs(3);

/// How long a pluto that answers may take to get to a deletion, and through it, as it may have much else to do: whoever gives it
/// up sooner may not have asked for anything.
pub(crate) const DELETE_TIME_OUT: Duration = Duration::from_secs(60);

/// Most connections that pluto is asked to delete at once. It deletes one after the other, and a whack that finds no room in
/// the queue of its socket has not asked yet when its time is over.
const DELETED_AT_ONCE: usize = 4;

/// The libreswan of this host.
#[derive(Debug)]
pub struct Libreswan {
    program_dir: PathBuf,
    deleting: Semaphore,
    /// When pluto has last done what it was asked for.
    last_answer: Mutex<Option<Instant>>,
    version: OnceCell<LibreswanVersion>,
    listening: Shared<Result<bool, Reason>>,
    rereading: Shared<Result<(), Reason>>,
    asking: Shared<Result<Arc<Status>, Reason>>,
    ending: Shared<bool>,
    adding: addconn::Adding,
}

impl Libreswan {
    /// Finds libreswan's programs. Nothing is run yet.
    pub fn find() -> Self {
        let found = PROGRAM_DIRS
            .iter()
            .map(Path::new)
            .find(|dir| dir.join("whack").exists());
        Self::at(found.unwrap_or(Path::new(PROGRAM_DIRS[0])))
    }

    /// libreswan's programs in `program_dir`.
    pub fn at(program_dir: &Path) -> Self {
        Self {
            program_dir: program_dir.to_owned(),
            version: OnceCell::new(),
            deleting: Semaphore::new(DELETED_AT_ONCE),
            last_answer: Mutex::default(),
            listening: Shared::default(),
            rereading: Shared::default(),
            asking: Shared::default(),
            ending: Shared::default(),
            adding: addconn::Adding::default(),
        }
    }

    /// The version, asked for once.
    ///
    /// # Errors
    /// libreswan is not installed, or says something else than its version.
    pub async fn version(&self) -> Result<LibreswanVersion, Reason> {
        let ask = async || {
            let output = self
                .program("whack", LOCAL_TIME_OUT)
                .args(["--version"])
                .run()
                .await;
            let said = output
                .and_then(nmstate_ipsec_core::command::Output::success)
                .map_err(local)?
                .said();
            said.parse().map_err(|_| Reason::Local {
                detail: format!(
                    "failed to read libreswan's version from '{}'",
                    said.escape_debug()
                ),
            })
        };
        self.version.get_or_try_init(ask).await.copied()
    }

    /// The system's crypto policy for libreswan, if it has one.
    pub fn crypto_policy(&self) -> Option<&Path> {
        Some(Path::new(CRYPTO_POLICY_PATH)).filter(|path| path.exists())
    }

    fn program(&self, name: &str, time_out: Duration) -> Command {
        Command::new(self.program_dir.join(name), time_out)
    }
}

/// A program that could not do its work, as a reason.
fn local(error: CommandError) -> Reason {
    let detail = match &error {
        CommandError::Start { source, .. } | CommandError::Exchange { source, .. } => {
            format!("{error}: {source}; is libreswan installed?")
        }
        _ => error.to_string(),
    };
    Reason::Local { detail }
}
