//! Stories told on every image, each in a world of its own: `cargo xtask test --lab [FILTER]`.

mod actors;
mod apply;
mod assigned;
mod bare;
mod certificates;
mod common;
mod confined;
mod docs;
mod endurance;
mod examples;
mod failing;
mod families;
mod faults;
mod foreign;
mod guard;
mod hook;
mod hostile;
mod interactive;
mod kinds;
mod lasting;
mod names;
mod nmstatectl;
mod packages;
mod pair;
mod places;
mod pluto;
mod policies;
mod profile;
mod refusals;
mod secrets;
mod told;
mod unprivileged;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Error, Result, ensure};
use lab::agent::Agent;
use lab::denials;
use lab::image::Image;
use lab::world::{Pair, World};
use libtest_mimic::{Arguments, Failed, Trial};

/// Stories that are told at once, of which some wait for something at any time: each guest needs a processor or two and two
/// gigabytes of memory.
const STORIES_AT_ONCE: usize = 3;

/// A story: its name, and what happens where.
struct Story {
    name: &'static str,
    plot: Plot,
    where_told: Where,
    /// Files that AppArmor refuses to programs of ours in it, as it should.
    refused: &'static [&'static str],
}

/// The images that a story is told on.
#[derive(Clone, Copy)]
enum Where {
    /// All common ones.
    Common,
    /// This one of them; all of them where LAB_EVERYWHERE says so.
    Once(Image),
    /// This one.
    Only(Image),
}

/// What happens in a story, by the world that it needs.
#[derive(Clone, Copy)]
enum Plot {
    /// libreswan alone, with nothing of ours on the hosts.
    Plain(fn(&World) -> Result<()>),
    /// What this workspace builds, against a plain peer.
    OfProduct(fn(&World) -> Result<()>),
    /// The same with a guest for each host.
    OfPair(fn(&Pair) -> Result<()>),
}

impl Story {
    const fn new(name: &'static str, plot: Plot) -> Self {
        Self {
            name,
            plot,
            where_told: Where::Common,
            refused: &[],
        }
    }

    const fn plain(name: &'static str, tell: fn(&World) -> Result<()>) -> Self {
        Self::new(name, Plot::Plain(tell))
    }

    const fn of_product(name: &'static str, tell: fn(&World) -> Result<()>) -> Self {
        Self::new(name, Plot::OfProduct(tell))
    }

    const fn of_pair(name: &'static str, tell: fn(&Pair) -> Result<()>) -> Self {
        Self::new(name, Plot::OfPair(tell))
    }

    /// The same on one image only, unless everything is to be told everywhere: what takes long and is about what both have in
    /// common.
    const fn once(mut self, image: Image) -> Self {
        self.where_told = Where::Once(image);
        self
    }

    /// The same on one image alone: what no other has.
    const fn only(mut self, image: Image) -> Self {
        self.where_told = Where::Only(image);
        self
    }

    fn is_told_on(&self, image: Image, everywhere: bool) -> bool {
        match self.where_told {
            Where::Only(only) => only == image,
            Where::Once(once) if !everywhere => once == image,
            Where::Once(_) | Where::Common => Image::COMMON.contains(&image),
        }
    }

    /// The same with files that AppArmor is to refuse: in any other story it refuses nothing.
    const fn refused(mut self, files: &'static [&'static str]) -> Self {
        self.refused = files;
        self
    }

    /// Tells the story; an error says where its artefacts are, `name` being that of the trial.
    fn tell(&self, image: Image, name: &str) -> Result<()> {
        let (world, tell) = match self.plot {
            Plot::Plain(tell) => (World::plain(image)?, tell),
            Plot::OfProduct(tell) => (World::with_product(image)?, tell),
            Plot::OfPair(tell) => {
                let pair = Pair::with_product(image)?;
                let told = tell(&pair).and_then(|()| self.was_refused_nothing(image, pair.left_vm().agent()));
                return told.map_err(|error| pair.explain(name, error));
            }
        };
        let told = tell(&world).and_then(|()| self.was_refused_nothing(image, world.agent()));
        told.map_err(|error| world.explain(name, error))
    }

    /// AppArmor has refused nothing that a program of ours needed.
    fn was_refused_nothing(&self, image: Image, agent: &Agent) -> Result<()> {
        if !image.confines() {
            return Ok(());
        }
        let mut records = denials::of_apparmor(agent)?;
        for file in self.refused {
            let name = format!("name=\"{file}\"");
            records.retain(|record| !record.contains(&name));
        }
        let records = records.join("\n");
        ensure!(records.is_empty(), "AppArmor has refused this:\n{records}");
        Ok(())
    }
}

/// Every story. Those called `bare::` need nothing of ours and show that the lab itself works.
const STORIES: &[Story] = &[
    // These mostly wait; what is told beside them begins later.
    Story::of_product("faults::silence", faults::silence).once(Image::Trixie),
    Story::of_product("faults::refusal", faults::refusal).once(Image::Bookworm),
    // Those of pairs take long: what is left at the end is to be short, and no two on one image are to begin together.
    Story::of_pair("faults::power_cut", faults::power_cut).once(Image::Trixie),
    Story::of_pair("faults::peer_returns", faults::peer_returns).once(Image::Bookworm),
    Story::plain("bare::transport", bare::transport),
    Story::of_product("policies::transport", policies::transport),
    Story::of_product("policies::tunnel", policies::tunnel),
    Story::of_product("policies::psk", policies::psk).once(Image::Trixie),
    Story::of_product("policies::e2e_host_to_host", policies::e2e_host_to_host).once(Image::Bookworm),
    Story::of_product("docs::commands", docs::commands).once(Image::Trixie),
    Story::of_product("examples::tunnels", examples::tunnels).once(Image::Trixie),
    Story::of_product("examples::peers", examples::peers).once(Image::Bookworm),
    Story::of_pair("faults::two_of_ours", faults::two_of_ours).once(Image::Bookworm),
    Story::of_product("apply::policies", apply::policies).once(Image::Trixie),
    Story::of_product("apply::identical", apply::identical).once(Image::Bookworm),
    Story::of_product("apply::mixed", apply::mixed).once(Image::Trixie),
    Story::of_product("apply::undone", apply::undone),
    Story::of_product("apply::interrupted", apply::interrupted).once(Image::Bookworm),
    Story::of_product("apply::rollout", apply::rollout).once(Image::Trixie),
    Story::of_product("apply::killed::daemon_at_messages", apply::daemon_at_messages).once(Image::Trixie),
    Story::of_product("apply::killed::daemon_at_programs", apply::daemon_at_programs).once(Image::Trixie),
    Story::of_product(
        "apply::killed::networkmanager_at_messages",
        apply::networkmanager_at_messages,
    )
    .once(Image::Bookworm),
    Story::of_product("apply::killed::command_at_messages", apply::command_at_messages).once(Image::Bookworm),
    Story::of_product("apply::killed::command_with_others", apply::command_with_others).once(Image::Trixie),
    Story::of_product("nmstatectl::same", nmstatectl::same).once(Image::Trixie),
    Story::of_product("nmstatectl::operator", nmstatectl::operator).once(Image::Trixie),
    Story::of_product("nmstatectl::without_commit", nmstatectl::without_commit).once(Image::Trixie),
    Story::plain("nmstatectl::alone", nmstatectl::alone).once(Image::Trixie),
    Story::of_product("certificates::by_name", certificates::by_name).once(Image::Bookworm),
    Story::of_product("certificates::waited_for", certificates::waited_for).once(Image::Bookworm),
    Story::of_product("certificates::command", certificates::command).once(Image::Trixie),
    Story::of_product("certificates::machine_config", certificates::machine_config).once(Image::Trixie),
    Story::of_product("certificates::renewal", certificates::renewal),
    Story::of_pair("certificates::cold_boot", certificates::cold_boot).once(Image::Trixie),
    Story::of_product("families::ipv6", families::ipv6).once(Image::Bookworm),
    Story::of_product("families::six_in_four", families::six_in_four).once(Image::Bookworm),
    Story::of_product("families::four_in_six", families::four_in_six).once(Image::Trixie),
    Story::of_product("failing::wrong_psk", failing::wrong_psk).once(Image::Bookworm),
    Story::of_product("failing::missing_certificate", failing::missing_certificate).once(Image::Trixie),
    Story::of_product("failing::beside_a_working_one", failing::beside_a_working_one).once(Image::Bookworm),
    Story::of_pair("pair::power_cut", apply::power_cut).once(Image::Bookworm),
    Story::of_product(
        "foreign::connection_is_untouched",
        foreign::connection_is_untouched,
    )
    .once(Image::Bookworm),
    Story::of_product("guard::lasting", guard::lasting).once(Image::Trixie),
    Story::of_product("guard::by_policy", guard::by_policy).once(Image::Bookworm),
    Story::of_product("guard::subnets", guard::subnets).once(Image::Bookworm),
    Story::of_product("guard::device", guard::device).once(Image::Trixie),
    Story::of_product("guard::ipv6", guard::ipv6).once(Image::Bookworm),
    Story::of_product("guard::flushed", guard::flushed).once(Image::Trixie),
    Story::of_product("guard::nobody_lives", guard::nobody_lives).once(Image::Bookworm),
    Story::of_pair("faults::fifty", faults::fifty).once(Image::Trixie),
    Story::of_pair("pair::transport", pair::transport).once(Image::Bookworm),
    Story::plain("packages::debian", packages::debian).once(Image::Trixie),
    Story::plain("packages::enforcing", packages::enforcing).only(Image::Selinux),
    Story::of_product("hook::tells", hook::tells).once(Image::Bookworm),
    Story::of_product("hostile::profiles", hostile::profiles).once(Image::Trixie),
    Story::of_product("confined::enforced", confined::enforced)
        .only(Image::Trixie)
        .refused(&confined::REFUSED),
    Story::of_product("unprivileged::on_the_bus", unprivileged::on_the_bus).once(Image::Trixie),
    Story::of_product("secrets::stay_secret", secrets::stay_secret).once(Image::Bookworm),
    Story::of_product("assigned::x509", assigned::x509).once(Image::Trixie),
    Story::of_product("interactive::secrets", interactive::secrets).once(Image::Trixie),
    Story::of_product("refusals::invalid_profiles", refusals::invalid_profiles).once(Image::Trixie),
    Story::of_product("refusals::reasons", refusals::reasons),
    Story::of_product("refusals::wrong_then_right", refusals::wrong_then_right).once(Image::Bookworm),
    Story::of_product("lasting::daemon_restart", lasting::daemon_restart).once(Image::Bookworm),
    Story::of_product("lasting::losses", lasting::losses).once(Image::Trixie),
    Story::of_product("actors::by_hand", actors::by_hand).once(Image::Trixie),
    Story::of_product("actors::all_at_once", actors::all_at_once).once(Image::Bookworm),
    Story::of_product("names::moved", names::moved).once(Image::Trixie),
    Story::of_product("pluto::name_is_taken", pluto::name_is_taken).once(Image::Bookworm),
    Story::of_product("pluto::orphans_are_taken_away", pluto::orphans_are_taken_away),
    Story::of_product("pluto::hangs_and_stops", pluto::hangs_and_stops).once(Image::Bookworm),
    Story::of_product("pluto::devices_go", pluto::devices_go).once(Image::Bookworm),
    Story::of_product("pluto::devices_are_shared", pluto::devices_are_shared).once(Image::Trixie),
    Story::of_product("pluto::corrected", pluto::corrected).once(Image::Trixie),
    Story::of_product("names::address_changes", names::address_changes).once(Image::Bookworm),
    Story::of_product("pluto::without_systemd", pluto::without_systemd).once(Image::Trixie),
    Story::of_product(
        "pluto::adopted_ones_are_told_apart",
        pluto::adopted_ones_are_told_apart,
    ),
    Story::of_product("endurance::rekeys", endurance::rekeys).once(Image::Bookworm),
    Story::of_product("endurance::quick_succession", endurance::quick_succession).once(Image::Trixie),
    Story::of_product("endurance::secondary", endurance::secondary).once(Image::Trixie),
    Story::of_product("endurance::neighbours", endurance::neighbours).once(Image::Trixie),
    Story::of_product("kinds::subnets", kinds::subnets).once(Image::Trixie),
    Story::of_product("kinds::devices", kinds::devices),
    Story::of_product("kinds::nat", kinds::nat).once(Image::Bookworm),
    Story::of_product("kinds::on_demand", kinds::on_demand).once(Image::Bookworm),
    Story::of_product("kinds::raw_keys", kinds::raw_keys).once(Image::Trixie),
    Story::of_product("kinds::further_keys", kinds::further_keys).once(Image::Bookworm),
    Story::of_product("kinds::ikev1", kinds::ikev1).once(Image::Trixie),
    Story::of_product("faults::on_left", faults::on_left).once(Image::Trixie),
    Story::of_product("faults::on_left_guarded", faults::on_left_guarded).once(Image::Bookworm),
    Story::of_product("faults::addresses", faults::addresses).once(Image::Trixie),
    Story::of_product("faults::no_default_route", faults::no_default_route).once(Image::Bookworm),
    Story::of_product("faults::privacy", faults::privacy).once(Image::Bookworm),
    Story::of_product("faults::peers", faults::peers).once(Image::Trixie),
    Story::of_product("faults::clock", faults::clock).once(Image::Bookworm),
    Story::of_product("faults::disk", faults::disk).once(Image::Trixie),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Guests are large; the number of processors says nothing about how many fit.
    arguments.test_threads = Some(STORIES_AT_ONCE + places::IDLE_AT_ONCE);
    if env::var_os("LAB_TESTS").is_none() && !arguments.list {
        eprintln!("SKIP lab: run it with `cargo xtask test --lab`");
        return ExitCode::SUCCESS;
    }
    let everywhere = env::var_os("LAB_EVERYWHERE").is_some();
    // A filter may name several parts, separated by commas.
    let filter = arguments.filter.take().unwrap_or_default();
    let wanted = |name: &str| filter.split(',').any(|part| name.contains(part));
    let mut trials = Vec::new();
    for image in Image::ALL {
        for story in STORIES {
            let name = format!("{image}::{}", story.name);
            if story.is_told_on(image, everywhere) && wanted(&name) {
                trials.push(Trial::test(name.clone(), move || run(image, story, &name)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(image: Image, story: &Story, name: &str) -> Result<(), Failed> {
    let _place = places::take();
    let began = Instant::now();
    let told = story.tell(image, name).map_err(|error| failed(&error));
    // Which stories cost the most is worth knowing whenever they are run.
    eprintln!("{name}: {} s", began.elapsed().as_secs());
    // All of them are told again at the end, which may be an hour away.
    if let Err(failed) = &told {
        eprintln!("{name}: {}", failed.message().unwrap_or_default());
    }
    told
}

/// The whole chain of causes, each on a line of its own.
fn failed(error: &Error) -> Failed {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    Failed::from(causes.join("\n  because: "))
}
