//! The life of a VPN plugin as a pure state machine: `step(state, event)` gives the effects.
//!
//! ```text
//! Init --Connect--> Starting --Configured--> Started --Disconnect--> Stopping --Disconnected--> Stopped
//!  |                 | ^  ^------Lost-----------|                                                   |
//!  |     Failed, the | | NewSecrets                                                  Idle --> Shutdown
//!  |     secret      v |
//!  +--secret missing--> Asking --Disconnect--> Stopped
//!
//! Starting --Failed/Refused/Disconnect--> Stopped or Stopping
//! ```

use nmstate_ipsec_core::contract::{PluginError, PluginFailure, ServiceState};

use crate::{configuration::Configuration, question::Question};

/// How often the user is asked at most during one start. An agent may keep a wrong secret and hand it over
/// again and again.
pub const QUESTIONS: u8 = 3;

/// Where the adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a connection to be asked for.
    Init,
    /// The user is being asked for secrets, for as long as that takes; the daemon has nothing to do. So many
    /// more questions may follow.
    Asking(u8),
    /// The daemon brings the tunnel up, or up again. So many questions may be asked for it.
    Starting(u8),
    /// The tunnel is up.
    Started,
    /// The daemon takes the tunnel down.
    Stopping,
    /// The tunnel is down.
    Stopped,
    /// About to leave the bus.
    Shutdown,
}

impl State {
    /// What NetworkManager calls it.
    pub fn announced(self) -> ServiceState {
        match self {
            Self::Init => ServiceState::Init,
            Self::Asking(_) | Self::Starting(_) => ServiceState::Starting,
            Self::Started => ServiceState::Started,
            Self::Stopping => ServiceState::Stopping,
            Self::Stopped => ServiceState::Stopped,
            Self::Shutdown => ServiceState::Shutdown,
        }
    }

    /// Whether there is no connection: none is up, coming up or going down.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Init | Self::Stopped | Self::Shutdown)
    }
}

/// What happens to the adapter.
#[derive(Debug)]
pub enum Event {
    /// NetworkManager called `Connect`: nobody is to be asked.
    Connect,
    /// NetworkManager called `ConnectInteractive`; the question is the one to begin with, if secrets are missing.
    ConnectInteractive(Option<Question>),
    /// NetworkManager called `NewSecrets`; there is a question if some are still missing.
    NewSecrets(Option<Question>),
    /// The daemon would not have the profile.
    Refused,
    /// The tunnel is up, or up again, with this configuration.
    Configured(Box<Configuration>),
    /// The tunnel is down and is being brought up again.
    Lost,
    /// The tunnel is down for good, unless an answer to the question can mend it.
    Failed(PluginFailure, Option<Question>),
    /// NetworkManager called `Disconnect`.
    Disconnect,
    /// The daemon has taken the tunnel down.
    Disconnected,
    /// Nobody has wanted anything for a while.
    Idle,
    /// NetworkManager has left the bus.
    CallerGone,
}

/// What the adapter then does, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Emit `StateChanged`.
    Announce(ServiceState),
    /// Emit `SecretsRequired`.
    Ask(Question),
    /// Have the daemon bring the connection up.
    Activate,
    /// Emit `Config`, `Ip4Config` and `Ip6Config` so that NetworkManager calls the connection activated.
    Configure(Box<Configuration>),
    /// Emit them if they are others than before.
    Update(Box<Configuration>),
    /// Emit `Failure`.
    Fail(PluginFailure),
}

/// Takes `state` through `event`.
///
/// # Errors
/// The event does not fit the state; the error is the one that the caller on the bus gets.
pub fn step(state: State, event: Event) -> Result<(State, Vec<Effect>), PluginError> {
    use Effect::{Activate, Announce, Configure, Update};
    use State::{Asking, Init, Shutdown, Started, Starting, Stopped, Stopping};
    let announced = |state: State, mut further: Vec<Effect>| {
        further.insert(0, Announce(state.announced()));
        (state, further)
    };
    Ok(match (state, event) {
        (Init | Stopped, Event::Connect) => announced(Starting(0), vec![Activate]),
        (Init | Stopped, Event::ConnectInteractive(question)) => {
            let (state, effects) = ask_or_activate(QUESTIONS, question);
            announced(state, effects)
        }
        (_, Event::Connect | Event::ConnectInteractive(_)) => return Err(busy(state)),
        (Asking(left), Event::NewSecrets(question)) => ask_or_activate(left, question),
        (_, Event::NewSecrets(_)) => {
            return Err(PluginError::WrongState("no secrets were asked for".into()));
        }
        (Starting(_), Event::Refused) => announced(Stopped, Vec::new()),
        (Starting(_), Event::Configured(with)) => {
            (Started, vec![Configure(with), Announce(ServiceState::Started)])
        }
        (Started, Event::Configured(with)) => (Started, vec![Update(with)]),
        // Nobody is asked any more: NetworkManager takes that only from a connection that was never up.
        (Started, Event::Lost) => announced(Starting(0), Vec::new()),
        // Still down. Whatever else NetworkManager configures on the device makes it call the connection
        // activated meanwhile, and it takes STARTING for a loss only if it comes after STARTED.
        (Starting(left), Event::Lost) => (
            Starting(left),
            vec![Announce(ServiceState::Started), Announce(ServiceState::Starting)],
        ),
        (Starting(left), Event::Failed(failure, question)) => ask_or_fail(left, question, failure),
        (Started, Event::Failed(failure, _)) => failed(failure),
        (Starting(_) | Started, Event::Disconnect) => announced(Stopping, Vec::new()),
        (Asking(_), Event::Disconnect) => (
            Stopped,
            vec![Announce(ServiceState::Stopping), Announce(ServiceState::Stopped)],
        ),
        (Init | Stopped | Stopping | Shutdown, Event::Disconnect) => return Err(busy(state)),
        (Stopping, Event::Disconnected) => announced(Stopped, Vec::new()),
        (Init | Stopped, Event::Idle) | (_, Event::CallerGone) => announced(Shutdown, Vec::new()),
        // Late news of a tunnel that was given up meanwhile, or an idle timer that lost a race.
        (_, _) => (state, Vec::new()),
    })
}

/// Asks the question if there is one, as long as that is allowed; if not, the tunnel can come up.
fn ask_or_activate(left: u8, question: Option<Question>) -> (State, Vec<Effect>) {
    if question.is_none() {
        return (State::Starting(left), vec![Effect::Activate]);
    }
    ask_or_fail(left, question, PluginFailure::LoginFailed)
}

/// Asks the question if there is one, as long as that is allowed; if not, this is a failure.
fn ask_or_fail(left: u8, question: Option<Question>, failure: PluginFailure) -> (State, Vec<Effect>) {
    match (left.checked_sub(1), question) {
        (Some(left), Some(question)) => (State::Asking(left), vec![Effect::Ask(question)]),
        _ => failed(failure),
    }
}

fn failed(failure: PluginFailure) -> (State, Vec<Effect>) {
    let stopped = Effect::Announce(ServiceState::Stopped);
    (State::Stopped, vec![Effect::Fail(failure), stopped])
}

/// The specification's error for a call that comes in the wrong `state`.
fn busy(state: State) -> PluginError {
    match state {
        State::Asking(_) | State::Starting(_) => {
            PluginError::StartingInProgress("the connection is being brought up".into())
        }
        State::Started => PluginError::AlreadyStarted("the connection is up".into()),
        State::Stopping => PluginError::StoppingInProgress("the connection is being taken down".into()),
        State::Init | State::Stopped => {
            PluginError::AlreadyStopped("there is no connection to take down".into())
        }
        State::Shutdown => PluginError::WrongState("the service is about to end".into()),
    }
}

#[cfg(test)]
mod tests;
