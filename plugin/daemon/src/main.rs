//! `nmstate-ipsecd`: started by systemd when something calls it on the system bus.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use nmstate_ipsec_core::contract::{DAEMON_NAME, DAEMON_PATH};
use nmstate_ipsecd::{
    bus,
    connection::{Host, Registry},
    guard::{self, Guards},
    libreswan::Libreswan,
    log,
    secrets_file::SECRETS_DIR,
    systemd,
    transaction::{STATE_DIR, Transactions},
};
use tokio::signal::unix::{SignalKind, signal};
use zeroizing_alloc::ZeroAlloc;

/// Secrets pass through the buffers of the bus and of pipes, and through whatever is parsed from them. None of
/// these wipes what it held, so all memory is wiped when it is given back.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// The program that pluto runs when a tunnel comes or goes.
const UPDOWN_PATH: &str = "/usr/libexec/nm-libreswan-service-helper";

/// The argument with which it sets all guards and ends.
const LOAD_GUARDS: &str = "--load-guards";

/// The argument with which it takes everything of ours out of pluto and of the kernel and ends.
const LEAVE: &str = "--leave";

/// The argument with which it logs more.
const DEBUG: &str = "--debug";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    log::start(arguments.iter().any(|argument| argument == DEBUG));
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> anyhow::Result<()> {
    let is_known = |argument: &&String| [LOAD_GUARDS, LEAVE, DEBUG].contains(&argument.as_str());
    if let Some(unknown) = arguments.iter().find(|argument| !is_known(argument)) {
        anyhow::bail!(
            "unknown argument '{unknown}'; usage: nmstate-ipsecd [{LOAD_GUARDS} | {LEAVE}] [{DEBUG}]"
        );
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("failed to forbid core dumps")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the event loop")?;
    if arguments.iter().any(|argument| argument == LOAD_GUARDS) {
        return runtime.block_on(load_guards());
    }
    if arguments.iter().any(|argument| argument == LEAVE) {
        return runtime.block_on(leave());
    }
    runtime.block_on(serve())
}

/// What the unit runs that sets guards before the host has a network.
async fn load_guards() -> anyhow::Result<()> {
    let loaded = guard::load_all(Path::new(STATE_DIR)).await;
    let count = loaded.map_err(|faults| anyhow::anyhow!(faults))?;
    tracing::info!("{count} guards are set");
    Ok(())
}

/// What the package's removal runs when the daemon was stopped for good.
async fn leave() -> anyhow::Result<()> {
    registry(&system_bus().await?).leave_host().await;
    Ok(())
}

async fn system_bus() -> anyhow::Result<zbus::Connection> {
    zbus::connection::Builder::system()?
        .build()
        .await
        .context("failed to reach the system bus")
}

fn registry(system: &zbus::Connection) -> Registry {
    Registry::new(Host::new(
        Libreswan::find(),
        system.clone(),
        PathBuf::from(SECRETS_DIR),
        PathBuf::from(UPDOWN_PATH),
        Guards::new(Path::new(STATE_DIR)),
    ))
}

async fn serve() -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let system = system_bus().await?;
    let registry = Arc::new(registry(&system));
    if systemd::is_booted()
        && let Err(error) = systemd::subscribe(&system).await
    {
        tracing::warn!("systemd does not tell of its units: {error}");
    }
    bus::serve(&system, &registry)
        .await
        .context("failed to put the objects onto the bus")?;
    let (transactions, keeper) = Transactions::new(registry.clone(), system.clone(), Path::new(STATE_DIR));
    let transactions = Arc::new(transactions);
    system
        .object_server()
        .at(
            DAEMON_PATH,
            bus::Autoconnect::new(transactions.autoconnect().clone()),
        )
        .await
        .context("failed to put the keeper of connections onto the bus")?;
    system
        .object_server()
        .at(DAEMON_PATH, bus::Transactions::new(transactions.clone()))
        .await
        .context("failed to put the transactions onto the bus")?;
    // Whoever finds the name waits until what was interrupted is undone.
    let replay = transactions.clone();
    tokio::spawn(async move { replay.replay().await });
    tokio::spawn(keeper.run());
    tokio::task::yield_now().await;
    // The name comes last: whoever finds it finds everything behind it.
    system
        .request_name(DAEMON_NAME)
        .await
        .with_context(|| format!("failed to take the name {DAEMON_NAME}"))?;
    tracing::info!("ready");
    tokio::spawn(async move { tokio::join!(registry.watch(), registry.sweep()) });
    tokio::select! {
        _ = stop.recv() => {}
        () = system.closed() => anyhow::bail!("the system bus has closed the connection"),
    }
    // Tunnels stay: the adapters register them again with the next daemon.
    Ok(())
}
