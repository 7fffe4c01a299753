//! What `-h` and `--help` print: it fits a screen, and the commands that it shows are commands.
#![allow(clippy::unwrap_used)]

use clap::{Command, CommandFactory, error::ErrorKind};
use nmstate_ipsec::{args::Args, nmstatectl};

/// Most columns of a line.
const COLUMNS: usize = 100;

/// Most lines.
const LINES: usize = 34;

/// What somebody looks up most, and finds examples of.
const WITH_EXAMPLES: [&str; 13] = [
    "nmstate-ipsec",
    "nmstate-ipsec apply",
    "nmstate-ipsec diff",
    "nmstate-ipsec check",
    "nmstate-ipsec status",
    "nmstate-ipsec show",
    "nmstate-ipsec import",
    "nmstate-ipsec export",
    "nmstate-ipsec up",
    "nmstate-ipsec down",
    "nmstate-ipsec guard",
    "nmstate-ipsec cert import",
    "nmstate-ipsec render machine-config",
];

/// The two commands and all their subcommands, hidden ones too, each by the words that it is called with.
fn commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for mut command in [Args::command(), nmstatectl::command()] {
        command.build();
        collect(&command, command.get_name(), &mut found);
    }
    found
}

fn collect(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
    found.push((name.to_owned(), command.clone()));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        collect(sub, &format!("{name} {}", sub.get_name()), found);
    }
}

/// The commands that stand below `Examples:`, as a shell would run them, without what else is in their pipes.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let Some((_, shown)) = help.split_once("Examples:\n") else {
        return Vec::new();
    };
    let lines = shown.lines().take_while(|line| !line.is_empty());
    let own = lines.filter_map(|line| line.strip_prefix("  nmstate-ipsec "));
    own.map(|line| {
        let line = ["#", "|", ">"].iter().fold(line, |line, end| {
            line.split_once(end).map_or(line, |(before, _)| before)
        });
        format!("nmstate-ipsec {}", line.trim_end())
    })
    .collect()
}

/// What the command prints with this flag.
fn printed(name: &str, flag: &str) -> String {
    let command = if name.starts_with("nmstatectl") {
        nmstatectl::command()
    } else {
        Args::command()
    };
    let words = name.split(' ').chain([flag]);
    let help = command.try_get_matches_from(words).unwrap_err();
    assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{name} {flag}: {help}");
    help.to_string()
}

#[test]
fn help_fits_a_screen() {
    let mut faults = Vec::new();
    for (name, _) in commands() {
        for flag in ["-h", "--help"] {
            let text = printed(&name, flag);
            let lines = text.lines().count();
            if lines > LINES {
                faults.push(format!("{name} {flag}: {lines} lines"));
            }
            let wide = text.lines().filter(|line| line.chars().count() > COLUMNS);
            faults.extend(wide.map(|line| format!("{name} {flag}: too wide: {line}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn everything_of_ours_has_an_example() {
    let commands = commands();
    let ours = commands
        .iter()
        .filter(|(name, command)| name.starts_with("nmstate-ipsec") && !command.is_hide_set());
    for (name, command) in ours {
        let is_shown = examples(command).iter().any(|line| line.starts_with(name));
        assert!(is_shown, "{name} shows no example of itself");
    }
}

#[test]
fn what_examples_show_is_understood() {
    for (name, command) in commands() {
        for line in examples(&command) {
            let parsed = Args::command().try_get_matches_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn what_is_looked_up_most_has_examples_of_itself() {
    let commands = commands();
    for name in WITH_EXAMPLES {
        let command = commands.iter().find(|(other, _)| other == name);
        let (_, command) = command.unwrap_or_else(|| panic!("there is no '{name}'"));
        let examples = examples(command);
        let own = examples.iter().filter(|line| line.starts_with(name));
        let count = own.count();
        assert!((2..=4).contains(&count), "{name}: {count} examples");
    }
}
