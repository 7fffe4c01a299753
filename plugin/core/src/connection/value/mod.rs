//! The values of a connection's keys, each a type that only text of its form becomes.
//!
//! `FromStr` accepts what users write, `Display` gives the one form that is rendered for libreswan. No value can
//! hold a control character or a quote of either kind: pluto hands identities to its updown command inside quotes.

use std::fmt;

pub mod address;
mod algorithm;
pub mod certificate;
pub mod identity;
pub mod negotiation;
pub mod policy;
pub mod protocol;
pub mod subnet;
pub mod time;

/// Longest text of a value that is free text, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// The text is not of the value's form; holds what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Expected(pub &'static str);

/// Whether `character` may stand in a quoted value: printable, no quote, nothing that reorders or hides text.
pub(crate) fn is_quotable(character: char) -> bool {
    is_printable(character) && !matches!(character, '"' | '\'')
}

/// Whether `character` is what it looks like: no control character, nothing that reorders or hides text.
pub(crate) fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether `text` may be written between double quotes as it is, without blanks at its ends.
pub(crate) fn is_quotable_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && text.trim() == text && text.chars().all(is_quotable)
}

/// Whether `text` is printable ASCII without blanks, quotes and backslashes.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TEXT
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'))
}

/// Free text that is accepted for the sake of existing profiles and never rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(String);

impl std::str::FromStr for Note {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        if is_quotable_text(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Expected("printable text without quotes"))
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Declares an enumeration of keywords: each variant with the words that mean it, the first being the one rendered.
macro_rules! keywords {
    (
        $(#[$meta:meta])*
        $name:ident, $expected:literal {
            $( $(#[$variant_meta:meta])* $variant:ident = $first:literal $(| $other:literal)*, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl std::str::FromStr for $name {
            type Err = $crate::connection::value::Expected;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $first $(| $other)* => Ok(Self::$variant), )+
                    _ => Err($crate::connection::value::Expected($expected)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self {
                    $( Self::$variant => $first, )+
                })
            }
        }
    };
}
pub(crate) use keywords;

keywords! {
    /// A switch.
    YesNo, "yes or no" {
        /// On.
        Yes = "yes" | "true" | "on",
        /// Off.
        No = "no" | "false" | "off",
    }
}

impl YesNo {
    /// Whether the switch is on.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

impl From<bool> for YesNo {
    fn from(on: bool) -> Self {
        if on { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_have_three_spellings() {
        for (text, value) in [
            ("yes", true),
            ("true", true),
            ("on", true),
            ("no", false),
            ("off", false),
        ] {
            assert_eq!(text.parse(), Ok(YesNo::from(value)), "{text}");
        }
        assert_eq!("".parse::<YesNo>(), Err(Expected("yes or no")));
        assert_eq!(YesNo::from(true).to_string(), "yes");
    }

    #[test]
    fn nothing_that_ends_a_quoted_value_is_text() {
        for text in [
            "a\nb",
            "a\"b",
            "a'b",
            " a",
            "a ",
            "",
            "a\u{2028}b",
            "a\u{202e}b",
            "a\0",
            "a\u{7f}",
        ] {
            assert!(!is_quotable_text(text), "{text:?}");
        }
        assert!(is_quotable_text("Köln # {x} = y"));
        assert!(!is_word("a b"));
        assert!(!is_word("a\\"));
        assert!(is_word("@[group]#{}"));
    }
}
