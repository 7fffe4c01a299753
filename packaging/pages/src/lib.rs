//! Manual pages and completions, made of the definitions of the commands and of the table of keys.
//!
//! A program of its own, so that what makes pages is linked into nothing that is installed. The pages of what has no
//! definition to be made of, the services, are texts in `text/`, in the form that the module `text` reads.

mod command;
mod completion;
mod keys;
mod nmstatectl;
mod page;
mod service;
mod text;

use anyhow::Context;
use clap::CommandFactory;
use nmstate_ipsec::{args::Args, nmstatectl::time};

pub use page::Release;

/// A file to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, below the root of the system.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl File {
    /// A manual page: `nmstate-ipsec.1` say.
    fn page(name: &str, section: u8, text: String) -> Self {
        Self {
            path: format!("usr/share/man/man{section}/{name}.{section}"),
            text,
        }
    }
}

impl Release {
    /// This version; `epoch` is `SOURCE_DATE_EPOCH`, the seconds since 1970 of the last change to the sources. Without it
    /// pages have no date, so that they are the same whenever they are made.
    ///
    /// # Errors
    /// It is no number.
    pub fn new(epoch: Option<&str>) -> anyhow::Result<Self> {
        let date = match epoch {
            None => String::new(),
            Some(seconds) => {
                let number = seconds.parse().with_context(|| {
                    format!("SOURCE_DATE_EPOCH is '{seconds}', which is no number of seconds")
                })?;
                let time = time::text(number);
                time.split_once('T')
                    .map_or_else(String::new, |(date, _)| date.to_owned())
            }
        };
        Ok(Self { date })
    }
}

/// The command, as it is described.
fn definition() -> clap::Command {
    Args::command()
}

/// All files, the same whenever they are made.
///
/// # Errors
/// A page cannot be written into memory, which does not happen.
pub fn files(release: &Release) -> anyhow::Result<Vec<File>> {
    let mut files = command::pages(release)?;
    files.push(nmstatectl::page(release)?);
    files.push(keys::page(release));
    files.extend(service::pages(release));
    files.extend(completion::files()?);
    Ok(files)
}
