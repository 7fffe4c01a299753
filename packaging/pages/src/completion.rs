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

/// What offers the names of profiles in each shell. Anybody may have given a profile its name: `compgen -W` would carry out
/// what stands in it.
const BASH_NAMES: &str = r#"
_nmstate__ipsec__names() {
    _nmstate__ipsec "$@"
    local name cur="${COMP_WORDS[COMP_CWORD]}"
    [[ ${cur} != -* && ${COMP_WORDS[COMP_CWORD-1]} != --* ]] || return 0
    case "${COMP_WORDS[1]},${COMP_CWORD}" in
        up,*|down,*|status,2|show,2|guard,2|export,2) ;;
        *) return 0 ;;
    esac
    while IFS= read -r name; do
        if [[ ${name} == "${cur}"* ]]; then
            COMPREPLY+=("$(printf '%q' "${name}")")
        fi
    done < <(nmcli -g NAME,TYPE connection show 2>/dev/null | sed -n 's/:vpn$//p')
}
complete -F _nmstate__ipsec__names -o bashdefault -o default nmstate-ipsec
"#;

const ZSH_NAMES: &str = r#"(( $+functions[_nmstate-ipsec_names] )) ||
_nmstate-ipsec_names() {
    local -a names
    names=(${(f)"$(nmcli -g NAME,TYPE connection show 2>/dev/null | sed -n 's/:vpn$//p')"})
    compadd -a names
}

"#;

const FISH_NAMES: &str = r#"for subcommand in up down status show guard export
    complete -c nmstate-ipsec -n "__fish_nmstate_ipsec_using_subcommand $subcommand" \
        -a '(nmcli -g NAME,TYPE connection show 2>/dev/null | string replace -rf ":vpn\$" "")'
end
"#;

pub(crate) fn files() -> anyhow::Result<Vec<File>> {
    PLACES
        .into_iter()
        .map(|(shell, path)| {
            let mut bytes = Vec::new();
            generate(shell, &mut definition(), NAME, &mut bytes);
            let text = String::from_utf8(bytes)?.replace(LOOKED_UP, ENTERED);
            Ok(File {
                path: path.to_owned(),
                text: with_names(shell, &text),
            })
        })
        .collect()
}

/// The completion with the names of profiles where the command takes one.
fn with_names(shell: Shell, text: &str) -> String {
    match shell {
        Shell::Bash => format!("{text}{BASH_NAMES}"),
        Shell::Fish => format!("{text}{FISH_NAMES}"),
        _ => zsh_with_names(text),
    }
}

/// zsh has an action for each argument; what is not known of one is its default.
fn zsh_with_names(text: &str) -> String {
    let takes_name = |line: &str| {
        ["':name -- ", "'::name -- ", "'*::names -- "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let mut completed = String::new();
    for line in text.lines() {
        // What runs the functions stands behind all of them.
        if line.starts_with("if [ \"$funcstack[1]\"") {
            completed.push_str(ZSH_NAMES);
        }
        if takes_name(line) {
            completed.push_str(&line.replace(":_default'", ":_nmstate-ipsec_names'"));
        } else {
            completed.push_str(line);
        }
        completed.push('\n');
    }
    completed
}
