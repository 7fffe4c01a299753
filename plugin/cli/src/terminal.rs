//! A block of lines at a terminal that are drawn again where they are.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use rustix::termios;

/// Lines that are drawn over those which were drawn before.
pub(crate) struct Block<W> {
    out: W,
    drawn: usize,
}

impl<W: Write + AsFd + IsTerminal> Block<W> {
    /// A block where the cursor is; nothing if `out` is no terminal that can move it.
    pub(crate) fn on(out: W) -> Option<Self> {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let has_size = termios::tcgetwinsize(&out).is_ok_and(|size| size.ws_row > 0 && size.ws_col > 0);
        (out.is_terminal() && !is_dumb && has_size).then_some(Self { out, drawn: 0 })
    }

    /// Draws the lines in place of those before; what does not fit is left out, since a line that has scrolled away cannot be
    /// drawn again.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        // It may have been resized.
        let size = termios::tcgetwinsize(&self.out)?;
        let (text, drawn) = frame(lines, self.drawn, size.ws_row.into(), size.ws_col.into());
        self.drawn = drawn;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// What draws `lines` over `drawn` others on a terminal of that size, and how many they then are.
fn frame(lines: &[String], drawn: usize, rows: usize, columns: usize) -> (String, usize) {
    // The cursor stands in a line of its own.
    let room = rows.saturating_sub(1).max(1);
    let is_cut = lines.len() > room;
    let shown = if is_cut { room - 1 } else { lines.len() };
    let mut text = match drawn.min(room) {
        0 => String::new(),
        up => format!("\r\u{1b}[{up}A"),
    };
    let more = is_cut.then(|| format!("... {} more lines", lines.len() - shown));
    for line in lines[..shown].iter().chain(&more) {
        // The last column is left free: a line that fills it may or may not have moved the cursor on.
        let line: String = line
            .chars()
            .filter(|character| !character.is_control())
            .take(columns.saturating_sub(1))
            .collect();
        // Writing to a text does not fail.
        let _ = writeln!(text, "{line}\u{1b}[K");
    }
    text.push_str("\u{1b}[J");
    (text, shown + usize::from(is_cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_are_drawn_over_those_before() {
        let (text, drawn) = frame(&lines(&["one", "two"]), 0, 24, 80);
        assert_eq!((text.as_str(), drawn), ("one\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J", 2));
        let (text, drawn) = frame(&lines(&["three"]), 2, 24, 80);
        assert_eq!((text.as_str(), drawn), ("\r\u{1b}[2Athree\u{1b}[K\n\u{1b}[J", 1));
        let (text, drawn) = frame(&[], 1, 24, 80);
        assert_eq!((text.as_str(), drawn), ("\r\u{1b}[1A\u{1b}[J", 0));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let (text, drawn) = frame(&lines(&["one", "two", "three", "four"]), 3, 4, 4);
        assert_eq!(
            (text.as_str(), drawn),
            ("\r\u{1b}[3Aone\u{1b}[K\ntwo\u{1b}[K\n...\u{1b}[K\n\u{1b}[J", 3)
        );
    }

    #[test]
    fn nothing_in_a_line_moves_the_cursor() {
        let (text, _) = frame(&lines(&["a\u{1b}[5Ab\tc"]), 0, 24, 80);
        assert!(text.starts_with("a[5Abc\u{1b}[K\n"), "{text:?}");
    }
}
