//! `policy`: the desired state that a policy comes to on a network.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use nmstate::NetworkState;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::{
    Refusal,
    args::{Policy, Show},
    further::{Further, Secrets},
    input::{self, State},
    print, show, time,
};

/// A captured state as it is kept in files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(rename = "metaInfo")]
    about: About,
    state: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    time: String,
    version: String,
}

/// Captured states, and what was taken out of the states that they were captured from.
struct Captured {
    states: HashMap<String, NetworkState>,
    further: Further,
}

/// Prints the desired state of a policy.
///
/// # Errors
/// A file cannot be read or written, or the captures find nothing.
pub(super) async fn run(arguments: &Policy) -> Result<String, Refusal> {
    let text = input::text_of(&arguments.file)?;
    let mut policy = read(&text, input::policy_of)?;
    if policy.policy.is_empty() {
        return Ok(String::new());
    }
    let current = match &arguments.current {
        Some(path) => read(&input::text_of(path)?, input::state_of)?,
        None => show::retrieve(&Show::default()).await?,
    };
    let captured = match &arguments.captured {
        Some(path) => load(path)?,
        None => Captured {
            states: policy.policy.capture.execute(&current.state)?,
            further: current.further,
        },
    };
    if let Some(path) = &arguments.output_captured {
        store(path, &captured, arguments.json)?;
    }
    policy.further.fill(&captured.states)?;
    let filled = policy.policy.desired.fill_with_captured_data(&captured.states)?;
    if filled.is_empty() {
        return Ok(String::new());
    }
    let filled = State {
        state: filled,
        further: policy.further.or(captured.further),
    };
    print::value(&filled.to_value()?, arguments.json)
}

/// Reads a text that may be empty. JSON with tabs in it is no YAML, but taken.
fn read<T: Default>(text: &str, reader: impl Fn(&str) -> serde_yaml::Result<T>) -> Result<T, Refusal> {
    if text.is_empty() {
        return Ok(T::default());
    }
    let fault = match reader(text) {
        Ok(read) => return Ok(read),
        Err(fault) => fault,
    };
    let json_fault = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => match reader(&json.to_string()) {
            Ok(read) => return Ok(read),
            Err(fault) => fault.to_string(),
        },
        Err(fault) => fault.to_string(),
    };
    Err(Refusal::new(format!(
        "Failed to load from file, tried both YAML and JSON format. Errors: {fault}, {json_fault}"
    )))
}

fn load(path: &Path) -> Result<Captured, Refusal> {
    let text = input::text_of(path)?;
    let kept: BTreeMap<String, Kept> = read(&text, |text| serde_yaml::from_str(text))?;
    let mut captured = Captured {
        states: HashMap::new(),
        further: Further::default(),
    };
    for (name, mut kept) in kept {
        let further = Further::take(&mut kept.state, Secrets::Go);
        captured.further = captured.further.or(further);
        captured.states.insert(name, serde_yaml::from_value(kept.state)?);
    }
    Ok(captured)
}

fn store(path: &Path, captured: &Captured, json: bool) -> Result<(), Refusal> {
    let mut all = BTreeMap::new();
    for (name, state) in &captured.states {
        let mut state = serde_yaml::to_value(state)?;
        captured.further.put_back(&mut state);
        let about = About {
            time: time::now(),
            version: "0".into(),
        };
        all.insert(name, Kept { about, state });
    }
    let text = print::value(&all, json)?;
    fs::write(path, text).map_err(|error| {
        Refusal::new(format!(
            "Failed to store captured states to file {}: {error}",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const CURRENT: &str = "\
interfaces:
- name: eth1
  type: ethernet
  state: up
  description: 192.0.2.7
- name: vpn
  type: ipsec
  state: up
  libreswan:
    right: 192.0.2.9
    psk: <_password_hid_by_nmstate>
    pfs: 'no'
";

    const POLICY: &str = "\
capture:
  base: interfaces.name == \"eth1\"
  vpn: interfaces.name == \"vpn\"
desiredState:
  interfaces:
  - name: other
    type: ipsec
    libreswan:
      left: '{{ capture.base.interfaces.0.description }}'
      right: 192.0.2.10
      ipsec-interface: true
      psk: a secret
      mobike: 'yes'
";

    /// Has the policy filled in, in files as the operator does, and returns what was printed and captured.
    async fn filled(policy: &str) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> PathBuf {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut arguments = Policy {
            file: file("policy", policy),
            current: Some(file("current", CURRENT)),
            captured: None,
            output_captured: Some(file("captured", "")),
            json: true,
        };
        let printed = run(&arguments).await.unwrap();
        let captured = fs::read_to_string(dir.path().join("captured")).unwrap();
        // The captured states alone lead to the same.
        arguments.captured = arguments.output_captured.take();
        arguments.current = Some(file("current", ""));
        assert_eq!(run(&arguments).await.unwrap(), printed);
        (printed, captured)
    }

    #[tokio::test]
    async fn connections_pass_through_as_they_are() {
        let (printed, captured) = filled(POLICY).await;
        let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let libreswan = &printed["interfaces"][0]["libreswan"];
        assert_eq!(libreswan["left"], "192.0.2.7");
        assert_eq!(libreswan["ipsec-interface"], true);
        assert_eq!(libreswan["mobike"], "yes");
        assert_eq!(libreswan["psk"], "a secret");
        let captured: serde_json::Value = serde_json::from_str(&captured).unwrap();
        assert_eq!(
            captured["vpn"]["state"]["interfaces"][0]["libreswan"]["pfs"],
            "no"
        );
        assert_eq!(captured["base"]["metaInfo"]["version"], "0");
    }

    #[tokio::test]
    async fn a_captured_connection_keeps_its_further_keys() {
        let policy = "\
capture:
  vpn: interfaces.name == \"vpn\"
desiredState:
  interfaces: '{{ capture.vpn.interfaces }}'
";
        let (printed, _) = filled(policy).await;
        assert!(printed.contains("\"pfs\": \"no\""), "{printed}");
    }

    #[test]
    fn json_with_tabs_is_read() {
        let text = "{\n\t\"interfaces\": [{\"name\": \"eth1\", \"type\": \"ethernet\"}]}";
        assert!(!read(text, input::state_of).unwrap().state.is_empty());
        let fault = read("a: b", input::state_of).unwrap_err().text;
        assert!(
            fault.contains("unknown field `a`") && fault.contains("expected value"),
            "{fault}"
        );
    }

    #[tokio::test]
    async fn nothing_comes_of_nothing() {
        assert_eq!(filled("").await.0, "");
        assert_eq!(filled("capture: {}\n").await.0, "");
    }
}
