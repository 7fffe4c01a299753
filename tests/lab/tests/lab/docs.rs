//! The commands in `docs/`, run as they stand.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::world::{Host, World};
use lab::{commands, peer};

use crate::{certificates, common};

/// The longest of them brings several connections up and down.
const TIME_OUT: Duration = Duration::from_secs(300);

/// The names of the connections that the pages make, and take away again.
const NAMES: [&str; 4] = ["hosta_conn", "office", "branch", "wrong"];

/// Every page in its order, on a host that has nothing but the two files that its authority gave it.
pub(crate) fn commands(world: &World) -> Result<()> {
    let left = world.left();
    certificates::forget_certificates(left)?;
    left.shell("cp /etc/lab-pki/ca.pem /etc/lab-pki/left_server.p12 /root/")
        .run()?;
    peer::expect_certificate(world.right(), &["type=transport"])?;
    for page in commands::PAGES {
        follow(left, page)?;
    }
    common::leaves_no_trace_of(world, &NAMES)
}

/// Runs the commands of a page.
pub(crate) fn follow(host: Host<'_>, page: &str) -> Result<()> {
    for block in commands::of_page(page)? {
        host.shell(&format!("cd /root\nset -x\n{}", block.script))
            .timeout(TIME_OUT)
            .run()
            .with_context(|| format!("{page}, from line {} on", block.line))?;
    }
    Ok(())
}
