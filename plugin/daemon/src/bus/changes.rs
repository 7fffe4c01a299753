//! `org.nmstate.Ipsec1.Changes` ([`nmstate_ipsec_core::daemon_api::ChangesProxy`]).

#![allow(
    missing_docs,
    reason = "what zbus's interface macro generates carries no documentation"
)]

use nmstate_ipsec_core::contract::DAEMON_PATH;
use zbus::object_server::SignalEmitter;

/// The object's face for those who watch connections.
#[derive(Debug)]
pub struct Changes;

#[zbus::interface(name = "org.nmstate.Ipsec1.Changes")]
impl Changes {
    /// A connection has come into another state.
    #[zbus(signal)]
    async fn connection_changed(
        emitter: &SignalEmitter<'_>,
        name: &str,
        uuid: &str,
        state: &str,
    ) -> zbus::Result<()>;
}

/// Tells everybody that the connection `name` has come into `state`.
///
/// # Errors
/// The bus does not take it.
pub(crate) async fn tell_change(
    bus: &zbus::Connection,
    name: &str,
    uuid: &str,
    state: &str,
) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(bus, DAEMON_PATH)?;
    Changes::connection_changed(&emitter, name, uuid, state).await
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use nmstate_ipsec_core::daemon_api::ChangesProxy;
    use tokio::net::UnixStream;
    use zbus::{Guid, connection::Builder};

    use super::*;

    #[tokio::test]
    async fn whoever_listens_hears_of_a_change() {
        let (one, other) = UnixStream::pair().unwrap();
        let server = Builder::unix_stream(one)
            .server(Guid::generate())
            .unwrap()
            .p2p()
            .serve_at(DAEMON_PATH, Changes)
            .unwrap();
        let (server, client) = tokio::join!(server.build(), Builder::unix_stream(other).p2p().build());
        let (server, client) = (server.unwrap(), client.unwrap());
        let changes = ChangesProxy::new(&client).await.unwrap();
        let mut heard = changes.receive_connection_changed().await.unwrap();
        let uuid = "0cb881c9-0000-4000-8000-000000000001";
        tell_change(&server, "hosta_conn", uuid, "negotiating")
            .await
            .unwrap();
        let change = heard.next().await.unwrap();
        let change = change.args().unwrap();
        assert_eq!(
            (change.name.as_str(), change.uuid.as_str(), change.state.as_str()),
            ("hosta_conn", uuid, "negotiating")
        );
    }
}
