//! Lines of certutil's batch mode (`-B`): several commands for the price of one start of NSS.
//!
//! A line is split at blanks; double quotes keep blanks together and cannot be escaped; a line of more than 511 bytes is
//! cut, and a backslash at its end joins it with the next one. What does not come out as it went in is refused.

use crate::error::Error;

/// Longest line, in bytes, with what is added to each.
const MAX_LINE: usize = 400;

/// Lines of certutil's batch mode.
#[derive(Debug, Default, Clone)]
pub(crate) struct Batch(Vec<String>);

impl Batch {
    /// Adds a command: its letter or word, and its arguments.
    ///
    /// # Errors
    /// An argument cannot be written.
    pub(crate) fn push(&mut self, action: &'static str, arguments: &[&str]) -> Result<(), Error> {
        let mut line = action.to_owned();
        for argument in arguments {
            if !can_hold(argument) {
                return Err(Error::local(
                    "tell certutil what to do",
                    format!("'{}' cannot be given to it", argument.escape_debug()),
                ));
            }
            line.push_str(" \"");
            line.push_str(argument);
            line.push('"');
        }
        if line.len() > MAX_LINE {
            return Err(Error::local(
                "tell certutil what to do",
                "a name is too long for it",
            ));
        }
        self.0.push(line);
        Ok(())
    }

    pub(crate) fn with(mut self, action: &'static str, arguments: &[&str]) -> Result<Self, Error> {
        self.push(action, arguments)?;
        Ok(self)
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All lines; each gets the file with the database's password.
    pub(super) fn text(&self, password_file: &str) -> String {
        self.0
            .iter()
            .map(|line| format!("{line} -f \"{password_file}\"\n"))
            .collect()
    }
}

/// Whether `argument` comes out of certutil's reader as it went in. What was no text when it came from there does not.
pub(crate) fn can_hold(argument: &str) -> bool {
    !argument.is_empty()
        && argument.len() <= MAX_LINE
        && !argument
            .chars()
            .any(|character| matches!(character, '"' | char::REPLACEMENT_CHARACTER) || character.is_control())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name;

    /// certutil's reader, as far as it goes: what it makes of a line.
    fn split(line: &str) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            let blank = |character: char| character.is_ascii_whitespace() || character == '\x0b';
            rest = rest.trim_start_matches(blank);
            if let Some(quoted) = rest.strip_prefix('"') {
                let (argument, after) = quoted.split_once('"').expect("a closing quote");
                arguments.push(argument.to_owned());
                rest = after;
            } else {
                let end = rest.find(blank).unwrap_or(rest.len());
                let (argument, after) = rest.split_at(end);
                arguments.push(argument.to_owned());
                rest = after;
            }
        }
        arguments
    }

    /// Options of one letter or word are what begins with a hyphen where no value is due.
    fn check(name: &str) {
        let batch = Batch::default().with("-L", &["-n", name, "-a"]);
        let Ok(batch) = batch else { return };
        let text = batch.text("/dev/null");
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.len() < 512 && !text.trim_end().ends_with('\\'), "{text:?}");
        assert_eq!(
            split(text.trim_end_matches('\n')),
            ["-L", "-n", name, "-a", "-f", "/dev/null"]
        );
    }

    #[test]
    fn lines_of_the_greatest_length_fit() {
        let nickname = name::parse(&"n".repeat(180)).unwrap();
        let arguments = ["-n", nickname.as_str(), "--new-n", &name::previous(&nickname)];
        let batch = Batch::default().with("--rename", &arguments).unwrap();
        let text = batch.text("/var/lib/ipsec/nss/nsspassword");
        assert!(text.len() < 512, "{}", text.len());
    }

    proptest! {
        #[test]
        fn a_name_stays_one_argument(name in "\\PC{0,80}|[-\"' \\\\\t\n\u{b}a-z:/]{0,20}|.{0,600}") {
            check(&name);
        }

        #[test]
        fn a_nickname_is_never_an_option(text in "-{0,2}[a-zA-Z \"\n]{0,12}|\\PC{0,80}|.{0,300}") {
            if let Ok(nickname) = name::parse(&text) {
                prop_assert!(!nickname.as_str().starts_with('-'));
                prop_assert!(can_hold(nickname.as_str()));
                for name in [name::next(&nickname), name::previous(&nickname)] {
                    prop_assert!(Batch::default().with("--rename", &["-n", nickname.as_str(), "--new-n", &name]).is_ok());
                    check(&name);
                }
            }
        }
    }
}
