//! What imports certificates on nodes without our package.

use nmstate_ipsec_core::connection::Nickname;

/// Where the node has the script, as documented.
pub(super) const PATH: &str = "/usr/local/bin/ipsec-addcert.sh";

/// The unit that runs it.
pub(super) const UNIT: &str = include_str!("ipsec-import.service");

const SCRIPT: &str = include_str!("ipsec-addcert.sh");

/// What stands for the nicknames in [`SCRIPT`].
const NICKNAMES: &str = "@NICKNAMES@";

/// Whether the script would take a certificate of that name for an authority.
pub(super) fn is_authority(nickname: &Nickname) -> bool {
    let mut digits = nickname.as_str().strip_prefix("CA ").unwrap_or_default().bytes();
    nickname.as_str() == "CA" || (digits.len() > 0 && digits.all(|digit| digit.is_ascii_digit()))
}

/// The script for these certificates.
pub(super) fn importing<'a>(nicknames: impl Iterator<Item = &'a Nickname>) -> String {
    let quoted: Vec<String> = nicknames.map(|nickname| quoted(nickname.as_str())).collect();
    SCRIPT.replace(NICKNAMES, &quoted.join(" "))
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_are_words_of_the_shell() {
        let names: Vec<Nickname> = ["left_server", "a $(b) * `c`"]
            .map(|name| name.parse().unwrap())
            .into();
        let script = importing(names.iter());
        assert!(
            script.contains("\nnicknames=('left_server' 'a $(b) * `c`')\n"),
            "{script}"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn what_authorities_are_called_is_theirs() {
        let is = |name: &str| is_authority(&name.parse().unwrap());
        assert!(is("CA") && is("CA 2") && is("CA 10"));
        assert!(!is("CA two") && !is("CAB") && !is("ca") && !is("left"));
    }
}
