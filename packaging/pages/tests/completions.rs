//! The completions: shells read them, and bash offers what there is.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{all, one, run};
use tempfile::TempDir;

const BASH: &str = "usr/share/bash-completion/completions/nmstate-ipsec";

/// What bash offers for the last of the words, found as bash itself finds it; nothing if there is no bash.
fn offered(test: &str, words: &[&str]) -> Option<Vec<String>> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("completion");
    fs::write(&path, one(BASH).text).unwrap();
    let script = r#"
        nmcli() {
            printf '%s\n' hosta_conn:vpn 'two words:vpn' '$(touch /nowhere):vpn' eth0:802-3-ethernet
        }
        source "$1" || exit
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        read -r -a registered < <(complete -p nmstate-ipsec)
        for index in "${!registered[@]}"; do
            [ "${registered[index]}" = -F ] && function=${registered[index + 1]}
        done
        # 'compopt' is for a completion that somebody typed.
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut arguments = vec!["--norc", "-c", script, "bash", path.to_str().unwrap()];
    arguments.extend(words);
    let ran = run(test, "bash", &arguments)?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).unwrap();
    Some(said.lines().map(str::to_owned).collect())
}

#[test]
fn bash_offers_options_and_subcommands() {
    for (words, expected) in [
        (vec!["nmstate-ipsec", "apply", "--d"], vec!["--dry-run"]),
        (vec!["nmstate-ipsec", "wa"], vec!["wait-online"]),
        (
            vec!["nmstate-ipsec", "cert", "import", "--pass"],
            vec!["--password-file"],
        ),
        (
            vec!["nmstate-ipsec", "import", "--local", ""],
            vec!["left", "right"],
        ),
        (
            vec!["nmstate-ipsec", "render", "machine-config", "--ro"],
            vec!["--role"],
        ),
    ] {
        let Some(offered) = offered("bash_offers_options_and_subcommands", &words) else {
            return;
        };
        assert_eq!(offered, expected, "{words:?}");
    }
}

#[test]
fn bash_offers_names_as_they_are() {
    for (words, expected) in [
        (vec!["nmstate-ipsec", "up", "h"], vec!["hosta_conn"]),
        (
            vec!["nmstate-ipsec", "down", "hosta_conn", "t"],
            vec!["two\\ words"],
        ),
        (
            vec!["nmstate-ipsec", "guard", "$"],
            vec!["\\$\\(touch\\ /nowhere\\)"],
        ),
        (vec!["nmstate-ipsec", "guard", "hosta_conn", "of"], vec!["off"]),
        (vec!["nmstate-ipsec", "status", "e"], vec![""]),
        (vec!["nmstate-ipsec", "apply", "h"], vec![""]),
    ] {
        let Some(offered) = offered("bash_offers_names_as_they_are", &words) else {
            return;
        };
        assert_eq!(offered, expected, "{words:?}");
    }
}

#[test]
fn shells_read_their_completions() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("completion");
    let path = path.to_str().unwrap();
    for (shell, place) in [
        ("bash", BASH),
        ("zsh", "usr/share/zsh/site-functions/_nmstate-ipsec"),
        ("fish", "usr/share/fish/vendor_completions.d/nmstate-ipsec.fish"),
    ] {
        fs::write(path, one(place).text).unwrap();
        let Some(ran) = run(
            &format!("shells_read_their_completions of {shell}"),
            shell,
            &["-n", path],
        ) else {
            continue;
        };
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success() && said.is_empty(), "{shell}: {said}");
    }
}

#[test]
fn there_is_one_for_each_shell() {
    let of_shells = all().into_iter().filter(|file| !file.path.contains("/man/"));
    assert_eq!(of_shells.count(), 3);
}
