//! `nm-libreswan-service`: started by NetworkManager, once for each connection.

use std::process::ExitCode;

use futures_util::StreamExt;
use nm_libreswan_service::{
    arguments::{self, Arguments},
    bus,
    lifecycle::Event,
    plugin::Plugin,
    relay,
    say::say,
};
use nmstate_ipsec_core::{contract::PLUGIN_PATH, daemon_api::ManagerProxy};
use zbus::{fdo::DBusProxy, object_server::InterfaceRef, proxy::CacheProperties};
use zeroizing_alloc::ZeroAlloc;

/// Secrets pass through the buffers of the bus and through whatever is parsed from them. None of these wipes
/// what it held, so all memory is wiped when it is given back.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("nm-libreswan-service: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    // Secrets pass through this process: it leaves no core and cannot be traced.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let arguments = arguments::parse(std::env::args_os().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(serve(&arguments))?)
}

async fn serve(arguments: &Arguments) -> zbus::Result<()> {
    let system = bus::system().await?;
    let daemon = ManagerProxy::builder(&system)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    system
        .object_server()
        .at(PLUGIN_PATH, Plugin::new(daemon.clone()))
        .await?;
    let plugin = system.object_server().interface::<_, Plugin>(PLUGIN_PATH).await?;
    let broker = DBusProxy::builder(&system)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    // NetworkManager waits: what has no order is asked for at once.
    let (signals, daemon_owners, manager_owners) = futures_util::join!(
        daemon.inner().receive_all_signals(),
        daemon.inner().receive_owner_changed(),
        broker.receive_name_owner_changed_with_args(&[(0, "org.freedesktop.NetworkManager")]),
    );
    let (mut signals, mut daemon_owners, mut manager_owners) = (signals?, daemon_owners?, manager_owners?);
    // The name comes last: whoever finds it finds everything behind it.
    bus::take_name(&broker, &arguments.bus_name).await?;
    bus::wake_daemon(&system).await?;
    if arguments.debug {
        say(format_args!("serving as {}", arguments.bus_name));
    }

    let serves_one = arguments.bus_name.contains(".Connection_");
    let idle = plugin.get().await;
    let mut daemon_was_lost = false;
    while !idle.is_done() {
        tokio::select! {
            Some(message) = signals.next() => relay::handle(&message, &plugin).await?,
            Some(owner) = daemon_owners.next() => {
                // The daemon's first start is this process's own doing and no reason to call it twice.
                if owner.is_some() && daemon_was_lost {
                    register_again(&plugin, &daemon).await;
                }
                daemon_was_lost = owner.is_none();
            }
            Some(change) = manager_owners.next() => {
                let gone = change.args()?.new_owner().is_none();
                if gone && !arguments.persist { tell(&plugin, Event::CallerGone).await? }
            }
            () = system.closed() => return Err(zbus::Error::Failure("the system bus has closed the connection".into())),
            () = idle.idle(serves_one), if !arguments.persist => tell(&plugin, Event::Idle).await?,
        }
    }
    // Leaving the bus by name first: what was emitted is then on its way before the name is gone.
    broker
        .release_name(arguments.bus_name.as_str().try_into()?)
        .await?;
    system.close().await
}

async fn tell(plugin: &InterfaceRef<Plugin>, event: Event) -> zbus::Result<()> {
    let result = plugin.get().await.apply(event, plugin.signal_emitter()).await;
    result.map_err(|error| zbus::Error::Failure(error.to_string()))
}

/// Tells a daemon that has been restarted which connection this process stands for. If it will not hear of
/// it, the tunnel stays as it is until the next one does.
async fn register_again(plugin: &InterfaceRef<Plugin>, daemon: &ManagerProxy<'_>) {
    let plugin = plugin.get().await;
    let Some(settings) = plugin.served() else { return };
    let registered = if plugin.is_started() {
        daemon.register(&settings).await
    } else {
        daemon.activate(&settings).await
    };
    match registered {
        Ok(()) => say(format_args!(
            "nmstate-ipsecd was restarted and has the connection again"
        )),
        Err(error) => say(format_args!(
            "failed to register the connection with nmstate-ipsecd again: {error}"
        )),
    }
}
