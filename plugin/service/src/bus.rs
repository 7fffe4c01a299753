//! The way onto the system bus, as short as it can be: many of these processes are started, and pluto waits
//! for one kind of them.

use std::os::unix::net::{SocketAddr, UnixStream};
use std::{ffi::OsStr, io};

use nmstate_ipsec_core::{contract::DAEMON_NAME, starter::start_service};
use zbus::{
    Address, Connection,
    address::transport::{Transport, UnixSocket},
    connection::Builder,
    fdo::{DBusProxy, RequestNameFlags, RequestNameReply},
};

/// Connects to the system bus.
///
/// # Errors
/// The address is none, or nobody answers there.
pub async fn system() -> zbus::Result<Connection> {
    let address = Address::system()?;
    let builder = match address.transport() {
        Transport::Unix(socket) => match socket_address(socket.path())? {
            Some(bus) => Builder::unix_stream(connect(&bus)?),
            None => Builder::address(address)?,
        },
        _ => Builder::address(address)?,
    };
    builder.build().await
}

/// Takes `name` on the bus that `broker` stands for.
///
/// This is one round trip. zbus's own way asks for two more, to learn that a name is lost; a name that nobody
/// may replace is lost with the connection only.
///
/// # Errors
/// Another process has the name, or the bus will not give it.
pub async fn take_name(broker: &DBusProxy<'_>, name: &str) -> zbus::Result<()> {
    let answer = broker
        .request_name(name.try_into()?, RequestNameFlags::DoNotQueue.into())
        .await?;
    match answer {
        RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => Ok(()),
        RequestNameReply::InQueue | RequestNameReply::Exists => Err(zbus::Error::NameTaken),
    }
}

/// Has the daemon started, if it does not run, while NetworkManager prepares its first call: on a busy machine the start
/// would take up much of the time that NetworkManager leaves for the answer.
///
/// # Errors
/// The bus cannot be asked.
pub async fn wake_daemon(bus: &Connection) -> zbus::Result<()> {
    start_service(bus, DAEMON_NAME).await
}

/// The address to connect to, unless it is a place to listen only.
fn socket_address(socket: &UnixSocket) -> io::Result<Option<SocketAddr>> {
    use std::os::{linux::net::SocketAddrExt, unix::ffi::OsStrExt};
    match socket {
        UnixSocket::File(path) => SocketAddr::from_pathname(path).map(Some),
        UnixSocket::Abstract(name) => {
            let name: &OsStr = name;
            SocketAddr::from_abstract_name(name.as_bytes()).map(Some)
        }
        _ => Ok(None),
    }
}

/// Connecting to a socket of this host ends at once; zbus itself starts a thread for it, which costs more
/// memory and time than all the rest and lives on for ten seconds.
fn connect(bus: &SocketAddr) -> io::Result<tokio::net::UnixStream> {
    let stream = UnixStream::connect_addr(bus)?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}
