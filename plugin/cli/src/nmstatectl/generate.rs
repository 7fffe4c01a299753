//! What is made of a desired state without applying it: `format`, `gc`, `gr`, `statistic`, `validate`.

use std::path::Path;

use nmstate::NetworkState;
use serde_yaml::{Mapping, Value};

use super::{
    Refusal,
    args::{Against, Show, Statistic, Validate},
    further::{ipsec, is_ipsec, name},
    input::{self, Input, State},
    keyfile, print, show,
};

/// `format`: the state as nmstate writes it.
///
/// # Errors
/// nmstate cannot read it.
pub(super) async fn format(file: &Path) -> Result<String, Refusal> {
    print::value(&state(file).await?.to_value()?, false)
}

/// `gc`: profiles.
///
/// # Errors
/// nmstate cannot read the state, or cannot make profiles of it.
pub(super) async fn configuration(file: &Path) -> Result<String, Refusal> {
    let state = state(file).await?;
    let mut files = state.state.gen_conf()?;
    for (file, text) in files.get_mut("NetworkManager").into_iter().flatten() {
        let name = file.strip_suffix(".nmconnection").unwrap_or(file);
        if let Some(further) = state.further.of(name) {
            keyfile::add(text, further);
        }
    }
    Ok(serde_yaml::to_string(&files)?.replace("\\n", "\n\n"))
}

/// `statistic`: what features are made use of.
///
/// # Errors
/// nmstate cannot read a state.
pub(super) async fn statistic(arguments: &Statistic) -> Result<String, Refusal> {
    let mut desired = NetworkState::new();
    for file in &arguments.files {
        desired.merge_desire(&plain_state(file)?);
    }
    let current = match &arguments.current {
        Some(file) => plain_state(file)?,
        None => running_config().await?.state,
    };
    print::value(&desired.statistic(&current)?, arguments.json)
}

/// `validate`: whether nmstate would take it.
///
/// # Errors
/// It would not.
pub(super) async fn validate(arguments: &Validate) -> Result<String, Refusal> {
    let input = input::parse(&input::text_of(&arguments.file)?)?;
    let current = match &arguments.current {
        Some(file) => match input::parse(&input::text_of(file)?)? {
            Input::State(state) => Some(state.state),
            Input::Policy(_) => {
                return Err(Refusal::new("Current state file is not a valid NetworkState"));
            }
        },
        None => None,
    };
    match input {
        Input::State(state) => {
            state.state.validate(current.as_ref())?;
            print::value(&state.to_value()?, false)
        }
        Input::Policy(mut policy) => {
            policy.policy.current = current;
            policy.policy.validate()?;
            let mut value = serde_yaml::to_value(&policy.policy)?;
            if let Some(desired) = value.get_mut("desired") {
                policy.further.put_back(desired);
            }
            print::value(&value, false)
        }
    }
}

/// `gr`: the state that would undo one.
///
/// # Errors
/// nmstate cannot read the states.
pub(super) async fn revert(arguments: &Against) -> Result<String, Refusal> {
    let desired = state(&arguments.file).await?;
    let current = match &arguments.current {
        Some(file) => state(file).await?,
        None => running_config().await?,
    };
    print::value(&reverted(&desired, &current)?, arguments.json)
}

/// What would undo `desired`. Of a connection that is there, all of it: applying takes away what is not desired.
fn reverted(desired: &State, current: &State) -> Result<Value, Refusal> {
    let mut value = serde_yaml::to_value(desired.state.generate_revert(&current.state)?)?;
    let (mut wanted, mut found) = (desired.to_value()?, current.to_value()?);
    for before in ipsec(&mut found) {
        let Some(after) = ipsec(&mut wanted).find(|after| name(after) == name(before)) else {
            continue;
        };
        let was = before["libreswan"].clone();
        if after.get("libreswan").is_none_or(|is| *is == was) {
            continue;
        }
        if let Some(undoes) = ipsec(&mut value).find(|undoes| name(undoes) == name(before)) {
            undoes["libreswan"] = was;
            continue;
        }
        let mut undoes = Mapping::new();
        for key in ["name", "type", "state", "libreswan"] {
            undoes.insert(key.into(), before[key].clone());
        }
        let interfaces = value["interfaces"].as_sequence_mut();
        interfaces.into_iter().for_each(|interfaces| {
            let place = interfaces.partition_point(|other| !is_ipsec(other) || name(other) < name(before));
            interfaces.insert(place, Value::Mapping(undoes.clone()));
        });
    }
    Ok(value)
}

async fn state(file: &Path) -> Result<State, Refusal> {
    input::parse(&input::text_of(file)?)?.into_state().await
}

/// A state alone, no policy, without what nmstate refuses of it.
fn plain_state(file: &Path) -> Result<NetworkState, Refusal> {
    let read = input::state_of(&input::text_of(file)?);
    let read = read.map_err(|error| {
        Refusal::new(format!(
            "NmstateError: InvalidArgument: Invalid YAML string: {error}"
        ))
    })?;
    Ok(read.state)
}

async fn running_config() -> Result<State, Refusal> {
    show::retrieve(&Show {
        running_config: true,
        ..Show::default()
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DESIRED: &str = "\
interfaces:
- name: vpn
  type: ipsec
  state: up
  libreswan:
    nm-auto-defaults: true
    right: 192.0.2.9
    psk: a secret
    ipsec-interface: true
    mobike: no
";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[tokio::test]
    async fn a_formatted_connection_says_what_it_said() {
        let desired = file(DESIRED);
        assert_eq!(format(desired.path()).await.unwrap(), DESIRED);
    }

    #[tokio::test]
    async fn generated_profiles_have_all_keys() {
        let desired = file(DESIRED);
        let profiles = configuration(desired.path()).await.unwrap();
        for line in [
            "right=192.0.2.9",
            "ipsec-interface=yes",
            "mobike=no",
            "pskvalue=a secret",
        ] {
            assert!(profiles.contains(line), "{line}: {profiles}");
        }
    }

    #[tokio::test]
    async fn statistics_and_checks_take_further_keys() {
        let (desired, current) = (file(DESIRED), file("interfaces: []"));
        let arguments = Statistic {
            files: vec![desired.path().into()],
            current: Some(current.path().into()),
            json: false,
        };
        let features = statistic(&arguments).await.unwrap();
        assert!(features.contains("- ipsec"), "{features}");
        let arguments = Validate {
            file: desired.path().into(),
            current: Some(current.path().into()),
        };
        assert_eq!(validate(&arguments).await.unwrap(), DESIRED);
    }

    #[test]
    fn what_was_there_is_what_undoes() {
        let read = |text: &str| input::state_of(text).unwrap();
        let before = DESIRED
            .replace("ipsec-interface: true", "leftid: '@a'")
            .replace("a secret", "<_password_hid_by_nmstate>");
        let undoes = reverted(&read(DESIRED), &read(&before)).unwrap();
        assert_eq!(undoes["interfaces"][0]["libreswan"]["leftid"], "@a");
        assert_eq!(undoes["interfaces"][0]["libreswan"]["mobike"], "no");
        // A further key alone.
        let other = DESIRED.replace("mobike: no", "mobike: yes");
        let undoes = reverted(&read(DESIRED), &read(&other)).unwrap();
        assert_eq!(undoes["interfaces"][0]["libreswan"]["mobike"], "yes");
        let undoes = reverted(&read(DESIRED), &read(DESIRED)).unwrap();
        assert_eq!(undoes["interfaces"].as_sequence().map(Vec::len), Some(0));
        // What is new is absent then.
        let undoes = reverted(&read(DESIRED), &read("interfaces: []")).unwrap();
        assert_eq!(undoes["interfaces"][0]["state"], "absent");
    }
}
