//! Secrets that a user is asked for while a connection comes up.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::agent::{Background, wait_until};
use lab::peer::{self, PSK};
use lab::profile::Profile;
use lab::world::{BusMessage, Host, World};

/// NetworkManager's limit for the connection, and a time for an answer that is well beyond it.
const VPN_TIMEOUT_SECONDS: &str = "20";
const LATE: Duration = Duration::from_secs(25);

/// A question comes after a refusal, and that after a negotiation.
const PATIENCE: Duration = Duration::from_secs(90);

const WRONG: &str = "a key that nobody else has";

/// The secret that nmcli asks for.
const SECRET: &str = "pskvalue";

/// What nmcli reads the user's answers from.
const ANSWERS: &str = "/run/lab/answers";

/// The connection that right accepts; its key is never saved.
const DATA: &str = "left=192.0.2.251, leftid=left.example.org, right=192.0.2.252, rightid=right.example.org, \
     ikev2=insist, leftmodecfgclient=no, rightsubnet=192.0.2.252/32, type=transport, pskvalue-flags=2";

/// A wrong answer is followed by another question, a late answer is in time, a question can be left alone, and
/// whoever gives the same wrong answer again and again is not asked for ever.
pub(crate) fn secrets(world: &World) -> Result<()> {
    peer::expect_psk(world.right())?;
    let profile = Profile::new("asks", DATA).property("vpn.timeout", VPN_TIMEOUT_SECONDS);
    profile.add(world.left())?;
    wrong_then_right_and_late(world, &profile).context("a wrong key, and late the right one")?;
    left_alone(world, &profile).context("a question that is left alone")?;
    wrong_for_ever(world, &profile).context("the same wrong key again and again")
}

fn wrong_then_right_and_late(world: &World, profile: &Profile) -> Result<()> {
    let (left, right) = (world.left(), world.right());
    let monitor = world.monitor_bus()?;
    let user = User::activates(left, profile, SECRET)?;
    user.is_asked(1)?;
    user.answers(WRONG)?;
    let said = user.is_asked(2)?;
    ensure!(
        said.contains("192.0.2.252 refused our authentication"),
        "the user is not told why the key is asked for again: {said}"
    );
    // The lapse of time is what this is about: NetworkManager's limit passes meanwhile.
    thread::sleep(LATE);
    user.answers(PSK)?;
    let said = user.ends()?;
    ensure!(said.contains("successfully activated"), "not activated: {said}");
    ensure!(
        left.spis()? == right.spis()?,
        "the hosts do not have the same SAs"
    );
    let messages = monitor.stop()?;
    ensure!(
        course(&messages)
            == [
                "ConnectInteractive",
                "SecretsRequired",
                "NewSecrets",
                "Config",
                "Started"
            ],
        "another course: {:?}",
        course(&messages)
    );
    ensure!(holds(left, PSK)?, "the search through the memory finds nothing");
    ensure!(!holds(left, WRONG)?, "the refused key is still in the memory");
    profile.down(left)?;
    profile.ensure_gone(left)
}

fn left_alone(world: &World, profile: &Profile) -> Result<()> {
    let left = world.left();
    let user = User::activates(left, profile, SECRET)?;
    user.is_asked(1)?;
    user.answers(WRONG)?;
    user.is_asked(2)?;
    profile.down(left)?;
    let said = user.ends()?;
    ensure!(!said.contains("successfully activated"), "activated: {said}");
    profile.ensure_gone(left)?;
    wait_until("the adapter has ended", PATIENCE, || {
        let adapters = left.command(["pgrep", "-f", ADAPTER]).output()?;
        Ok((!adapters.success()).then_some(()))
    })
}

fn wrong_for_ever(world: &World, profile: &Profile) -> Result<()> {
    let left = world.left();
    let passwords = format!("vpn.secrets.pskvalue:{WRONG}\n");
    left.shell("cat > /run/lab/passwords").stdin(passwords).run()?;
    let monitor = world.monitor_bus()?;
    let up = ["nmcli", "connection", "up", profile.name()];
    let output = left
        .command(up.into_iter().chain(["passwd-file", "/run/lab/passwords"]))
        .timeout(PATIENCE * 4)
        .output()?;
    ensure!(!output.success(), "activated: {}", output.stdout);
    let messages = monitor.stop()?;
    let mut expected = vec!["ConnectInteractive"];
    expected.extend(["SecretsRequired", "NewSecrets"].repeat(3));
    expected.push("Failure");
    let course = course(&messages);
    ensure!(course == expected, "another course: {course:?}");
    profile.ensure_gone(left)
}

const ADAPTER: &str = "nm-libreswan-service --bus-name";

/// Whether the adapter or the daemon has a text anywhere in its memory.
fn holds(host: Host<'_>, text: &str) -> Result<bool> {
    let search = r#"
        chomp(my $text = <STDIN>);
        my $found = 0;
        for my $process (split ' ', `pgrep -f '^/usr/libexec/nm'`) {
            open my $maps, '<', "/proc/$process/maps" or next;
            open my $memory, '<:raw', "/proc/$process/mem" or die "memory of $process: $!";
            while (<$maps>) {
                /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
                my ($from, $to) = (hex $1, hex $2);
                sysseek $memory, $from, 0 or next;
                sysread $memory, my $content, $to - $from or next;
                $found = 1 if index($content, $text) >= 0;
            }
        }
        print $found;
    "#;
    let found = host
        .command(["perl", "-e", search])
        .stdin(format!("{text}\n"))
        .run()?;
    Ok(found.trim() == "1")
}

/// What passed between NetworkManager and the adapter, as far as it is about the course of things.
fn course(messages: &[BusMessage]) -> Vec<&str> {
    let told = messages.iter().filter_map(|message| match message.name() {
        name @ ("Connect" | "ConnectInteractive" | "SecretsRequired" | "NewSecrets" | "Config"
        | "Failure") => Some(name),
        "StateChanged" if message.argument(0) == 4 => Some("Started"),
        _ => None,
    });
    told.collect()
}

/// Somebody who brings a connection up with nmcli and answers its questions.
pub(crate) struct User<'world> {
    host: Host<'world>,
    nmcli: Background,
    /// What nmcli says when it asks.
    prompt: String,
}

impl<'world> User<'world> {
    /// Somebody who begins to bring the profile up, and is about to be asked for the secret with that key.
    pub(crate) fn activates(host: Host<'world>, profile: &Profile, secret: &str) -> Result<Self> {
        // A line that is too short for the prompt is written twice.
        let script = format!(
            "mkdir -p /run/lab; rm -f {ANSWERS}; mkfifo -m 600 {ANSWERS}; export COLUMNS=500; exec nmcli --ask connection up '{}' 0<> {ANSWERS}",
            profile.name()
        );
        let nmcli = host.shell(&script).spawn("/run/lab/nmcli")?;
        let prompt = format!("(vpn.secrets.{secret})");
        Ok(Self { host, nmcli, prompt })
    }

    /// Waits until nmcli has asked so many times, and returns all that it said.
    pub(crate) fn is_asked(&self, times: usize) -> Result<String> {
        wait_until("nmcli asks for the key", PATIENCE, || {
            let said = self.said()?;
            Ok((said.matches(&self.prompt).count() >= times).then_some(said))
        })
    }

    /// Gives the answer to the question.
    pub(crate) fn answers(&self, key: &str) -> Result<()> {
        let answer = format!("cat > {ANSWERS}");
        self.host.shell(&answer).stdin(format!("{key}\n")).run().map(drop)
    }

    /// Waits until nmcli has ended, and returns all that it said.
    pub(crate) fn ends(&self) -> Result<String> {
        self.nmcli.wait(PATIENCE)?;
        self.said()
    }

    fn said(&self) -> Result<String> {
        self.host
            .command(["cat", &self.nmcli.stdout, &self.nmcli.stderr])
            .run()
    }
}
