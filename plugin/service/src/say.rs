//! What is said on standard error, which the journal of NetworkManager or of pluto keeps.

use std::{
    fmt,
    io::{self, Write},
};

/// Says one line. If nobody listens, the line is lost and nothing else: `eprintln!` would panic, and a tunnel
/// would go with a journal that was restarted.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}
