//! Names and constants of the two D-Bus contracts that the project lives between.
//!
//! NetworkManager's side is `org.freedesktop.NetworkManager.VPN.Plugin` as its introspection data and
//! `NetworkManager.conf(5)` describe it; the daemon's side is our own.

/// Well-known name that NetworkManager's `.name` file declares; NetworkManager appends `.Connection_<N>`.
pub const PLUGIN_NAME: &str = "org.freedesktop.NetworkManager.libreswan";

/// The older name under which some profiles still ask for the same service.
pub const PLUGIN_ALIAS: &str = "org.freedesktop.NetworkManager.openswan";

/// Object path on which NetworkManager expects the plugin.
pub const PLUGIN_PATH: &str = "/org/freedesktop/NetworkManager/VPN/Plugin";

/// Well-known name of the daemon on the system bus.
pub const DAEMON_NAME: &str = "org.nmstate.Ipsec1";

/// Object path of the daemon's interfaces.
pub const DAEMON_PATH: &str = "/org/nmstate/Ipsec1";

/// State of a VPN service (`NMVpnServiceState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ServiceState {
    /// Waiting for a connection to be asked for.
    Init = 1,
    /// About to leave the bus.
    Shutdown = 2,
    /// Negotiating, or negotiating again after a loss.
    Starting = 3,
    /// The tunnel is up.
    Started = 4,
    /// The tunnel is being taken down.
    Stopping = 5,
    /// The tunnel is down.
    Stopped = 6,
}

impl ServiceState {
    /// The number that travels on the bus.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The state that travelled on the bus as `number`, if the contract knows it.
    pub fn from_number(number: u32) -> Option<Self> {
        [
            Self::Init,
            Self::Shutdown,
            Self::Starting,
            Self::Started,
            Self::Stopping,
            Self::Stopped,
        ]
        .into_iter()
        .find(|state| state.number() == number)
    }
}

/// Why a VPN failed, in the three words that NetworkManager has for it (`NMVpnPluginFailure`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PluginFailure {
    /// Secrets or certificates were not accepted.
    LoginFailed = 0,
    /// Anything else that keeps the tunnel from coming up.
    ConnectFailed = 1,
    /// The peer's configuration made no sense.
    BadIpConfig = 2,
}

impl PluginFailure {
    /// The number that travels on the bus.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Errors of the plugin interface; the variant names are the specification's.
#[derive(Debug, Clone, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.NetworkManager.VPN.Error")]
pub enum PluginError {
    /// Anything that went wrong below the contract.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// A connection is being brought up already.
    StartingInProgress(String),
    /// A connection is up already.
    AlreadyStarted(String),
    /// A connection is being taken down.
    StoppingInProgress(String),
    /// There is nothing to take down.
    AlreadyStopped(String),
    /// The call does not fit the service's state.
    WrongState(String),
    /// The arguments are not of the contract's form.
    BadArguments(String),
    /// The part that does the work could not be started.
    LaunchFailed(String),
    /// The profile is not one that can be used; the text names the key and the value.
    InvalidConnection(String),
    /// Secrets cannot be asked for during the connection; NetworkManager then calls `Connect`.
    InteractiveNotSupported(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of NetworkManager's `nm-vpn-dbus-interface.h`, as its documentation lists them.
    #[test]
    fn states_have_the_numbers_of_the_contract() {
        use ServiceState::{Init, Shutdown, Started, Starting, Stopped, Stopping};
        let listed = [Init, Shutdown, Starting, Started, Stopping, Stopped];
        for (state, number) in listed.into_iter().zip(1..) {
            assert_eq!(state.number(), number);
            assert_eq!(ServiceState::from_number(number), Some(state));
        }
        assert_eq!(ServiceState::from_number(0), None);
        assert_eq!(ServiceState::from_number(7), None);
    }
}
