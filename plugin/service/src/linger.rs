//! How long the process stays when there is nothing to do.

use std::time::Duration;

use crate::lifecycle::State;

/// How long an idle process whose name lasts stays, and one that was called: as plugins of the base class do. A user may
/// be typing a secret meanwhile.
const LASTING: Duration = Duration::from_secs(180);

/// How long one stays that nobody has called: NetworkManager calls at once, unless it gave the connection up before the
/// name was there.
const UNCALLED: Duration = Duration::from_secs(20);

/// How long one stays whose name is for one connection only, when that is over: nobody will call it again.
const OVER: Duration = Duration::from_secs(2);

/// What NetworkManager has wanted of the process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Nothing.
    Never,
    /// To know which secrets are needed, or more.
    Called,
    /// To end a connection that had not begun.
    Dismissed,
}

/// How long an idle process stays, if it does not stay for good; `serves_one` says that its name is for one connection.
pub fn linger(serves_one: bool, state: State, visit: Visit) -> Duration {
    match (serves_one, state, visit) {
        (false, ..) => LASTING,
        (true, State::Stopped, _) | (true, _, Visit::Dismissed) => OVER,
        (true, _, Visit::Never) => UNCALLED,
        (true, _, Visit::Called) => LASTING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_for_one_connection_goes_soon_after_it_and_waits_for_a_user() {
        assert_eq!(linger(true, State::Stopped, Visit::Called), OVER);
        assert_eq!(linger(true, State::Init, Visit::Dismissed), OVER);
        assert_eq!(linger(true, State::Init, Visit::Never), UNCALLED);
        assert_eq!(linger(true, State::Init, Visit::Called), LASTING);
        assert_eq!(linger(false, State::Stopped, Visit::Dismissed), LASTING);
    }
}
