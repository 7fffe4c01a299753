//! The commands that the documentation shows, to be run as they stand.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::host;

/// The page that a reader begins with.
pub const README: &str = "README.md";

/// The first of the pages that follow.
pub const GETTING_STARTED: &str = "docs/getting-started.md";

/// These pages, in the order in which a reader follows them.
pub const PAGES: [&str; 3] = [GETTING_STARTED, "docs/migration.md", "docs/troubleshooting.md"];

/// What begins commands that are run.
const BEGIN: &str = "```sh run";

/// What ends a block of any kind.
const END: &str = "```";

/// Commands of a page that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the page that the first of them is on.
    pub line: usize,
    /// The commands.
    pub script: String,
}

/// The commands of a page of this workspace, in their order.
///
/// # Errors
/// There is no such page, or a block of it has no end.
pub fn of_page(name: &str) -> Result<Vec<Block>> {
    let path = host::workspace_dir().join(name);
    let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    blocks(&page).with_context(|| format!("looking for commands in {}", path.display()))
}

fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in page.lines().zip(1..) {
        match open.take() {
            Some(block) if line == END => blocks.push(block),
            Some(mut block) => {
                block.script.push_str(line);
                block.script.push('\n');
                open = Some(block);
            }
            None if line == BEGIN => {
                open = Some(Block {
                    line: number + 1,
                    script: String::new(),
                });
            }
            None => {}
        }
    }
    match open {
        Some(block) => bail!("the block in line {} has no end", block.line),
        None => Ok(blocks),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_what_is_marked_is_a_command() {
        let page = "```console\n# dnf install\n```\n```sh run\nls\n\nps\n```\ntext\n```sh run\nid\n```\n";
        let block = |line, script: &str| Block {
            line,
            script: script.to_owned(),
        };
        assert_eq!(blocks(page).unwrap(), [block(5, "ls\n\nps\n"), block(11, "id\n")]);
        assert!(blocks("```sh run\nls\n").is_err());
    }

    /// What is no shell's, or is meant to be run and is not marked, shows without a guest.
    #[test]
    fn the_pages_have_commands_that_a_shell_reads() {
        for name in [README].iter().chain(&PAGES) {
            let blocks = of_page(name).unwrap();
            assert!(!blocks.is_empty(), "{name}");
            for block in blocks {
                let read = Command::new("bash")
                    .args(["-nc", &block.script])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&read.stderr);
                assert!(read.status.success(), "{name}, line {}: {said}", block.line);
            }
            let page = fs::read_to_string(host::workspace_dir().join(name)).unwrap();
            for (line, number) in page.lines().zip(1..) {
                let is_shell = ["```sh", "```bash", "```shell"]
                    .iter()
                    .any(|fence| line.starts_with(fence));
                assert!(
                    !is_shell || line == BEGIN,
                    "{name}, line {number}: these commands are not run"
                );
            }
        }
    }
}
