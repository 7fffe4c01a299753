//! Completions of shells.

use clap_complete::{Shell, generate};

use crate::{File, definition};

const NAME: &str = "nmstate-ipsec";

/// Where each shell looks for them.
const PLACES: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions/nmstate-ipsec"),
    (Shell::Zsh, "usr/share/zsh/site-functions/_nmstate-ipsec"),
    (
        Shell::Fish,
        "usr/share/fish/vendor_completions.d/nmstate-ipsec.fish",
    ),
];

/// The name of the command where bash's completion enters a subcommand, and where it then looks it up. clap_complete writes
/// the hyphen in two ways (https://github.com/clap-rs/clap/issues/6421), so that options of subcommands are never offered;
/// where it no longer does, this changes nothing.
const ENTERED: &str = "nmstate__ipsec";
const LOOKED_UP: &str = "nmstate__subcmd__ipsec";

pub(crate) fn files() -> anyhow::Result<Vec<File>> {
    PLACES
        .into_iter()
        .map(|(shell, path)| {
            let mut bytes = Vec::new();
            generate(shell, &mut definition(), NAME, &mut bytes);
            let text = String::from_utf8(bytes)?;
            Ok(File {
                path: path.to_owned(),
                text: text.replace(LOOKED_UP, ENTERED),
            })
        })
        .collect()
}
