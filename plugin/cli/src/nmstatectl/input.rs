//! Reading desired state and policies as upstream does, but for the ipsec interfaces in them ([`super::further`]).

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use nmstate::{InterfaceType, NetworkCaptureRules, NetworkPolicy, NetworkState};
use serde_yaml::Value;

use super::{
    Refusal,
    args::Show,
    further::{Further, Secrets, ipsec},
    show,
};

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A state without what nmstate refuses of it, and that.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) state: NetworkState,
    pub(crate) further: Further,
}

/// A policy, likewise.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pub(crate) policy: NetworkPolicy,
    pub(crate) further: Further,
    /// What was taken out of `current`.
    pub(crate) of_current: Further,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum Input {
    State(State),
    Policy(Policy),
}

/// Reads a file; `-` is standard input.
///
/// # Errors
/// It cannot be read, is no UTF-8, or too large.
pub(crate) fn text_of(path: &Path) -> Result<String, Refusal> {
    if path.as_os_str() == "-" {
        bounded(io::stdin().lock())
    } else {
        bounded(File::open(path)?)
    }
}

fn bounded(from: impl Read) -> Result<String, Refusal> {
    let mut text = String::new();
    from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Refusal::new(format!(
            "the file is larger than {} MB",
            MAX_BYTES / 1024 / 1024
        )));
    }
    // A no-break space, as web pages have them, is taken for a blank.
    Ok(text.replace('\u{A0}', " "))
}

/// Reads desired state or a policy.
///
/// # Errors
/// nmstate cannot read it.
pub(crate) fn parse(text: &str) -> Result<Input, Refusal> {
    let invalid = |what: &str, error: &serde_yaml::Error| {
        Refusal::new(format!("Provide file is not valid {what}: {error}"))
    };
    let state_fault = match state_of(text) {
        Ok(state) => return Ok(Input::State(state)),
        Err(error) => error,
    };
    match policy_of(text) {
        Ok(policy) => Ok(Input::Policy(policy)),
        Err(policy_fault) => {
            let is_policy = text.contains("desired");
            let fault = if is_policy { policy_fault } else { state_fault };
            Err(invalid("NetworkState or NetworkPolicy", &fault))
        }
    }
}

/// Reads a state.
///
/// # Errors
/// nmstate cannot read it.
pub(crate) fn state_of(text: &str) -> serde_yaml::Result<State> {
    let Some(mut value) = with_ipsec(text, &[]) else {
        // The crate reads the text itself: its messages have lines then.
        let state = serde_yaml::from_str(text)?;
        return Ok(State {
            state,
            ..State::default()
        });
    };
    let further = Further::take(&mut value, Secrets::Stay);
    Ok(State {
        state: serde_yaml::from_value(value)?,
        further,
    })
}

/// Reads a policy.
///
/// # Errors
/// nmstate cannot read it.
pub(crate) fn policy_of(text: &str) -> serde_yaml::Result<Policy> {
    const STATES: [&str; 3] = ["desired", "desiredState", "current"];
    let Some(mut value) = with_ipsec(text, &STATES) else {
        return Ok(Policy {
            policy: serde_yaml::from_str(text)?,
            ..Policy::default()
        });
    };
    let [desired, desired_state, of_current] = STATES.map(|part| {
        let state = value.get_mut(part);
        state.map(|state| Further::take(state, Secrets::Go))
    });
    Ok(Policy {
        policy: serde_yaml::from_value(value)?,
        further: desired.or(desired_state).unwrap_or_default(),
        of_current: of_current.unwrap_or_default(),
    })
}

/// The value of a text, if one of its `parts` is a state with ipsec interfaces; without parts, the whole of it.
fn with_ipsec(text: &str, parts: &[&str]) -> Option<Value> {
    let mut value: Value = serde_yaml::from_str(text).ok()?;
    let has_ipsec = if parts.is_empty() {
        ipsec(&mut value).next().is_some()
    } else {
        let mut parts = parts.iter();
        parts.any(|part| {
            value
                .get_mut(part)
                .is_some_and(|state| ipsec(state).next().is_some())
        })
    };
    has_ipsec.then_some(value)
}

impl Input {
    /// The desired state: a policy's with its captures filled in.
    ///
    /// # Errors
    /// The network cannot be looked at, or the captures find nothing.
    pub(crate) async fn into_state(self) -> Result<State, Refusal> {
        match self {
            Self::State(state) => Ok(state),
            Self::Policy(policy) => policy.into_state().await,
        }
    }
}

impl Policy {
    async fn into_state(mut self) -> Result<State, Refusal> {
        let policy = self.policy;
        if policy.is_empty() {
            return Ok(State::default());
        }
        if policy.capture == NetworkCaptureRules::default() {
            self.further.fill(&HashMap::new())?;
            let state = policy.desired.fill_with_captured_data(&HashMap::new())?;
            let further = self.further;
            return Ok(State { state, further });
        }
        let current = match policy.current {
            Some(state) => State {
                state,
                further: self.of_current,
            },
            None => show::retrieve(&Show::default()).await?,
        };
        let captured = policy.capture.execute(&current.state)?;
        self.further.fill(&captured)?;
        let filled = policy.desired.fill_with_captured_data(&captured)?;
        // Upstream goes on with what differs. Of an ipsec interface that may be what was taken out.
        // An ipsec interface may differ in what was taken out, and nmstate fails on one of which a part differs.
        let mut other = filled.clone();
        let mut ipsec = filled.interfaces.to_vec();
        ipsec.retain(|interface| interface.iface_type() == InterfaceType::Ipsec);
        for interface in &ipsec {
            other
                .interfaces
                .remove_iface(interface.name(), InterfaceType::Ipsec);
        }
        let mut state = other.gen_diff(&current.state)?;
        for interface in ipsec {
            state.interfaces.push(interface.clone());
        }
        Ok(State {
            state,
            further: self.further.or(current.further),
        })
    }
}

impl State {
    /// The state as it is printed.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn to_value(&self) -> Result<Value, Refusal> {
        let mut value = serde_yaml::to_value(&self.state)?;
        self.further.put_back(&mut value);
        Ok(value)
    }

    /// The names of the ipsec interfaces.
    pub(crate) fn ipsec_names(&self) -> Vec<String> {
        let interfaces = self.state.interfaces.iter();
        interfaces
            .filter(|interface| interface.iface_type() == InterfaceType::Ipsec)
            .map(|interface| interface.name().to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> State {
        match parse(text) {
            Ok(Input::State(state)) => state,
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn of_policy(text: &str) -> Result<Value, Refusal> {
        match parse(text)? {
            Input::Policy(policy) => policy.into_state().await?.to_value(),
            Input::State(state) => panic!("no policy: {state:?}"),
        }
    }

    #[test]
    fn a_state_without_ipsec_is_the_crates_alone() {
        let text = "interfaces:\n- name: eth1\n  type: ethernet\n  mtu: 1500x\n";
        let upstream = serde_yaml::from_str::<NetworkState>(text)
            .unwrap_err()
            .to_string();
        let refused = parse(text).unwrap_err();
        assert_eq!(refused.status, 1);
        assert_eq!(
            refused.text,
            format!("Provide file is not valid NetworkState or NetworkPolicy: {upstream}")
        );
    }

    #[test]
    fn further_keys_are_kept() {
        let text = "{\"interfaces\": [{\"name\": \"vpn\", \"type\": \"ipsec\", \"libreswan\": {\"right\": \"a\", \
                    \"ipsec-interface\": true}}]}";
        let read = state(text);
        assert_eq!(read.ipsec_names(), ["vpn"]);
        let printed = read.to_value().unwrap();
        assert_eq!(printed["interfaces"][0]["libreswan"]["ipsec-interface"], true);
    }

    #[tokio::test]
    async fn a_policy_is_filled_in() {
        let text = "\
capture:
  base: interfaces.name == \"eth1\"
desiredState:
  interfaces:
  - name: vpn
    type: ipsec
    libreswan:
      right: '{{ capture.base.interfaces.0.description }}'
      pfs: 'no'
      psk: a secret
current:
  interfaces:
  - {name: eth1, type: ethernet, description: 192.0.2.7}
  - {name: vpn, type: ipsec, libreswan: {right: 192.0.2.7, pfs: 'yes'}}
";
        let printed = of_policy(text).await.unwrap();
        let libreswan = &printed["interfaces"][0]["libreswan"];
        assert_eq!(libreswan["right"], "192.0.2.7");
        assert_eq!(libreswan["pfs"], "no");
        assert_eq!(libreswan["psk"], "a secret");
        let missing = text.replace("capture.base", "capture.other");
        assert!(of_policy(&missing).await.unwrap_err().text.contains("other"));
    }
}
