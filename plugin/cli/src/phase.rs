//! The states of connections in words.

/// A state of [`nmstate_ipsec_core::daemon_api::ConnectionStatus`] in words.
pub(crate) fn words(state: &str) -> &str {
    match state {
        "ondemand" => "waiting for packets",
        "going-down" => "going down",
        "lost" => "lost, and tried again",
        "waiting" => "to be brought up",
        "resolving" => "looking names up",
        "loading" => "being handed to pluto",
        "adopting" => "being looked for in pluto",
        other => other,
    }
}
