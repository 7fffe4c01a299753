//! `edit`: the state of the network in an editor, and applied when that is closed.

use std::{
    env, fs,
    io::{self, BufRead, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Refusal,
    apply::{self, Options},
    args::{Edit, Show},
    input::{self, State},
    show,
};

/// Has the state edited, and applies it.
///
/// # Errors
/// There is no such interface, the editor fails, or the state is not applied.
pub(super) async fn run(arguments: &Edit) -> Result<String, Refusal> {
    let current = show::retrieve(&Show {
        kernel: arguments.kernel,
        running_config: true,
        ..Show::default()
    })
    .await?;
    let file = Scratch::new(&written(current, arguments.name.as_deref())?)?;
    let text = edited(&file.0)?;
    let options = Options {
        kernel: arguments.kernel,
        no_verify: arguments.no_verify,
        no_commit: arguments.no_commit,
        memory_only: arguments.memory_only,
        ..Options::default()
    };
    apply::text(&text, "the edited state", &options).await
}

/// What is edited: all of the state, or one interface.
fn written(mut current: State, name: Option<&str>) -> Result<String, Refusal> {
    if let Some(name) = name {
        let mut interfaces = current.state.interfaces.to_vec();
        interfaces.retain(|interface| interface.name() == name);
        if interfaces.is_empty() {
            return Err(Refusal::of_data(format!("Interface {name} not found")));
        }
        let mut only = nmstate::NetworkState::new();
        for interface in interfaces {
            only.append_interface_data(interface.clone());
        }
        current.state = only;
    }
    Ok(serde_yaml::to_string(&current.to_value()?)?)
}

/// A file that is there as long as it is needed, and nobody else's to read.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Result<Self, Refusal> {
        // So that it cannot be foreseen by who may write into the directory.
        let number = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let path = env::temp_dir().join(format!("nmstate-{}.yml", number.trim_end()));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        let scratch = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("Failed to delete file {}: {error}", self.0.display());
        }
    }
}

/// Opens the editor until what it leaves can be read.
fn edited(path: &Path) -> Result<String, Refusal> {
    let editor = env::var("EDITOR").unwrap_or_else(|_| "vi".into());
    loop {
        let ended = Command::new(&editor).arg(path).status();
        let ended =
            ended.map_err(|error| Refusal::of_data(format!("Editor '{editor}' failed with {error}")))?;
        if !ended.success() {
            return Err(Refusal::of_data(format!("Editor '{editor}' failed")));
        }
        let text = input::text_of(path)?;
        let Err(fault) = input::state_of(&text) else {
            return Ok(text);
        };
        if !is_tried_again(&mut io::stdin().lock())? {
            return Err(Refusal::of_data(fault.to_string()));
        }
        eprintln!("{fault}");
    }
}

/// Asks whether the editor is to be opened once more. Who does not answer does not want it.
fn is_tried_again(answers: &mut impl BufRead) -> Result<bool, Refusal> {
    loop {
        println!("Try again? [y,n]:\ny - yes, start editor again\nn - no, throw away my changes\n> ");
        let mut answer = String::new();
        if answers.read_line(&mut answer)? == 0 {
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => println!("Invalid reply, please try y or n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_is_written_with_all_its_keys() {
        let text = "interfaces: [{name: eth1, type: ethernet}, {name: vpn, type: ipsec, libreswan: {right: a, pfs: 'no'}}]";
        let state = || input::state_of(text).unwrap();
        let shown = written(state(), Some("vpn")).unwrap();
        assert!(shown.contains("pfs: no") && !shown.contains("eth1"), "{shown}");
        assert_eq!(written(state(), Some("none")).unwrap_err().status, 65);
        assert!(written(state(), None).unwrap().contains("eth1"));
    }

    #[test]
    fn the_file_is_nobody_elses_and_goes() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("text").unwrap();
        let path = scratch.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn silence_is_a_no() {
        assert!(is_tried_again(&mut "x\nYES\n".as_bytes()).unwrap());
        assert!(!is_tried_again(&mut "n\n".as_bytes()).unwrap());
        assert!(!is_tried_again(&mut "".as_bytes()).unwrap());
    }
}
