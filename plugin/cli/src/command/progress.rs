//! What is said while a document is applied: a line for each connection with its phase.

use std::{
    collections::BTreeMap,
    io::{self, Stderr, Write},
    time::Duration,
};

use futures_util::StreamExt;
use nmstate_ipsec_core::daemon_api::{Change, ChangesProxy, Declaration, Outcome};
use tokio::time::Instant;

use crate::{args::Apply, phase, terminal::Block};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// Nothing.
    None,
    /// The phases.
    Phases,
    /// The phases, what is sent, what was compared, and when.
    All,
}

/// Says how far the command has come.
pub(super) struct Progress {
    words: Words,
    begun: Instant,
    /// The phases of the connections of the document that is being applied.
    phases: BTreeMap<String, String>,
    /// Where they are drawn again; without a terminal each is a line of its own.
    block: Option<Block<Stderr>>,
    /// Where the other lines go.
    say: Box<dyn Fn(&str)>,
}

impl Progress {
    pub(super) fn new(arguments: &Apply) -> Self {
        let words = match (arguments.verbose, arguments.quiet || arguments.json) {
            (true, _) => Words::All,
            (_, true) => Words::None,
            _ => Words::Phases,
        };
        Self {
            words,
            begun: Instant::now(),
            phases: BTreeMap::new(),
            block: match words {
                Words::Phases => Block::on(io::stderr()),
                // Lines with a time are to stay.
                Words::None | Words::All => None,
            },
            say: match words {
                // The first line of standard error is the reason if it fails, unless somebody wants all of this.
                // Nobody reading it keeps nothing from being applied: `apply | head -1` is no reason to undo.
                Words::Phases => Box::new(|line| drop(writeln!(io::stdout(), "{line}"))),
                Words::None | Words::All => Box::new(|line| drop(writeln!(io::stderr(), "{line}"))),
            },
        }
    }

    /// Says something that only those want to know who look closely.
    pub(super) fn detail(&self, said: &str) {
        if self.words == Words::All {
            (self.say)(&format!("{}{said}", stamp(self.begun.elapsed())));
        }
    }

    /// Says what is sent of the declarations.
    pub(super) fn sending(&self, declarations: &[Declaration]) {
        for declaration in declarations {
            self.detail(&format!("to nmstate-ipsecd: {}", sent(declaration)));
        }
    }

    /// Says what came of comparing them with what is there.
    pub(super) fn compared(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let keys: Vec<&str> = outcome.changes.iter().map(key).collect();
            let differs = if keys.is_empty() {
                String::new()
            } else {
                format!(": {}", keys.join(", "))
            };
            self.detail(&format!(
                "compared: {} is {}{differs}",
                outcome.name, outcome.action
            ));
        }
    }

    /// Waits for `work` and says which phases the connections go through meanwhile. Without signals from the daemon there is
    /// nothing to say, and the work goes on.
    pub(super) async fn during<T>(
        &mut self,
        bus: &zbus::Connection,
        declarations: &[Declaration],
        work: impl Future<Output = T>,
    ) -> T {
        if self.words == Words::None {
            return work.await;
        }
        let up = declarations
            .iter()
            .filter(|declaration| declaration.state == "up");
        self.phases = up
            .map(|declaration| (declaration.name.clone(), "waiting".to_owned()))
            .collect();
        self.draw();
        let heard = async { ChangesProxy::new(bus).await?.receive_connection_changed().await };
        let ended = match heard.await {
            Ok(mut heard) => {
                tokio::pin!(work);
                loop {
                    // What was told before the end is said before it.
                    tokio::select! {
                        biased;
                        Some(change) = heard.next() => {
                            if let Ok(change) = change.args() {
                                self.changed(&change.name, &change.state);
                            }
                        }
                        ended = &mut work => break ended,
                    }
                }
            }
            Err(error) => {
                self.detail(&format!(
                    "nmstate-ipsecd does not tell of its connections: {error}"
                ));
                work.await
            }
        };
        // What came of them is said in another place, and of all of them.
        self.phases.clear();
        self.draw();
        ended
    }

    fn changed(&mut self, name: &str, state: &str) {
        let Some(phase) = self.phases.get_mut(name) else {
            return;
        };
        let words = phase::words(state);
        if phase == words {
            return;
        }
        words.clone_into(phase);
        if self.block.is_some() {
            self.draw();
        } else {
            let stamp = if self.words == Words::All {
                stamp(self.begun.elapsed())
            } else {
                String::new()
            };
            (self.say)(&format!("{stamp}{name}: {words}"));
        }
    }

    fn draw(&mut self) {
        let lines = lines(&self.phases);
        // A terminal that has gone keeps nothing from being applied.
        self.block.take_if(|block| block.draw(&lines).is_err());
    }
}

/// The phases, one below the other.
fn lines(phases: &BTreeMap<String, String>) -> Vec<String> {
    let width = phases
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    let line = |(name, phase): (&String, &String)| format!("{name:<width$}  {phase}");
    phases.iter().map(line).collect()
}

/// A declaration without its values: those of secrets are nobody's, and the others are in the document.
fn sent(declaration: &Declaration) -> String {
    let mut keys: Vec<&str> = declaration.data.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut secrets: Vec<&str> = declaration.secrets.keys().map(String::as_str).collect();
    secrets.extend(declaration.kept_secrets.iter().map(String::as_str));
    secrets.sort_unstable();
    let mut said = format!("{} is to be {}", declaration.name, declaration.state);
    for (what, keys) in [("keys", keys), ("secrets", secrets)] {
        if !keys.is_empty() {
            said.push_str(&format!("; {what}: {}", keys.join(", ")));
        }
    }
    said
}

fn key(change: &Change) -> &str {
    &change.key
}

fn stamp(since: Duration) -> String {
    format!("[{:8.3} s] ", since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration() -> Declaration {
        Declaration {
            name: "hosta_conn".into(),
            state: "up".into(),
            data: [
                ("right".into(), "192.0.2.252".into()),
                ("left".into(), "192.0.2.251".into()),
            ]
            .into(),
            secrets: [("pskvalue".into(), "open sesame".into())].into(),
            kept_secrets: vec!["xauthpassword".into()],
            ..Declaration::default()
        }
    }

    #[test]
    fn what_is_sent_is_told_without_values() {
        assert_eq!(
            sent(&declaration()),
            "hosta_conn is to be up; keys: left, right; secrets: pskvalue, xauthpassword"
        );
        let absent = Declaration {
            name: "a".into(),
            state: "absent".into(),
            ..Declaration::default()
        };
        assert_eq!(sent(&absent), "a is to be absent");
    }

    #[test]
    fn a_phase_is_kept_for_the_connections_of_the_document_alone() {
        let mut progress = silent(&[("hosta_conn", "waiting")]);
        progress.changed("hosta_conn", "loading");
        progress.changed("somebody_else", "up");
        assert_eq!(lines(&progress.phases), ["hosta_conn  being handed to pluto"]);
    }

    #[test]
    fn phases_stand_one_below_the_other() {
        let phases = [
            ("a".to_owned(), "up".to_owned()),
            ("longer".to_owned(), "lost".to_owned()),
        ];
        assert_eq!(lines(&phases.into()), ["a       up", "longer  lost"]);
    }

    /// A daemon that tells of a phase, and the end of the work that waits until that was said.
    #[tokio::test]
    async fn phases_are_said_while_the_work_goes_on() {
        use nmstate_ipsec_core::contract::DAEMON_PATH;
        use tokio::net::UnixStream;
        use zbus::{Guid, connection::Builder, object_server::SignalEmitter};

        let (one, other) = UnixStream::pair().unwrap();
        // Somebody has to answer who asks for the daemon's name.
        let server = Builder::unix_stream(one).server(Guid::generate()).unwrap().p2p();
        let server = server.serve_at(DAEMON_PATH, Daemon).unwrap();
        let (server, client) = tokio::join!(server.build(), Builder::unix_stream(other).p2p().build());
        let (server, client) = (server.unwrap(), client.unwrap());
        let (heard, mut said) = tokio::sync::mpsc::unbounded_channel();
        let mut progress = Progress {
            say: Box::new(move |line| heard.send(line.to_owned()).unwrap()),
            ..silent(&[])
        };
        let emitter = SignalEmitter::new(&server, DAEMON_PATH).unwrap();
        let work = async {
            let change = ("hosta_conn", "uuid", "negotiating");
            let told = emitter.emit("org.nmstate.Ipsec1.Changes", "ConnectionChanged", &change);
            told.await.unwrap();
            said.recv().await
        };
        let declarations = [declaration()];
        let ended = progress.during(&client, &declarations, work).await;
        assert_eq!(ended.as_deref(), Some("hosta_conn: negotiating"));
        assert!(progress.phases.is_empty());
    }

    struct Daemon;

    #[zbus::interface(name = "org.nmstate.Ipsec1.Test")]
    impl Daemon {}

    fn silent(phases: &[(&str, &str)]) -> Progress {
        let phases = phases
            .iter()
            .map(|(name, phase)| ((*name).to_owned(), (*phase).to_owned()));
        Progress {
            words: Words::Phases,
            begun: Instant::now(),
            phases: phases.collect(),
            block: None,
            say: Box::new(|_| {}),
        }
    }
}
