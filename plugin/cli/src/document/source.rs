//! Reading the files that documents are in.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::error::{Location, Problem};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Where documents are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// What is wrong with a file as a whole, and where if that is known.
pub(crate) type FileFault = (Option<Location>, Problem);

impl Source {
    /// The source that an argument of the command means: `-` is standard input.
    pub fn from_argument(argument: &OsStr) -> Self {
        if argument == "-" {
            Self::Stdin
        } else {
            Self::File(argument.into())
        }
    }

    /// What the source is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".into(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Reads the whole text, at most 16 MB.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, FileFault> {
        let bytes = match self {
            Self::Stdin => read_bytes(io::stdin().lock()),
            Self::File(_) => self.open().and_then(read_bytes),
        };
        text_of(&bytes.map_err(|problem| (None, problem))?)
    }

    /// Opens the file. A symbolic link is refused, since it leads to something else tomorrow; `/dev/stdin` and a
    /// shell's `<(...)` are links that lead to what is open already.
    fn open(&self) -> Result<File, Problem> {
        let Self::File(path) = self else {
            return Err(Problem::Empty);
        };
        let is_open_already = ["/dev/", "/proc/self/fd/"]
            .iter()
            .any(|root| path.starts_with(root));
        let flags = if is_open_already {
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        let flags = flags | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                Some(code)
                    if code == rustix::io::Errno::LOOP.raw_os_error()
                        && path.symlink_metadata().is_ok_and(|data| data.is_symlink()) =>
                {
                    Problem::SymbolicLink
                }
                _ => Problem::Unreadable(error.to_string()),
            })?;
        let data = file
            .metadata()
            .map_err(|error| Problem::Unreadable(error.to_string()))?;
        if data.is_dir() {
            return Err(Problem::Directory);
        }
        Ok(file)
    }
}

fn read_bytes(from: impl Read) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::Unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::TooLarge);
    }
    Ok(bytes)
}

/// The text that `bytes` are. The parser takes a NUL for the end of the text, so control characters are found here.
pub(crate) fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, FileFault> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        (Some(end_of(&String::from_utf8_lossy(valid))), Problem::NotUtf8)
    })?;
    let is_refused =
        |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}');
    if let Some((position, character)) = text.char_indices().find(|(_, found)| is_refused(*found)) {
        let location = end_of(&text[..position]);
        return Err((Some(location), Problem::ControlCharacter(character.into())));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The place just behind `text`.
fn end_of(text: &str) -> Location {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    Location {
        line: text.matches('\n').count() + 1,
        column: last_line.chars().count() + 1,
    }
}
