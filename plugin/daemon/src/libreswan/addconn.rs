//! addconn: reads a configuration and hands connections of it to pluto (`ipsec.conf(5)`).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use nmstate_ipsec_core::{command::Command, reason::Reason, render::PlutoName};
use tokio::sync::{oneshot, watch};

use super::{LOCAL_TIME_OUT, Libreswan, SOON, local, outcome};

/// Whether pluto has taken a connection; libreswan 4 does not say why not.
type Added = Result<(), Option<Reason>>;

/// What waits for the addconn that runs to end. Most of what it costs is its start, so that the next one adds all that wait:
/// of very many connections at once, as after a restart of pluto.
#[derive(Debug, Default)]
pub(super) struct Adding {
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Waiting>>,
    /// The names of those that are being added whether their owners still want that or not.
    underway: Arc<watch::Sender<HashSet<String>>>,
}

#[derive(Debug)]
struct Waiting {
    name: PlutoName,
    configuration: String,
    /// Gets nothing if one of several was refused: which one, only each for itself can tell.
    answer: oneshot::Sender<Option<Added>>,
}

impl Libreswan {
    /// Adds the connection `name`, as written in `configuration`, a whole `ipsec.conf`, if `check` finds nothing
    /// against it; addconn is started meanwhile, unless it runs for another. One of the same name is replaced.
    ///
    /// # Errors
    /// That of `check`; or addconn or pluto does not accept it, and libreswan 4 does not say why.
    pub async fn add(
        &self,
        name: &PlutoName,
        configuration: String,
        check: impl Future<Output = Result<(), Reason>>,
    ) -> Added {
        if let Ok(_turn) = self.adding.turn.try_lock() {
            return self.add_alone(name, configuration, check).await;
        }
        check.await.map_err(Some)?;
        let mut answer = self.adding.wait(name, &configuration);
        let answered = {
            let _turn = self.adding.turn.lock().await;
            if let Some(batch) = self.adding.take() {
                let underway = self.adding.underway.clone();
                // A connection whose owner gives up must not be half handed over: settled() waits for the end of this.
                tokio::spawn(add_all(self.addconn_of_all(&batch), batch, underway));
            }
            (&mut answer).await
        };
        match answered {
            Ok(Some(added)) => added,
            Ok(None) | Err(_) => self.add_alone(name, configuration, async { Ok(()) }).await,
        }
    }

    async fn add_alone(
        &self,
        name: &PlutoName,
        configuration: String,
        check: impl Future<Output = Result<(), Reason>>,
    ) -> Added {
        let ran = self
            .addconn([name.as_str()], configuration)
            .run_after(check)
            .await
            .map_err(Some)?;
        let output = ran.map_err(|error| Some(local(error)))?;
        outcome::of_add(output.succeeded(), &output.said())
    }

    /// Waits, not for long, until nobody hands the connection `name` to pluto any more on behalf of somebody who has given up.
    pub async fn settled(&self, name: &PlutoName) {
        let mut underway = self.adding.underway.subscribe();
        let settled = underway.wait_for(|names| !names.contains(name.as_str()));
        // What hangs is taken out again when it goes on: pluto does things in their order.
        let _ = tokio::time::timeout(SOON, settled).await;
    }

    fn addconn<'a>(&self, names: impl IntoIterator<Item = &'a str>, configuration: String) -> Command {
        self.program("addconn", LOCAL_TIME_OUT)
            .args(["--config", "-"].into_iter().chain(names))
            .input(configuration)
    }

    /// The program that adds all of `batch`.
    fn addconn_of_all(&self, batch: &[Waiting]) -> Command {
        let mut configuration = String::new();
        for waiting in batch {
            let of_one = match configuration.is_empty() {
                true => &waiting.configuration,
                false => without_include(&waiting.configuration),
            };
            configuration.push_str(of_one);
            configuration.push('\n');
        }
        self.addconn(batch.iter().map(|waiting| waiting.name.as_str()), configuration)
    }
}

impl Adding {
    fn wait(&self, name: &PlutoName, configuration: &str) -> oneshot::Receiver<Option<Added>> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            name: name.clone(),
            configuration: configuration.to_owned(),
            answer,
        };
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waiting);
        answered
    }

    /// Those that wait and still want to be added, from now on [underway](Self::underway); nothing if there are none.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = std::mem::take(&mut *waiting);
        batch.retain(|waiting| !waiting.answer.is_closed());
        let names = batch.iter().map(|waiting| waiting.name.to_string());
        self.underway.send_modify(|underway| underway.extend(names));
        (!batch.is_empty()).then_some(batch)
    }
}

/// Runs addconn for all of `batch` and tells each what came of it.
async fn add_all(addconn: Command, batch: Vec<Waiting>, underway: Arc<watch::Sender<HashSet<String>>>) {
    let ran = addconn.run().await;
    underway.send_modify(|names| {
        for waiting in &batch {
            names.remove(waiting.name.as_str());
        }
    });
    let all = matches!(&ran, Ok(output) if output.succeeded());
    for waiting in batch {
        // Whoever has gone wants no answer.
        let _ = waiting.answer.send(all.then_some(Ok(())));
    }
}

/// A connection without the crypto policy of the system before it, which is read once.
fn without_include(configuration: &str) -> &str {
    match configuration.split_once("\n\n") {
        Some((first, rest)) if first.starts_with("include ") => rest,
        _ => configuration,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

    use futures_util::future::join_all;

    use super::*;

    /// In addconn's place: notes its arguments, takes its time, and refuses the connection `bad`.
    const NOTES: &str = "#!/bin/sh
cat >>$(dirname $0)/input
echo \"$*\" >>$(dirname $0)/calls
sleep 0.2
case \" $* \" in *' bad-'*) echo no such thing; exit 1 ;; esac
";

    fn notes(dir: &Path) -> Libreswan {
        let program = dir.join("addconn");
        fs::write(&program, NOTES).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Libreswan::at(dir)
    }

    fn calls(dir: &Path) -> Vec<String> {
        let calls = fs::read_to_string(dir.join("calls")).unwrap();
        let names = |line: &str| line.replace("--config - ", "").replace("-1f2e3d4c", "");
        calls.lines().map(names).collect()
    }

    fn pluto_name(id: &str) -> PlutoName {
        let uuid = "1f2e3d4c-0000-4000-8000-00000000000a".parse().unwrap();
        PlutoName::new(&id.parse().unwrap(), &uuid)
    }

    async fn add(libreswan: &Libreswan, name: &str) -> Added {
        let configuration = format!("include /policy\n\nconn {name}\n");
        libreswan
            .add(&pluto_name(name), configuration, async { Ok(()) })
            .await
    }

    #[tokio::test]
    async fn those_that_wait_are_added_together() {
        let dir = tempfile::tempdir().unwrap();
        let libreswan = notes(dir.path());
        let added = join_all(["one", "two", "three"].map(|name| add(&libreswan, name))).await;
        assert!(added.iter().all(Result::is_ok), "{added:?}");
        assert_eq!(calls(dir.path()), ["one", "two three"]);
        let input = fs::read_to_string(dir.path().join("input")).unwrap();
        assert_eq!(
            input,
            "include /policy\n\nconn one\ninclude /policy\n\nconn two\n\nconn three\n\n"
        );
    }

    #[tokio::test]
    async fn each_gets_its_own_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let libreswan = notes(dir.path());
        let added = join_all(["one", "bad", "three"].map(|name| add(&libreswan, name))).await;
        assert!(added[0].is_ok() && added[2].is_ok(), "{added:?}");
        assert!(added[1].is_err());
        let mut calls = calls(dir.path());
        calls[2..].sort();
        assert_eq!(calls, ["one", "bad three", "bad", "three"]);
    }

    /// Adds one connection, and another meanwhile, which is given up after so many milliseconds, and waits until that is settled.
    async fn give_up_after(libreswan: &Libreswan, patience: u64) {
        let given_up = async {
            let patience = Duration::from_millis(patience);
            let second = tokio::time::timeout(patience, add(libreswan, "two"));
            assert!(second.await.is_err());
            libreswan.settled(&pluto_name("two")).await;
        };
        let (first, ()) = tokio::join!(add(libreswan, "one"), given_up);
        assert!(first.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_is_not_added_later() {
        let dir = tempfile::tempdir().unwrap();
        let libreswan = notes(dir.path());
        give_up_after(&libreswan, 50).await;
        assert!(add(&libreswan, "three").await.is_ok());
        assert_eq!(calls(dir.path()), ["one", "three"]);
    }

    #[tokio::test]
    async fn settled_waits_for_what_is_underway() {
        let dir = tempfile::tempdir().unwrap();
        let libreswan = notes(dir.path());
        give_up_after(&libreswan, 300).await;
        assert_eq!(calls(dir.path()), ["one", "two"]);
        assert!(libreswan.adding.underway.borrow().is_empty());
    }
}
