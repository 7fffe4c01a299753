//! `idle-vpn`: what NetworkManager takes by itself to bring VPN connections up and to remove them.
//!
//! NetworkManager starts it with `--bus-name` as the plugin of such connections. `idle-vpn up FIRST LAST` adds that many
//! profiles at once and activates them, `idle-vpn remove LAST` deletes them; both print how long it took, in seconds.

mod client;
mod plugin;

use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle-vpn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let took = match arguments.as_slice() {
        ["--bus-name", name, ..] => return Ok(runtime.block_on(plugin::serve(name))?),
        ["up", first, last] => runtime.block_on(client::up(first.parse()?..=last.parse()?))?,
        ["remove", last] => runtime.block_on(client::remove(1..=last.parse()?))?,
        _ => return Err("usage: idle-vpn up FIRST LAST | remove LAST | --bus-name NAME".into()),
    };
    println!("{:.3}", took.as_secs_f64());
    Ok(())
}
