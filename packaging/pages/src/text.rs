//! The form in which the texts of pages are written, since roff wants every hyphen and every apostrophe escaped.
//!
//! Blocks with an empty line between two: `# A HEADING`; a line that begins with `: ` is a term, and what follows it up to the
//! end of the block is said of it; lines indented by four columns stay as they are; `@name@` is replaced by what the page
//! generates; all else is a paragraph. What stands between backticks is set in bold.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// A text as roff. Of each name between `@` the roff is `insert`'s.
pub(crate) fn roff(text: &str, insert: impl Fn(&str) -> Roff) -> Roff {
    let mut roff = Roff::new();
    for block in text.split("\n\n").map(|block| block.trim_matches('\n')) {
        if let Some(heading) = block.strip_prefix("# ") {
            roff.control("SH", [heading]);
        } else if let Some(name) = block.strip_prefix('@').and_then(|rest| rest.strip_suffix('@')) {
            roff.extend([insert(name)]);
        } else if let Some(term) = block.strip_prefix(": ") {
            let (term, said) = term.split_once('\n').unwrap_or((term, ""));
            roff.control("TP", [])
                .text(inlines(term))
                .text(inlines(&said.replace('\n', " ")));
        } else if block.starts_with("    ") {
            verbatim(&mut roff, block.lines().map(|line| line.get(4..).unwrap_or("")));
        } else if !block.is_empty() {
            roff.control("PP", []).text(inlines(&block.replace('\n', " ")));
        }
    }
    roff
}

/// Lines that stay as they are.
pub(crate) fn verbatim<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("PP", []).control("RS", ["4"]).control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []).control("RE", []);
}

/// A line with what is between backticks in bold.
pub(crate) fn inlines(line: &str) -> Vec<Inline> {
    let parts = line.split('`').enumerate();
    let parts = parts.filter(|(_, part)| !part.is_empty());
    parts
        .map(
            |(number, part)| {
                if number % 2 == 1 { bold(part) } else { roman(part) }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_roff() {
        let text = "# FILES\n\nA `file-name`\nof ours.\n\n: `/etc/x`, `y`\nIs\nit.\n\n    a - b\n\n@keys@\n";
        let roff = roff(text, |name| Roff::from(roman(format!("<{name}>"))));
        let expected = ".SH FILES\n.PP\nA \\fBfile\\-name\\fR of ours.\n.TP\n\\fB/etc/x\\fR, \\fBy\\fR\nIs it.\n\
                        .PP\n.RS 4\n.nf\na \\- b\n.fi\n.RE\n<keys>\n";
        assert_eq!(roff.to_roff(), expected);
    }
}
