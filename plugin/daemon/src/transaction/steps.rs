//! Carrying out what was planned: profiles, then activations, several at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use nmstate_ipsec_core::{
    daemon_api::{ApplyOptions, Failure, Outcome},
    networkmanager::value,
    plan::{Action, Step},
    profile::{Profile, Settings},
};
use tokio::time::Instant;
use zbus::zvariant::OwnedObjectPath;

use crate::{
    connection::{Listener, Registry},
    history::now,
    networkmanager::{
        Ended, NO_REASON, REASON, base,
        profiles::{Located, Profiles},
    },
};

/// Most connections that are brought up or taken down at once.
const AT_ONCE: usize = 16;

/// `vpn.timeout` of a profile that does not say.
const VPN_TIME_OUT: Duration = Duration::from_secs(60);

/// How much later than that the end of an activation may be heard of.
const MARGIN: Duration = Duration::from_secs(15);

/// How long the kernel's state may lag behind NetworkManager's word.
const KERNEL_TIME_OUT: Duration = Duration::from_secs(5);
const KERNEL_STEP: Duration = Duration::from_millis(200);

/// The code of [`nmstate_ipsec_core::reason::Reason::PeerSilent`].
const PEER_SILENT: &str = "peer-silent";

/// Carries out one step after the other: what goes, what is stored, what comes up. Ends early when one fails.
pub(super) async fn carry_out(
    registry: &Registry,
    profiles: &Profiles,
    steps: &[Step],
    options: &ApplyOptions,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = steps.iter().map(outcome).collect();
    let (first, last): (Vec<usize>, Vec<usize>) =
        (0..steps.len()).partition(|index| is_going(&steps[*index]));
    for round in [first, last] {
        let mut running = stream::iter(round.into_iter().enumerate())
            .map(|(position, index)| {
                if position % AT_ONCE == 0 && !is_going(&steps[index]) {
                    get_ready(registry, steps, position / AT_ONCE + 1);
                }
                let work = Work {
                    registry,
                    profiles,
                    step: &steps[index],
                    options,
                };
                async move { (index, work.done().await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((index, came)) = running.next().await {
            let came = came.unwrap_or_else(|error| Came::because("failed", REASON, &error.to_string()));
            let outcome = &mut outcomes[index];
            outcome.state = came.state.to_owned();
            (outcome.code, outcome.text) = (came.code, came.text);
            if came.state == "failed" {
                return outcomes;
            }
        }
    }
    outcomes
}

fn is_going(step: &Step) -> bool {
    matches!(step.action, Action::TakeDown | Action::Remove)
}

/// What a step brings up that is down.
fn coming(step: &Step) -> Option<&Settings> {
    let comes_up = matches!(step.action, Action::Create | Action::Modify | Action::Activate);
    step.after.as_ref().filter(|_| comes_up && !step.was_active)
}

/// Has pluto take the connections that the `part`th [`AT_ONCE`] of the steps that stay bring up, while NetworkManager stores the
/// profiles and gets to asking for them: pluto looks at all secrets for each time that it is given some. Nobody is called yet.
/// Whoever gives a step up has to let go of it ([`Registry::leave`]).
pub(super) fn get_ready(registry: &Registry, steps: &[Step], part: usize) {
    let stay = steps.iter().filter(|step| !is_going(step));
    for after in stay.skip(part * AT_ONCE).take(AT_ONCE).filter_map(coming) {
        registry.listen(after, Listener::Transaction);
    }
}

/// What a step is called, and what it changes, before anything is done.
pub(super) fn outcome(step: &Step) -> Outcome {
    let action = match step.action {
        Action::Create => "created",
        Action::Modify | Action::Store => "modified",
        Action::Activate => "activated",
        Action::Keep => "kept",
        Action::TakeDown => "taken-down",
        Action::Remove => "removed",
    };
    Outcome {
        name: step.name.clone(),
        uuid: step.uuid.clone(),
        action: action.to_owned(),
        state: String::new(),
        code: String::new(),
        text: String::new(),
        changes: step.changes(),
    }
}

/// What came of a step: the state, and the code and text of what was in the way.
struct Came {
    state: &'static str,
    code: String,
    text: String,
}

impl Came {
    fn is(state: &'static str) -> Self {
        Self::because(state, "", "")
    }

    fn because(state: &'static str, code: &str, text: &str) -> Self {
        Self {
            state,
            code: code.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// What carries a step out.
struct Work<'a> {
    registry: &'a Registry,
    profiles: &'a Profiles,
    step: &'a Step,
    options: &'a ApplyOptions,
}

impl Work<'_> {
    async fn done(&self) -> zbus::Result<Came> {
        let (profiles, uuid) = (self.profiles, self.step.uuid.as_str());
        if coming(self.step).is_some() {
            // NetworkManager takes its time until it asks for it.
            self.registry.call(uuid);
        }
        match (self.step.action, &self.step.after) {
            (Action::TakeDown, after) => {
                if let Some(after) = after
                    && self.step.before.as_ref() != Some(after)
                {
                    profiles.store(uuid, after).await?;
                }
                profiles.take_down(uuid).await?;
                self.registry.gone(uuid).await;
                Ok(Came::is("down"))
            }
            (Action::Remove, _) => {
                profiles.delete(uuid).await?;
                self.registry.gone(uuid).await;
                Ok(Came::is("absent"))
            }
            (Action::Create, Some(after)) => {
                let (path, base) = tokio::join!(profiles.add(after), self.base());
                self.up(&path?, base).await
            }
            (Action::Store, Some(after)) => {
                profiles.store(uuid, after).await?;
                self.guard(after).await;
                Ok(self.verified().await)
            }
            (Action::Modify, Some(after)) => {
                let changed = async {
                    let path = profiles.store(uuid, after).await?;
                    // Before the tunnel goes that is there.
                    self.guard(after).await;
                    profiles.begin_down(uuid).await.map(|()| path)
                };
                let (path, base) = tokio::join!(changed, self.base());
                self.up(&path?, base).await
            }
            (Action::Keep, _) if profiles.is_still_up(uuid).await => Ok(self.verified().await),
            (Action::Keep, _) => match profiles.activation(uuid).await? {
                Some(activation) => self.wait(&activation, now()).await,
                None => self.again().await,
            },
            _ => self.again().await,
        }
    }

    /// Sets the guard, or takes it away, as the profile says now.
    async fn guard(&self, settings: &Settings) {
        if let Ok(profile) = Profile::from_settings(settings) {
            let guards = self.registry.guards();
            guards.follow(&profile.uuid, Some(&profile)).await;
        }
    }

    /// Brings up what is stored already.
    async fn again(&self) -> zbus::Result<Came> {
        let (path, base) = tokio::join!(self.profiles.path(&self.step.uuid), self.base());
        match path? {
            Some(path) => self.up(&path, base).await,
            None => Ok(Came::because(
                "failed",
                REASON,
                "somebody has deleted its profile meanwhile",
            )),
        }
    }

    /// The activation on top of which the connection is to be brought up.
    async fn base(&self) -> Option<OwnedObjectPath> {
        let device = base::device(self.step.after.as_ref()?).await;
        self.profiles.base(device.as_deref()).await
    }

    async fn up(&self, located: &Located, base: Option<OwnedObjectPath>) -> zbus::Result<Came> {
        let since = now();
        let activation = self.profiles.begin_up(located, base).await?;
        self.wait(&activation, since).await
    }

    /// Waits for the end of an activation, or as long as the peer may take.
    async fn wait(&self, activation: &OwnedObjectPath, since: u64) -> zbus::Result<Came> {
        // NetworkManager has no limit of its own for one that was up, was lost, and is being brought back.
        let patience = match self.options.wait {
            0 => self.time_out() + MARGIN,
            wait => Duration::from_secs(wait.into()),
        };
        let end = self.profiles.end_of(activation);
        let Ok(ended) = tokio::time::timeout(patience, end).await else {
            let text = format!("the peer has not answered within {} s", patience.as_secs());
            return Ok(self.silent(&text));
        };
        let ended = ended?;
        if ended == Ended::Up {
            return Ok(self.verified().await);
        }
        let failures = self.registry.history().kept();
        let is_its = |failure: &Failure| failure.uuid == self.step.uuid && failure.time >= since;
        Ok(match failures.into_iter().rfind(is_its) {
            Some(failure) if failure.code == PEER_SILENT => self.silent(&failure.text),
            Some(failure) => Came::because("failed", &failure.code, &failure.text),
            None if ended == Ended::ByTheUser => {
                Came::because("failed", REASON, "somebody took it down meanwhile")
            }
            None => Came::because("failed", REASON, NO_REASON),
        })
    }

    /// How long NetworkManager gives the connection to come up.
    fn time_out(&self) -> Duration {
        let after = self.step.after.as_ref();
        let time_out = after.and_then(|after| value(after, "vpn", "timeout"));
        let seconds = time_out.and_then(|value| u32::try_from(value).ok());
        seconds
            .filter(|seconds| *seconds > 0)
            .map_or(VPN_TIME_OUT, |seconds| Duration::from_secs(seconds.into()))
    }

    /// A peer that does not answer at all may be the next that the same document is rolled out to.
    fn silent(&self, text: &str) -> Came {
        let state = if self.options.require_established {
            "failed"
        } else {
            "pending"
        };
        Came::because(state, PEER_SILENT, text)
    }

    /// Sees that the kernel has what was declared. A moment passes between pluto's word and the last policy.
    async fn verified(&self) -> Came {
        if !self.options.verify {
            return Came::is("up");
        }
        let deadline = Instant::now() + KERNEL_TIME_OUT;
        while let Err(fault) = self.registry.verify(&self.step.uuid).await {
            if Instant::now() > deadline {
                let text = format!(
                    "NetworkManager says that it is activated, but {fault}; see 'journalctl -u nmstate-ipsecd'"
                );
                return Came::because("failed", "verification", &text);
            }
            tokio::time::sleep(KERNEL_STEP).await;
        }
        Came::is("up")
    }
}
