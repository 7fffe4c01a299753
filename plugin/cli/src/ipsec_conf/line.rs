//! One line of an ipsec.conf, by the grammar of ipsec.conf(5).

/// The comment behind a key that an export filled in, and an import leaves to `nm-auto-defaults` again.
pub(super) const FILLED_IN: &str = "nm-auto-defaults";

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Nothing: it is empty, a comment, or the file's version.
    Nothing,
    /// `# nm-key=value`: a comment that is meant for this project.
    Note { key: &'a str, value: &'a str },
    /// `conn name` or `config setup`.
    Section { kind: &'a str, name: &'a str },
    /// `include file`.
    Include(&'a str),
    /// `key=value` in a section.
    Key {
        name: &'a str,
        value: &'a str,
        is_filled_in: bool,
    },
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it; it repeats nothing of the line.
pub(super) fn parse(line: &str) -> Result<Line<'_>, &'static str> {
    let text = line.trim();
    if text.is_empty() {
        return Ok(Line::Nothing);
    }
    if let Some(comment) = text.strip_prefix('#') {
        return Ok(note(comment));
    }
    let is_indented = line.starts_with(char::is_whitespace);
    let words: Vec<&str> = split_comment(text).0.split_whitespace().collect();
    match words.as_slice() {
        ["include", file] if !file.starts_with('=') => Ok(Line::Include(unquoted(file))),
        ["include", _, _, ..] if words[1] != "=" => {
            Err("an include names one file, without blanks in its name")
        }
        _ if is_indented => key(text),
        [kind @ ("conn" | "config" | "ca"), name] => Ok(Line::Section { kind, name }),
        ["version", ..] => Ok(Line::Nothing),
        ["conn", ..] => Err("expected one name behind 'conn', without blanks"),
        _ if text.contains('=') => Err("a key stands in a section, with a blank or a tab before it"),
        _ => Err("expected 'conn NAME', 'config setup' or 'include FILE'"),
    }
}

fn unquoted(word: &str) -> &str {
    let inner = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(word)
}

fn note(comment: &str) -> Line<'_> {
    match comment.trim().split_once('=') {
        Some((key, value)) if key.starts_with("nm-") && !key.trim().contains(char::is_whitespace) => {
            Line::Note {
                key: key.trim(),
                value: value.trim(),
            }
        }
        _ => Line::Nothing,
    }
}

fn key(text: &str) -> Result<Line<'_>, &'static str> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let Some((name, rest)) = text.split_once('=') else {
        return Err("expected 'key=value'; a section begins at the start of its line");
    };
    let name = name.trim_end();
    if name.is_empty() || !name.bytes().all(is_of_name) {
        return Err("expected a key of letters, digits, '-', '_' and '.' before '='");
    }
    let (value, comment) = value(rest)?;
    Ok(Line::Key {
        name,
        value,
        is_filled_in: comment.trim() == FILLED_IN,
    })
}

/// A value and the comment behind it. Lists in braces may hold blanks without quotes.
fn value(rest: &str) -> Result<(&str, &str), &'static str> {
    let trimmed = rest.trim_start();
    if let Some(quoted) = trimmed.strip_prefix('"') {
        let (value, behind) = quoted
            .split_once('"')
            .ok_or("a double quote is not closed in its line")?;
        return Ok((value, behind_value(behind)?));
    }
    if trimmed.starts_with('{') {
        let end = trimmed.find('}').ok_or("a brace is not closed in its line")?;
        let (value, behind) = trimmed.split_at(end + 1);
        return Ok((value, behind_value(behind)?));
    }
    let (value, comment) = split_comment(rest);
    let value = value.trim();
    if value.contains('"') {
        return Err("double quotes stand around a whole value");
    }
    if value.contains(char::is_whitespace) {
        return Err("a value with blanks stands between double quotes");
    }
    Ok((value, comment))
}

fn behind_value(text: &str) -> Result<&str, &'static str> {
    match split_comment(text) {
        (before, comment) if before.trim().is_empty() => Ok(comment),
        _ => Err("nothing but a comment may stand behind a value; a comment has a blank before its '#'"),
    }
}

/// The text before a comment, and the comment without its `#`: blanks, then `#`, then anything.
fn split_comment(text: &str) -> (&str, &str) {
    let mut follows_blank = false;
    for (position, character) in text.char_indices() {
        if character == '#' && follows_blank {
            return (&text[..position], &text[position + 1..]);
        }
        follows_blank = character.is_whitespace();
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(line: &str) -> Result<String, &'static str> {
        match parse(line)? {
            Line::Key { value, .. } => Ok(value.to_owned()),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn values_are_quoted_or_without_blanks() {
        for (line, expected) in [
            ("\tleft=192.0.2.1", "192.0.2.1"),
            (" left = 192.0.2.1 # here", "192.0.2.1"),
            ("\tleftid=@#dead", "@#dead"),
            ("\tleftid=\"CN=a, O=b # c\" # d", "CN=a, O=b # c"),
            ("\tleft=", ""),
            ("\tleft= # nothing", ""),
            (
                "\tleftsubnets={10.0.0.0/8 10.1.0.0/16}",
                "{10.0.0.0/8 10.1.0.0/16}",
            ),
        ] {
            assert_eq!(value_of(line).as_deref(), Ok(expected), "{line}");
        }
        for line in [
            "\tleftid=a b",
            "\tleftid=\"a",
            "\tleftid=\"a\"b",
            "\tleftid=\"a\"# b",
            "\tleftid=a\"b\"",
            "\tleftsubnets={10.0.0.0/8",
            "\t=a",
            "\tleft",
            "\ta b=c",
            "\tconn a",
        ] {
            assert!(value_of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn sections_begin_their_line() {
        assert_eq!(
            parse("conn a # b"),
            Ok(Line::Section {
                kind: "conn",
                name: "a"
            })
        );
        assert_eq!(
            parse("include \"/etc/ipsec.d/*.conf\""),
            Ok(Line::Include("/etc/ipsec.d/*.conf"))
        );
        assert_eq!(parse("  include x"), Ok(Line::Include("x")));
        assert_eq!(parse("version 2.0"), Ok(Line::Nothing));
        for line in ["conn", "conn a b", "left=1", "left", "include a b"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn comments_may_speak_to_us() {
        let is = |key, value| Ok(Line::Note { key, value });
        assert_eq!(parse("\t# nm-auto-defaults=no"), is("nm-auto-defaults", "no"));
        assert_eq!(
            parse("#nm-connect-mode = ondemand"),
            is("nm-connect-mode", "ondemand")
        );
        assert_eq!(parse("# nm likes a=b"), Ok(Line::Nothing));
        assert_eq!(parse("\t# left=a"), Ok(Line::Nothing));
    }
}
