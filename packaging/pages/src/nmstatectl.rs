//! The page of the command by the name of `nmstatectl`: one for all subcommands, as operators know it.

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use nmstate_ipsec::nmstatectl;

use crate::{
    File,
    page::{Page, Release, usage, written},
    text,
};

const NAME: &str = "nmstatectl";

const TEXT: &str = include_str!("../text/nmstatectl.1.txt");

pub(crate) fn page(release: &Release) -> anyhow::Result<File> {
    let mut command = nmstatectl::command().disable_help_subcommand(true);
    command.build();
    let mut page = Page::new(NAME, 1, release);
    let usage = usage(&mut command);
    let man = Man::new(command.clone().override_usage(usage));
    page.add_section(&man, Man::render_name_section)?;
    page.add_section(&man, Man::render_synopsis_section)?;
    let (before, after) = TEXT.split_once("@options@\n").unwrap_or((TEXT, ""));
    page.add(&text::roff(before, |_| Roff::new()));
    page.add_section(&man, Man::render_options_section)?;
    let mut heading = Roff::new();
    heading.control("SH", ["SUBCOMMANDS"]);
    page.add(&heading);
    let globals: Vec<String> = command
        .get_arguments()
        .map(|argument| argument.get_id().to_string())
        .collect();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add_subcommand(&mut page, sub.clone(), &globals)?;
    }
    page.add(&text::roff(after, |_| Roff::new()));
    page.add_see_also(NAME);
    Ok(File::page(NAME, 1, page.finish()))
}

/// What a subcommand does, and those of its options that not all of them have.
fn add_subcommand(page: &mut Page, mut sub: Command, globals: &[String]) -> anyhow::Result<()> {
    let usage = usage(&mut sub);
    let usage = usage.strip_prefix(NAME).unwrap_or(&usage).trim_start();
    let mut roff = Roff::new();
    roff.control("SS", [usage.replace('-', "\\-").as_str()]);
    if let Some(about) = sub.get_about() {
        roff.text([roman(format!("{about}."))]);
    }
    let aliases: Vec<&str> = sub.get_all_aliases().collect();
    if !aliases.is_empty() {
        let names = aliases.join("', '");
        roff.text([roman(format!("Other names: '{names}'."))]);
    }
    page.add(&roff);
    let sub = sub.mut_args(|argument| {
        let is_global = globals.iter().any(|global| argument.get_id() == global.as_str());
        argument.hide(is_global)
    });
    // Their heading is that of a section; here they belong to the one of the subcommand.
    let options = written(&Man::new(sub), Man::render_options_section)?;
    if let Some((_, options)) = options.split_once(".SH OPTIONS\n") {
        page.add_text(options);
    }
    Ok(())
}
