//! The life of a VPN plugin as a pure state machine: `step(state, event)` gives the effects.
//!
//! ```text
//! Init --Connect--> Starting --Configured--> Started --Disconnect--> Stopping --Disconnected--> Stopped
//!                    |    ^------Lost-----------|                                                   |
//!                    +--Failed/Refused/Disconnect--> Stopped or Stopping           Idle --> Shutdown
//! ```

use nmstate_ipsec_core::contract::{PluginError, PluginFailure, ServiceState};

use crate::configuration::Configuration;

/// What happens to the adapter.
#[derive(Debug)]
pub enum Event {
    /// NetworkManager called `Connect`.
    Connect,
    /// The daemon would not have the profile.
    Refused,
    /// The tunnel is up, or up again, with this configuration.
    Configured(Box<Configuration>),
    /// The tunnel is down and is being brought up again.
    Lost,
    /// The tunnel is down for good.
    Failed(PluginFailure),
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
pub fn step(state: ServiceState, event: Event) -> Result<(ServiceState, Vec<Effect>), PluginError> {
    use Effect::{Announce, Configure, Fail, Update};
    use ServiceState::{Init, Shutdown, Started, Starting, Stopped, Stopping};
    Ok(match (state, event) {
        (Init | Stopped, Event::Connect) => (Starting, vec![Announce(Starting)]),
        (Starting | Started | Stopping | Shutdown, Event::Connect) => return Err(busy(state)),
        (Starting, Event::Refused) => (Stopped, vec![Announce(Stopped)]),
        (Starting, Event::Configured(with)) => (Started, vec![Configure(with), Announce(Started)]),
        (Started, Event::Configured(with)) => (Started, vec![Update(with)]),
        (Started, Event::Lost) => (Starting, vec![Announce(Starting)]),
        // Still down. Whatever else NetworkManager configures on the device makes it call the connection
        // activated meanwhile, and it takes STARTING for a loss only if it comes after STARTED.
        (Starting, Event::Lost) => (Starting, vec![Announce(Started), Announce(Starting)]),
        (Starting | Started, Event::Failed(failure)) => (Stopped, vec![Fail(failure), Announce(Stopped)]),
        (Starting | Started, Event::Disconnect) => (Stopping, vec![Announce(Stopping)]),
        (Init | Stopped | Stopping | Shutdown, Event::Disconnect) => return Err(busy(state)),
        (Stopping, Event::Disconnected) => (Stopped, vec![Announce(Stopped)]),
        (Init | Stopped, Event::Idle) | (_, Event::CallerGone) => (Shutdown, vec![Announce(Shutdown)]),
        // Late news of a tunnel that was given up meanwhile, or an idle timer that lost a race.
        (_, _) => (state, Vec::new()),
    })
}

/// The specification's error for a call that comes in the wrong `state`.
fn busy(state: ServiceState) -> PluginError {
    match state {
        ServiceState::Starting => {
            PluginError::StartingInProgress("the connection is being brought up".into())
        }
        ServiceState::Started => PluginError::AlreadyStarted("the connection is up".into()),
        ServiceState::Stopping => {
            PluginError::StoppingInProgress("the connection is being taken down".into())
        }
        ServiceState::Init | ServiceState::Stopped => {
            PluginError::AlreadyStopped("there is no connection to take down".into())
        }
        ServiceState::Shutdown => PluginError::WrongState("the service is about to end".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ServiceState::{Init, Shutdown, Started, Starting, Stopped, Stopping};

    fn after(state: ServiceState, event: Event) -> (ServiceState, String) {
        let (state, effects) = step(state, event).unwrap();
        let names = effects.iter().map(|effect| match effect {
            Effect::Configure(_) => "Configure".to_owned(),
            Effect::Update(_) => "Update".to_owned(),
            other => format!("{other:?}"),
        });
        (state, names.collect::<Vec<_>>().join(" "))
    }

    fn configured() -> Event {
        Event::Configured(Box::default())
    }

    #[test]
    fn a_life_without_trouble() {
        assert_eq!(
            after(Init, Event::Connect),
            (Starting, "Announce(Starting)".into())
        );
        assert_eq!(
            after(Starting, configured()),
            (Started, "Configure Announce(Started)".into())
        );
        assert_eq!(
            after(Started, Event::Disconnect),
            (Stopping, "Announce(Stopping)".into())
        );
        assert_eq!(
            after(Stopping, Event::Disconnected),
            (Stopped, "Announce(Stopped)".into())
        );
        assert_eq!(
            after(Stopped, Event::Idle),
            (Shutdown, "Announce(Shutdown)".into())
        );
    }

    #[test]
    fn a_loss_is_told_and_the_configuration_sent_again() {
        assert_eq!(
            after(Started, Event::Lost),
            (Starting, "Announce(Starting)".into())
        );
        assert_eq!(
            after(Starting, Event::Lost),
            (Starting, "Announce(Started) Announce(Starting)".into())
        );
        assert_eq!(
            after(Starting, configured()),
            (Started, "Configure Announce(Started)".into())
        );
        assert_eq!(after(Started, configured()), (Started, "Update".into()));
    }

    #[test]
    fn a_failure_is_told_before_the_stop() {
        let failed = Event::Failed(PluginFailure::LoginFailed);
        assert_eq!(
            after(Starting, failed),
            (Stopped, "Fail(LoginFailed) Announce(Stopped)".into())
        );
    }

    #[test]
    fn late_news_changes_nothing() {
        assert_eq!(after(Stopping, configured()), (Stopping, String::new()));
        assert_eq!(after(Stopped, Event::Lost), (Stopped, String::new()));
        assert_eq!(after(Started, Event::Idle), (Started, String::new()));
    }

    #[test]
    fn calls_out_of_turn_get_the_specifications_errors() {
        let error = |state, event| format!("{:?}", step(state, event).unwrap_err());
        assert!(error(Starting, Event::Connect).starts_with("StartingInProgress"));
        assert!(error(Started, Event::Connect).starts_with("AlreadyStarted"));
        assert!(error(Stopping, Event::Connect).starts_with("StoppingInProgress"));
        assert!(error(Stopping, Event::Disconnect).starts_with("StoppingInProgress"));
        assert!(error(Init, Event::Disconnect).starts_with("AlreadyStopped"));
        assert!(error(Shutdown, Event::Connect).starts_with("WrongState"));
    }
}
