//! `nmstate-ipsec status`: what connections are doing, once or as long as somebody looks.

mod show;

use std::{
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, Stream, StreamExt};
use nmstate_ipsec_core::daemon_api::{ChangesProxy, ConnectionStatus, ManagerProxy};
use serde_json::{Value, json};

use super::Fault;
use crate::{args::Status, terminal::Block};

/// How often numbers that change without anybody telling, those of bytes and packets, are asked for while a terminal looks.
const COUNTERS: Duration = Duration::from_secs(2);

pub(super) async fn run(arguments: &Status) -> Result<(), Fault> {
    let bus = zbus::Connection::system().await.map_err(unreachable)?;
    let manager = ManagerProxy::new(&bus).await.map_err(unreachable)?;
    if arguments.watch {
        return watch(arguments, &bus, &manager).await;
    }
    let shown = ask(arguments, &manager).await?;
    if let (true, Some(name)) = (shown.is_empty(), &arguments.name) {
        return Err(Fault::Failed(unknown(name)));
    }
    if arguments.json || !shown.is_empty() {
        match writeln!(io::stdout(), "{}", text(arguments, &shown)) {
            // Who reads no further has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(Fault::failed("failed to write the status", error)),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Shows it anew whenever the daemon tells of a change, or is another one.
async fn watch(arguments: &Status, bus: &zbus::Connection, manager: &ManagerProxy<'_>) -> Result<(), Fault> {
    let changes = ChangesProxy::new(bus).await.map_err(unreachable)?;
    let mut heard = changes.receive_connection_changed().await.map_err(unreachable)?;
    let mut owners = changes
        .inner()
        .receive_owner_changed()
        .await
        .map_err(unreachable)?;
    let mut block = Block::on(io::stdout()).filter(|_| !arguments.json);
    loop {
        // Those that have come meanwhile are in the answer.
        drain(&mut heard);
        drain(&mut owners);
        let shown = ask(arguments, manager).await?;
        let said = match (&arguments.name, shown.is_empty() && !arguments.json) {
            (Some(name), true) => unknown(name),
            (None, true) => "nobody has asked for a connection since nmstate-ipsecd was started".to_owned(),
            _ => text(arguments, &shown),
        };
        let written = match &mut block {
            Some(block) => block.draw(&said.lines().map(ToOwned::to_owned).collect::<Vec<_>>()),
            None => writeln!(io::stdout(), "{said}").and_then(|()| io::stdout().flush()),
        };
        match written {
            // Who reads no further has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Fault::failed("failed to write the status", error)),
            Ok(()) => {}
        }
        tokio::select! {
            change = heard.next() => if change.is_none() {
                return Err(Fault::Failed("the system bus has closed the connection".into()));
            },
            // A daemon that has gone is not called back by asking; the next one tells that it is there.
            () = arrival(&mut owners) => {}
            () = tokio::time::sleep(COUNTERS), if block.is_some() => {}
        }
    }
}

/// Ends when the daemon comes onto the bus.
async fn arrival<T>(owners: &mut (impl Stream<Item = Option<T>> + Unpin)) {
    while let Some(owner) = owners.next().await {
        if owner.is_some() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn drain(stream: &mut (impl Stream + Unpin)) {
    while let Some(Some(_)) = stream.next().now_or_never() {}
}

async fn ask(arguments: &Status, manager: &ManagerProxy<'_>) -> Result<Vec<ConnectionStatus>, Fault> {
    let known = manager.connections().await.map_err(unreachable)?;
    let wanted = |status: &ConnectionStatus| arguments.name.as_ref().is_none_or(|name| *name == status.name);
    Ok(known.into_iter().filter(wanted).collect())
}

fn text(arguments: &Status, shown: &[ConnectionStatus]) -> String {
    if arguments.json {
        let connections: Vec<Value> = shown.iter().map(show::for_programs).collect();
        return json!({ "connections": connections }).to_string();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let lines: Vec<String> = shown.iter().map(|status| show::for_people(status, now)).collect();
    lines.join("\n")
}

fn unknown(name: &str) -> String {
    format!("nobody has asked for '{name}' since nmstate-ipsecd was started; see 'nmcli connection show'")
}

fn unreachable(error: zbus::Error) -> Fault {
    Fault::Failed(format!(
        "failed to ask nmstate-ipsecd for its connections: {error}; see 'systemctl status nmstate-ipsecd'"
    ))
}
