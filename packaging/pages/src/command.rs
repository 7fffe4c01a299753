//! The pages of `nmstate-ipsec` and its subcommands.

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    File, definition,
    page::{Page, Release, usage},
    text,
};

/// What the page of the command itself says beside its options and subcommands.
const TEXT: &str = include_str!("../text/nmstate-ipsec.1.txt");

/// The exit statuses of subcommands that say nothing of their own.
const STATUSES: &str = "0 it is done; 1 it failed; 2 what was given is at fault";

/// What stands below the options in `--help`, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Below<'a> {
    prose: Vec<String>,
    statuses: Option<String>,
    examples: Vec<&'a str>,
}

impl<'a> Below<'a> {
    fn read(help: &'a str) -> Self {
        let mut below = Self::default();
        for paragraph in help.split("\n\n") {
            let joined = paragraph.replace('\n', " ");
            if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
                let lines = examples.lines();
                below.examples = lines
                    .map(|line| line.strip_prefix("  ").unwrap_or(line))
                    .collect();
            } else if let Some(statuses) = joined.strip_prefix("Exit status: ") {
                below.statuses = Some(statuses.to_owned());
            } else if !joined.is_empty() {
                below.prose.push(joined);
            }
        }
        below
    }
}

/// A page for the command and for each subcommand.
pub(crate) fn pages(release: &Release) -> anyhow::Result<Vec<File>> {
    let mut command = definition().disable_help_subcommand(true);
    command.build();
    let mut files = vec![of_all(&command, release)?];
    of_subcommands(&command, release, &mut files)?;
    Ok(files)
}

fn of_subcommands(command: &Command, release: &Release, files: &mut Vec<File>) -> anyhow::Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        files.push(of_one(sub, release)?);
        of_subcommands(sub, release, files)?;
    }
    Ok(())
}

/// `nmstate-ipsec-cert-import` for `nmstate-ipsec cert import`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn of_all(command: &Command, release: &Release) -> anyhow::Result<File> {
    let name = name(command).to_owned();
    let (mut page, man) = begun(command, release)?;
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let below = Below::read(&help);
    let (before, after) = TEXT.split_once("@options@\n").unwrap_or((TEXT, ""));
    page.add(&text::roff(before, |_| Roff::new()));
    page.add_section(&man, Man::render_options_section)?;
    page.add_section(&man, Man::render_subcommands_section)?;
    page.add(&text::roff(after, |_| examples(&below)));
    page.add_see_also(&name);
    Ok(File::page(&name, 1, page.finish()))
}

fn of_one(command: &Command, release: &Release) -> anyhow::Result<File> {
    let name = name(command).to_owned();
    let (mut page, man) = begun(command, release)?;
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let below = Below::read(&help);
    page.add(&description(command, &below));
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        page.add_section(&man, Man::render_options_section)?;
    }
    if command.has_subcommands() {
        page.add_section(&man, Man::render_subcommands_section)?;
    }
    page.add(&statuses(below.statuses.as_deref().unwrap_or(STATUSES)));
    if !below.examples.is_empty() {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]);
        roff.extend([examples(&below)]);
        page.add(&roff);
    }
    page.add_see_also(&name);
    Ok(File::page(&name, 1, page.finish()))
}

/// The page as far as all pages of commands are alike, and what makes the rest of it.
fn begun(command: &Command, release: &Release) -> anyhow::Result<(Page, Man)> {
    let mut command = command.clone();
    let usage = usage(&mut command);
    let mut page = Page::new(name(&command), 1, release);
    let man = Man::new(command.override_usage(usage));
    page.add_section(&man, Man::render_name_section)?;
    page.add_section(&man, Man::render_synopsis_section)?;
    Ok((page, man))
}

fn description(command: &Command, below: &Below<'_>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    if let Some(about) = command.get_about() {
        roff.text([roman(format!("{about}."))]);
    }
    for paragraph in &below.prose {
        roff.control("PP", []).text([roman(paragraph.as_str())]);
    }
    roff
}

fn statuses(statuses: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for status in statuses.split("; ") {
        let (number, meaning) = status.split_once(' ').unwrap_or((status, ""));
        let (first, rest) = meaning.split_at_checked(1).unwrap_or_default();
        roff.control("TP", [])
            .text([bold(number)])
            .text([roman(format!("{}{rest}.", first.to_uppercase()))]);
    }
    roff
}

fn examples(below: &Below<'_>) -> Roff {
    let mut roff = Roff::new();
    text::verbatim(&mut roff, below.examples.iter().copied());
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_the_options_is_taken_apart() {
        let below = Below::read("One\ntwo.\n\nExit status: 0 good; 1\nbad\n\nExamples:\n  a b\n    c");
        assert_eq!(below.prose, ["One two."]);
        assert_eq!(below.statuses.as_deref(), Some("0 good; 1 bad"));
        assert_eq!(below.examples, ["a b", "  c"]);
        let roff = statuses("0 good; 1 bad").to_roff();
        assert_eq!(
            roff,
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nGood.\n.TP\n\\fB1\\fR\nBad.\n"
        );
    }
}
