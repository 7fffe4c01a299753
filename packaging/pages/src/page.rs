//! A manual page in the making.

use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

/// The version that pages are of, and the day that stands on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `2026-02-03`, or nothing.
    pub(crate) date: String,
}

/// What all pages name as their manual: at the top, between two names of which the longest leave little room.
const MANUAL: &str = "IPsec";

/// What the pages of commands refer to, beside themselves.
const SEE_ALSO: [&str; 5] = [
    "nmstate-ipsec(1)",
    "nmstatectl(1)",
    "nm-settings-libreswan(5)",
    "nmstate-ipsecd(8)",
    "ipsec.conf(5)",
];

/// Writes a section of clap_mangen's.
pub(crate) type Section = fn(&Man, &mut dyn std::io::Write) -> Result<(), std::io::Error>;

/// A page, section after section.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    /// What every piece of roff begins with; a page has it once.
    preamble: String,
}

impl Page {
    /// A page with its title alone.
    pub(crate) fn new(name: &str, section: u8, release: &Release) -> Self {
        let preamble = Roff::new().render();
        // Written here, since clap_mangen leaves the quotes of an empty date out, and what follows moves into its place.
        let title = format!(
            ".TH \"{}\" {section} \"{}\" \"nmstate\\-ipsec {}\" \"{MANUAL}\"\n",
            name.replace('-', "\\-"),
            release.date,
            env!("CARGO_PKG_VERSION"),
        );
        Self {
            // Names of files, units and keys are not to be broken, nor words pulled apart.
            text: format!("{preamble}{title}.nh\n.ad l\n"),
            preamble,
        }
    }

    /// Adds what was made by hand.
    pub(crate) fn add(&mut self, roff: &Roff) {
        self.add_text(&roff.render());
    }

    /// Adds a section of clap_mangen's.
    pub(crate) fn add_section(&mut self, man: &Man, section: Section) -> anyhow::Result<()> {
        self.add_text(&written(man, section)?);
        Ok(())
    }

    /// Adds roff.
    pub(crate) fn add_text(&mut self, roff: &str) {
        self.text
            .push_str(roff.strip_prefix(&self.preamble).unwrap_or(roff));
    }

    /// Adds where to read on.
    pub(crate) fn add_see_also(&mut self, name: &str) {
        let own = format!("{name}(1)");
        let others: Vec<&str> = SEE_ALSO.into_iter().filter(|other| *other != own).collect();
        let mut roff = Roff::new();
        roff.control("SH", ["SEE ALSO"]).text([roman(others.join(", "))]);
        self.add(&roff);
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// A section as clap_mangen writes it.
pub(crate) fn written(man: &Man, section: Section) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    section(man, &mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

/// How a command is called: its usage, in the words of its help.
pub(crate) fn usage(command: &mut clap::Command) -> String {
    let usage = command.render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}
