//! Whoever takes part is killed at every one of its calls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::image::Image;
use lab::peer::{self, PSK_DOCUMENT};
use lab::world::World;

use crate::common;

const SCRIPT: &str = include_str!("killed.sh");

/// All of it, with a negotiation or two for each call.
const TIMEOUT: Duration = Duration::from_secs(2400);

/// What is sent on the bus, and the start of programs.
const MESSAGES: &str = "sendmsg";
const PROGRAMS: &str = "clone,clone3,vfork,fork";

/// Every so many calls, on each image others. With `LAB_EVERY_CALL=1` in the environment it is each, which takes a quarter
/// of an hour for a story.
#[derive(Clone, Copy)]
struct Every(usize);

/// The daemon is killed before each message that it sends while a document is applied, and so after the one before it:
/// the host has the old document or the new one, as a whole, with its tunnel up.
pub(crate) fn daemon_at_messages(world: &World) -> Result<()> {
    killed(world, "daemon", MESSAGES, "", Every(6))
}

/// The same before each program that the daemon starts.
pub(crate) fn daemon_at_programs(world: &World) -> Result<()> {
    killed(world, "daemon", PROGRAMS, "", Every(4))
}

/// NetworkManager is killed before messages of its own; systemd starts it again, without its checkpoints and without what
/// was up.
pub(crate) fn networkmanager_at_messages(world: &World) -> Result<()> {
    killed(world, "networkmanager", MESSAGES, "", Every(24))
}

/// The same with the command: the daemon undoes what it left.
pub(crate) fn command_at_messages(world: &World) -> Result<()> {
    killed(world, "command", MESSAGES, "", Every(2))
}

/// The same where the document has another interface, too: that is the command's own doing, through nmstate, with some
/// hundred messages.
pub(crate) fn command_with_others(world: &World) -> Result<()> {
    let other = "- name: dummy7\n  type: dummy\n  state: up\n  mtu: <mtu>\n  ipv4:\n    enabled: false\n  ipv6:\n    enabled: false\n";
    killed(world, "command", MESSAGES, other, Every(120))
}

fn killed(world: &World, victim: &str, calls: &str, other: &str, Every(step): Every) -> Result<()> {
    let left = world.left();
    peer::expect_psk(world.right())?;
    for (name, delay, mtu) in [("one", "30", "1400"), ("two", "40", "1300")] {
        let key = format!("type: transport\n    dpddelay: {delay}\n");
        let document = PSK_DOCUMENT.replace("type: transport\n", &key) + &other.replace("<mtu>", mtu);
        world
            .agent()
            .put(&format!("/root/{name}.yaml"), 0o600, document.as_bytes())?;
    }
    let (first, step) = match world.image() {
        _ if std::env::var("LAB_EVERY_CALL").is_ok_and(|every| every == "1") => (1, 1),
        Image::Trixie | Image::Selinux => (step / 2, step),
        Image::Bookworm => (step, step),
    };
    let script = left
        .shell(SCRIPT)
        .env("VICTIM", victim)
        .env("CALLS", calls)
        .env("FIRST", &first.to_string())
        .env("STEP", &step.to_string());
    let said = script
        .timeout(TIMEOUT)
        .run()
        .with_context(|| format!("killing the {victim} at {calls}"))?;
    let killed = said.lines().filter(|line| line.ends_with(" yes")).count();
    ensure!(killed > 1, "it was killed {killed} times only:\n{said}");
    eprintln!("{victim} at {calls}: killed {killed} times\n{said}");
    common::is_encrypted(world)
}
