//! `nmstate-ipsec show`: the state of the network, as `nmstatectl show` prints it.

use super::Fault;
use crate::nmstatectl::{self, Show};

pub(super) async fn run(arguments: &Show) -> Result<(), Fault> {
    nmstatectl::print_state(arguments).await
}
