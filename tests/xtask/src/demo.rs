//! `cargo xtask demo`: two hosts, a document in, an encrypted connection out. All that is shown happened.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use lab::document::Document;
use lab::image::Image;
use lab::peer;
use lab::world::{BEHIND_V4, LEFT_V4, RIGHT_V4, World};

/// Tells what happens, with the time since the start.
struct Teller {
    began: Instant,
}

impl Teller {
    fn step(&self, what: &str) {
        println!("\n[{:>3.0} s] {what}", self.began.elapsed().as_secs_f32());
    }
}

pub(crate) fn run(image: Image) -> Result<ExitCode> {
    let teller = Teller {
        began: Instant::now(),
    };
    teller
        .step("Preparing: tools, a guest image and the programs of this workspace (minutes the first time)");
    let world = World::with_product(image)?;
    tell(&world, &teller).map_err(|error| world.explain("demo", error))?;
    teller.step("Done: two policies applied, their traffic encrypted, and nothing left behind.");
    Ok(ExitCode::SUCCESS)
}

fn tell(world: &World, teller: &Teller) -> Result<()> {
    let left = world.left();
    teller.step("Two hosts: left.example.org (192.0.2.251) and right.example.org (192.0.2.252)");
    show(
        &left
            .shell("NetworkManager --version | sed 's/^/NetworkManager /'; ipsec --version; uname -sr")
            .run()?,
    );
    teller.step("Each has a certificate bundle of one authority, imported into its NSS database");
    show(
        &left
            .shell("certutil -L -d sql:/var/lib/ipsec/nss | grep -v SSL | grep ,")
            .run()?,
    );
    show(
        &world
            .right()
            .shell("certutil -L -d sql:/etc/right/nss | grep -v SSL | grep ,")
            .run()?,
    );

    peer::expect_certificate(world.right(), &["type=transport"])?;
    encrypt(world, teller, "transport", RIGHT_V4)?;
    remove(world, teller)?;
    peer::expect_certificate(world.right(), &["leftsubnet=198.51.100.1/32", "type=tunnel"])?;
    encrypt(world, teller, "tunnel", BEHIND_V4)?;
    remove(world, teller)
}

fn encrypt(world: &World, teller: &Teller, name: &str, address: &str) -> Result<()> {
    let left = world.left();
    let document = peer::policy(name, address)?;
    teller.step(&format!(
        "left applies policy-examples/{name}.yaml, placeholders filled in"
    ));
    show(document.text());
    apply(world, teller, &document)?;

    teller.step(&format!("left pings {address} while the wire is recorded"));
    let capture = world.capture()?;
    show(
        &left
            .command(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "3", address])
            .run()?,
    );
    let captured = capture.stop()?;
    let (to_right, to_left) = (captured.esp(LEFT_V4, RIGHT_V4)?, captured.esp(RIGHT_V4, LEFT_V4)?);
    println!(
        "    on the wire: {to_right} ESP packets to right, {to_left} to left, {} in clear text",
        captured.in_the_open()?.len()
    );
    captured.ensure_encrypted((LEFT_V4, RIGHT_V4))?;

    teller.step("The SAs in left's kernel, keys hidden");
    show(&left.security_associations()?);
    Ok(())
}

fn remove(world: &World, teller: &Teller) -> Result<()> {
    teller.step(
        "left applies policy-examples/remove.yaml, and right's administrator removes the connection there",
    );
    apply(world, teller, &peer::removal()?)?;
    world.left().await_empty_kernel()?;
    // right's connection is its own administrator's, and libreswan 4 keeps a trap policy for it until then.
    world.right().whack(["--delete", "--name", "peer"]).run()?;
    world.right().await_empty_kernel()?;
    println!("    neither kernel has an SA or a policy any more");
    Ok(())
}

fn apply(world: &World, teller: &Teller, document: &Document) -> Result<()> {
    let printed = world
        .left()
        .apply(document)
        .context("applying the document on left")?;
    teller.step("nmstatectl apply printed");
    show(&printed);
    Ok(())
}

fn show(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
