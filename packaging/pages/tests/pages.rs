//! The manual pages: all of them are there, say all there is, and are good roff.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use clap::CommandFactory;
use common::{all, one, run};
use nmstate_ipsec::{
    args::Args,
    document::{self, Source},
    nmstatectl,
};
use nmstate_ipsec_core::connection::key_names;
use nmstate_ipsec_pages::{Release, files};
use tempfile::TempDir;

const MAN: &str = "usr/share/man/";

/// What roff makes of a text.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

/// Names of pages as others refer to them: `nmstate-ipsec(1)`.
fn names() -> BTreeSet<String> {
    let names = all().into_iter().filter_map(|file| {
        let name = file.path.strip_prefix(MAN)?.split_once('/')?.1.to_owned();
        let (name, section) = name.rsplit_once('.')?;
        Some(format!("{name}({section})"))
    });
    names.collect()
}

fn subcommands(command: &clap::Command, name: &str, found: &mut Vec<String>) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{name}-{}", sub.get_name());
        subcommands(sub, &name, found);
        found.push(name);
    }
}

#[test]
fn every_command_and_every_service_has_a_page() {
    let mut commands = vec!["nmstate-ipsec".to_owned(), "nmstatectl".to_owned()];
    subcommands(&Args::command(), "nmstate-ipsec", &mut commands);
    assert!(commands.contains(&"nmstate-ipsec-cert-import".to_owned()));
    let mut expected: BTreeSet<String> = commands.iter().map(|name| format!("{name}(1)")).collect();
    expected.extend(
        [
            "nm-settings-libreswan(5)",
            "nmstate-ipsecd(8)",
            "nmstate-ipsec-certificates(8)",
            "nm-libreswan-service(8)",
        ]
        .map(str::to_owned),
    );
    assert_eq!(names(), expected);
}

#[test]
fn the_page_of_nmstatectl_has_every_subcommand() {
    let page = one("usr/share/man/man1/nmstatectl.1").text;
    let command = nmstatectl::command();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let heading = format!(".SS \"{} ", sub.get_name());
        assert!(page.contains(&heading), "{} is missing", sub.get_name());
    }
}

#[test]
fn pages_of_commands_have_their_sections() {
    let page = one("usr/share/man/man1/nmstate-ipsec.1").text;
    let headings = ["EXIT STATUS", "SEE ALSO"].map(|heading| format!("\"{heading}\""));
    for heading in ["FILES", "EXAMPLES", "SUBCOMMANDS"]
        .into_iter()
        .chain(headings.iter().map(String::as_str))
    {
        assert!(page.contains(&format!(".SH {heading}\n")), "{heading} is missing");
    }
    let page = one("usr/share/man/man1/nmstate-ipsec-apply.1").text;
    for part in [
        ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nAll is as declared",
        ".SH EXAMPLES\n",
        "\nnmstate\\-ipsec apply ipsec\\-config.yaml\n",
        "\\fB\\-\\-dry\\-run\\fR\n",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
}

#[test]
fn every_key_is_on_its_page() {
    let page = one("usr/share/man/man5/nm-settings-libreswan.5").text;
    for key in key_names().chain(["pskvalue", "xauthpassword", "nmstate-ipsec.guard"]) {
        let bold = format!("\\fB{}", escaped(key));
        assert!(page.contains(&bold), "{key} is missing");
    }
    assert!(page.contains("\nDefault: \\fB30s\\fR with IKEv2; else libreswan\\*(Aqs\n"));
}

#[test]
fn every_reason_is_on_the_page_of_the_daemon() {
    // The codes are in the match of `Reason::code`, each in an arm of its own.
    let source = include_str!("../../../plugin/core/src/reason.rs");
    let (_, code) = source.split_once("pub fn code(&self)").unwrap();
    let (code, _) = code.split_once("\n    }\n").unwrap();
    let of_code = code.lines().filter_map(|line| line.split('"').nth(1));
    let mut expected: BTreeSet<String> = of_code.map(str::to_owned).collect();
    assert!(expected.len() > 20, "{expected:?}");
    expected.insert("invalid-profile".to_owned());
    let page = include_str!("../text/nmstate-ipsecd.8.txt");
    let (_, reasons) = page.split_once("# REASONS\n").unwrap();
    let (reasons, _) = reasons.split_once("\n# ").unwrap();
    let terms = reasons.lines().filter_map(|line| line.strip_prefix(": "));
    let told: BTreeSet<String> = terms.map(|term| term.trim_matches('`').to_owned()).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_option_of_a_service_is_on_its_page() {
    for (page, source) in [
        (
            include_str!("../text/nmstate-ipsecd.8.txt"),
            include_str!("../../../plugin/daemon/src/main.rs"),
        ),
        (
            include_str!("../text/nm-libreswan-service.8.txt"),
            include_str!("../../../plugin/service/src/arguments.rs"),
        ),
        (
            include_str!("../text/nmstate-ipsec-certificates.8.txt"),
            include_str!("../../../plugin/certificates/src/main.rs"),
        ),
    ] {
        // Options are strings, or names without hyphens that a parser is asked for.
        let (source, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
        let strings = source.split('"').skip(1).step_by(2);
        let of_strings = strings.filter(|text| text.starts_with("--")).map(str::to_owned);
        let asked = source.split("Long(\"").skip(1);
        let of_parser = asked.filter_map(|rest| Some(format!("--{}", rest.split_once('"')?.0)));
        let options: BTreeSet<String> = of_strings.chain(of_parser).collect();
        let terms = page.lines().filter_map(|line| line.strip_prefix(": `--"));
        let terms = terms.filter_map(|term| Some(format!("--{}", term.split_once('`')?.0)));
        assert_eq!(terms.collect::<BTreeSet<_>>(), options);
    }
}

/// Pages of ours that a text refers to, such as `nmstate-ipsec(1)`.
fn references(text: &str) -> Vec<String> {
    let is_of_names = |letter: char| letter.is_ascii_alphanumeric() || "-()".contains(letter);
    let words = text.split(|letter| !is_of_names(letter));
    // One in brackets of its own has more of them than its section's.
    let words = words.map(|word| word.trim_start_matches('(').replace("))", ")"));
    words
        .filter(|word| word.ends_with(')') && (word.starts_with("nmstate") || word.contains("libreswan")))
        .collect()
}

#[test]
fn what_pages_and_units_refer_to_is_there() {
    let names = names();
    for file in all().into_iter().filter(|file| file.path.starts_with(MAN)) {
        for name in references(&file.text.replace("\\-", "-").replace("\\fR", " ")) {
            assert!(names.contains(&name), "{}: {name}", file.path);
        }
    }
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../root/usr/lib/systemd/system");
    for unit in fs::read_dir(units).unwrap() {
        let path = unit.unwrap().path();
        for name in references(&fs::read_to_string(&path).unwrap()) {
            assert!(names.contains(&name), "{}: {name}", path.display());
        }
    }
}

/// The lines of a page's text that stay as they are, from one that begins so up to the next paragraph.
fn example(text: &str, begin: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with(begin));
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    let lines = lines.map(|line| line.get(4..).unwrap_or(""));
    lines.map(str::to_owned).collect()
}

#[test]
fn examples_of_texts_are_understood() {
    for line in example(include_str!("../text/nmstatectl.1.txt"), "    nmstatectl") {
        let words = line.split_whitespace();
        if let Err(fault) = nmstatectl::command().try_get_matches_from(words) {
            assert!(line.is_empty(), "{line}: {fault}");
        }
    }
    let page = include_str!("../text/nm-settings-libreswan.5.txt");
    let profile = example(page, "    [connection]");
    let vpn = profile.iter().skip_while(|line| *line != "[vpn]").skip(2);
    let vpn = vpn.map_while(|line| line.split_once('='));
    let of_profile: BTreeMap<String, String> = vpn
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("document.yaml");
    fs::write(&path, example(page, "    interfaces:").join("\n")).unwrap();
    let read = document::read(&[Source::from_argument(path.as_os_str())]).unwrap();
    let of_document = &read[0].state.ipsec[0].libreswan.as_ref().unwrap().data;
    assert_eq!(&of_profile, of_document);
}

#[test]
fn groff_and_man_warn_of_nothing() {
    let test = "groff_and_man_warn_of_nothing";
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("page");
    let path = path.to_str().unwrap();
    for (program, arguments) in [
        ("groff", ["-mandoc", "-ww", "-z", "-Tutf8", path].as_slice()),
        ("man", &["--warnings", "-l", "-Tutf8", path]),
    ] {
        if run(test, program, &["--version"]).is_none() {
            continue;
        }
        for file in all().into_iter().filter(|file| file.path.starts_with(MAN)) {
            fs::write(path, &file.text).unwrap();
            let ran = run(test, program, arguments).unwrap();
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            let is_good = ran.status.success() && said.is_empty();
            assert!(is_good, "{program}: {}: {said}", file.path);
        }
    }
}

#[test]
fn the_program_writes_the_same_below_any_root_at_any_time() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let run = |root: &Path, epoch: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nmstate-ipsec-pages"));
        command
            .arg(root)
            .env("SOURCE_DATE_EPOCH", epoch)
            .output()
            .unwrap()
    };
    for root in [&one, &other] {
        let ran = run(root.path(), "1767225600");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    let dated = files(&Release::new(Some("1767225600")).unwrap()).unwrap();
    for file in &dated {
        for root in [&one, &other] {
            assert_eq!(
                fs::read_to_string(root.path().join(&file.path)).unwrap(),
                file.text
            );
        }
        let here = env!("CARGO_MANIFEST_DIR");
        assert!(!file.text.contains(here), "{} names {here}", file.path);
    }
    let page = dated
        .iter()
        .find(|file| file.path.ends_with("/nmstate-ipsec.1"))
        .unwrap();
    assert!(page.text.contains(" 1 \"2026-01-01\" \"nmstate"), "{}", page.text);
    let ran = run(one.path(), "yesterday");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        !ran.status.success() && said.contains("SOURCE_DATE_EPOCH is 'yesterday'"),
        "{said}"
    );
}
