//! `apply`: a desired state as one transaction, and what it has changed.

use std::path::Path;

use nmstate::{InterfaceState, InterfaceType, NetworkState};
use nmstate_ipsec_core::daemon_api::{ApplyOptions, Declaration, TransactionsProxy};
use tokio::signal;

use super::{
    CHANGE_TIME_OUT, Refusal,
    args::{Apply, Show},
    difference,
    input::{self, Input, State},
    late, show,
};
use crate::{
    command, daemon, declarations,
    document::{self, DesiredState, Document, Origin},
    report,
    transaction::{self, Broken, CHECKPOINT_GONE, End},
};

/// Seconds until a transaction is undone that nobody commits; nmstate's default.
const TIME_OUT: u32 = 60;

/// How states are applied.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) kernel: bool,
    pub(super) no_verify: bool,
    pub(super) no_commit: bool,
    /// Seconds until it is undone; 0 is the default.
    pub(super) time_out: u32,
    pub(super) secrets: bool,
    pub(super) memory_only: bool,
    pub(super) override_iface: bool,
}

/// Applies files one after the other and prints what has changed.
///
/// # Errors
/// What is said of the first that was not applied. Those before it last.
pub(super) async fn run(arguments: &Apply) -> Result<String, Refusal> {
    let options = options(arguments)?;
    let stdin = [Path::new("-").to_owned()];
    let files = match arguments.files.as_slice() {
        [] => &stdin,
        [first, ..] if first.as_os_str() == "-" => &stdin,
        files => files,
    };
    let mut changed = String::new();
    for file in files {
        changed.push_str(&text(&input::text_of(file)?, &name_of(file), &options).await?);
    }
    Ok(changed)
}

fn options(arguments: &Apply) -> Result<Options, Refusal> {
    let time_out = match &arguments.timeout {
        Some(text) => text
            .parse()
            .map_err(|error| Refusal::of_data(format!("{error}")))?,
        None => TIME_OUT,
    };
    if arguments.timeout.is_some() && !arguments.no_commit {
        log::warn!(
            "--timeout is only effective when used with --no-commit. The timeout value will be ignored."
        );
    }
    Ok(Options {
        kernel: arguments.kernel,
        no_verify: arguments.no_verify,
        no_commit: arguments.no_commit,
        time_out,
        secrets: arguments.secrets,
        memory_only: arguments.memory_only,
        override_iface: arguments.override_iface,
    })
}

fn name_of(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "standard input".into()
    } else {
        file.display().to_string()
    }
}

/// Applies what a text desires, and returns what that has changed.
///
/// # Errors
/// Everything is as it was then.
pub(super) async fn text(text: &str, name: &str, options: &Options) -> Result<String, Refusal> {
    let input = input::parse(text)?;
    tokio::select! {
        applied = apply(input, text, name, options) => applied,
        () = tokio::time::sleep(CHANGE_TIME_OUT) => Err(late(CHANGE_TIME_OUT)),
        _ = signal::ctrl_c() => {
            roll_back_alone(options).await?;
            Err(Refusal::new("Interrupted by SIGINT"))
        }
    }
}

/// Has NetworkManager roll back what was begun without our daemon, which undoes it by itself when its caller leaves.
async fn roll_back_alone(options: &Options) -> Result<(), Refusal> {
    if !options.kernel && daemon::find().await?.is_none() {
        transaction::checkpoint(End::Rollback, "").await?;
    }
    Ok(())
}

async fn apply(input: Input, text: &str, name: &str, options: &Options) -> Result<String, Refusal> {
    let is_state = matches!(input, Input::State(_));
    let current = show::retrieve(&Show {
        kernel: options.kernel,
        running_config: true,
        ..Show::default()
    })
    .await?;
    let (desired, is_typed) = input.into_state().await?.with_types_of(&current)?;
    let daemon = if options.kernel {
        if let Some(name) = desired.ipsec_names().first() {
            return Err(Refusal::new(format!(
                "'{name}' is of type ipsec, and the kernel alone (--kernel) has no such interface; leave out the one or \
                 the other"
            )));
        }
        None
    } else {
        daemon::find().await?
    };
    if let Some(daemon) = daemon {
        // The text itself if it says all: faults have lines then.
        let text = Some(text).filter(|_| is_state && is_typed);
        let document = document_of(&desired, text, name)?;
        with_daemon(&daemon, &desired, &document, options).await?;
    } else {
        alone(&desired, options).await?;
    }
    difference::of(desired, current, options.secrets)
}

/// Has nmstate and NetworkManager apply it without our daemon.
async fn alone(desired: &State, options: &Options) -> Result<(), Refusal> {
    if !options.kernel {
        eprintln!("{}", daemon::ALONE);
    }
    if let Some(refused) = desired.further.refused() {
        return Err(Refusal::new(refused));
    }
    let mut state = desired.state.clone();
    state
        .set_kernel_only(options.kernel)
        .set_verify_change(!options.no_verify)
        .set_commit(!options.no_commit)
        .set_timeout(options.time_out)
        .set_override_iface(options.override_iface)
        .set_memory_only(options.memory_only);
    Ok(state.apply_async().await?)
}

/// Has the daemon carry the connections out, and nmstate the rest.
async fn with_daemon(
    daemon: &TransactionsProxy<'static>,
    desired: &State,
    document: &Document,
    options: &Options,
) -> Result<(), Refusal> {
    if let (true, Some(interface)) = (options.memory_only, document.state.ipsec.first()) {
        return Err(Refusal::new(format!(
            "'{}' is of type ipsec, whose profiles are kept on the disk; leave out --memory-only or the interface",
            interface.name
        )));
    }
    let how = ApplyOptions {
        commit: !options.no_commit,
        time_out: options.time_out,
        verify: !options.no_verify,
        ..ApplyOptions::default()
    };
    let mut declarations = declarations::of(document);
    if options.override_iface {
        declarations.iter_mut().for_each(forget_addresses);
    }
    let other = without_ipsec(desired, options);
    let applied = transaction::carry_out(daemon, other, &declarations, how).await;
    let applied = applied.map_err(refusal)?;
    if applied.done {
        report::applied(document, &applied, false, true);
        return Ok(());
    }
    Err(Refusal::new(report::failure(document, &applied)))
}

fn refusal(broken: Broken) -> Refusal {
    match broken {
        Broken::Nmstate(error) => error.into(),
        Broken::CheckpointGone => Refusal::new(CHECKPOINT_GONE),
        Broken::Fault(fault) => fault.into(),
    }
}

/// What an interface does not say of its addresses is then not the profile's either.
fn forget_addresses(declaration: &mut Declaration) {
    for method in [&mut declaration.ip4_method, &mut declaration.ip6_method] {
        if declaration.state == "up" && method.is_empty() {
            "disabled".clone_into(method);
        }
    }
}

/// What is nmstate's to do.
fn without_ipsec(desired: &State, options: &Options) -> Option<NetworkState> {
    let mut other = desired.state.clone();
    for name in desired.ipsec_names() {
        other.interfaces.remove_iface(&name, InterfaceType::Ipsec);
    }
    other
        .set_override_iface(options.override_iface)
        .set_memory_only(options.memory_only);
    Some(other).filter(|other| !other.is_empty())
}

/// The connections of a state as our documents have them, read from `text` if that is given.
fn document_of(desired: &State, text: Option<&str>, name: &str) -> Result<Document, Refusal> {
    if desired.ipsec_names().is_empty() {
        return Ok(Document {
            origin: Origin {
                file: name.to_owned(),
                number: 1,
                item: None,
            },
            name: None,
            selector: Default::default(),
            guard: None,
            capture: None,
            state: DesiredState::default(),
        });
    }
    let written;
    let text = match text {
        Some(text) => text,
        None => {
            written = serde_yaml::to_string(&desired.to_value()?)?;
            &written
        }
    };
    let documents = document::read_text_of(text, name).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Refusal::new(lines.join("\n"))
    })?;
    let document = documents.into_iter().next();
    let document = document.ok_or_else(|| Refusal::new(format!("{name}: there is nothing in it")))?;
    command::plain_connections(&document)?;
    Ok(document)
}

impl State {
    /// The same with the type of ipsec interfaces that are named alone and are there, as nmstate finds out types; and
    /// whether there were none.
    fn with_types_of(self, current: &Self) -> Result<(Self, bool), Refusal> {
        let known = current.ipsec_names();
        let is_other = |name: &str| {
            let mut others = current.state.interfaces.iter();
            others.any(|other| other.name() == name && other.iface_type() != InterfaceType::Ipsec)
        };
        let untyped: Vec<String> = self
            .state
            .interfaces
            .iter()
            .filter(|interface| {
                interface.iface_type() == InterfaceType::Unknown
                    && interface.base_iface().state != InterfaceState::Ignore
            })
            .map(|interface| interface.name().to_owned())
            .filter(|name| known.contains(name) && !is_other(name))
            .collect();
        if untyped.is_empty() {
            return Ok((self, true));
        }
        let mut value = self.to_value()?;
        for interface in value["interfaces"].as_sequence_mut().into_iter().flatten() {
            let name = interface["name"].as_str().unwrap_or_default();
            if untyped.iter().any(|untyped| untyped == name) {
                interface["type"] = "ipsec".into();
            }
        }
        Ok((input::state_of(&serde_yaml::to_string(&value)?)?, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> State {
        input::state_of(text).unwrap()
    }

    const BOTH: &str = "\
interfaces:
- {name: eth1, type: ethernet}
- {name: vpn, type: ipsec, libreswan: {right: 192.0.2.9, ipsec-interface: true}}
";

    #[test]
    fn nmstate_sees_no_ipsec() {
        let other = without_ipsec(&state(BOTH), &Options::default()).unwrap();
        let text = serde_yaml::to_string(&other).unwrap();
        assert!(text.contains("eth1") && !text.contains("vpn"), "{text}");
        let only = BOTH.replace("- {name: eth1, type: ethernet}\n", "");
        assert!(without_ipsec(&state(&only), &Options::default()).is_none());
    }

    #[test]
    fn connections_are_declared_with_all_keys() {
        for text in [Some(BOTH), None] {
            let document = document_of(&state(BOTH), text, "test.yaml").unwrap();
            let mut declarations = declarations::of(&document);
            assert_eq!(declarations[0].data["ipsec-interface"], "yes");
            assert_eq!(declarations[0].ip4_method, "");
            declarations.iter_mut().for_each(forget_addresses);
            assert_eq!(declarations[0].ip4_method, "disabled");
        }
    }

    #[test]
    fn faults_have_lines() {
        let text = BOTH.replace("ipsec-interface", "ipsec-interfase");
        let fault = document_of(&state(&text), Some(&text), "test.yaml").unwrap_err();
        assert!(fault.text.starts_with("test.yaml:3:"), "{fault}");
    }

    #[test]
    fn an_interface_without_a_type_is_what_it_is() {
        let current = state(BOTH);
        let absent = state("interfaces: [{name: vpn, state: absent}, {name: eth1, state: up}]");
        let (typed, was_typed) = absent.with_types_of(&current).unwrap();
        assert!(!was_typed);
        assert_eq!(typed.ipsec_names(), ["vpn"]);
        let document = document_of(&typed, None, "test.yaml").unwrap();
        assert_eq!(declarations::of(&document)[0].state, "absent");
    }
}
