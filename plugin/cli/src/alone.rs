//! `nmstate-ipsec apply` on a host without our daemon: what nmstate and NetworkManager do alone.

use nmstate::{Interface, NetworkState};
use nmstate_ipsec_core::secret::HIDDEN_BY_NMSTATE;
use serde_json::{Map, Value as Json, json};

use crate::{
    args::Apply,
    command::Fault,
    daemon,
    document::{Document, GivenSecret, InterfaceState, IpStack, IpsecInterface, Libreswan},
    nmstatectl::{Further, Secrets},
};

/// Applies the documents, each with its part that is not ipsec, one after the other.
///
/// # Errors
/// nmstate's types do not know what one of them says, in which case nothing is touched, or nmstate fails.
pub(crate) async fn apply(
    arguments: &Apply,
    documents: &[Document],
    others: Vec<Option<NetworkState>>,
) -> Result<(), Fault> {
    eprintln!("{}", daemon::ALONE);
    if arguments.dry_run {
        return Err(daemon::missing());
    }
    if let Some(document) = documents.iter().find(|document| document.guard == Some(true)) {
        return Err(Fault::Failed(format!(
            "{document}: asks for guards, which nmstate-ipsecd sets, and that is not on this host; nothing was applied"
        )));
    }
    let mut states = Vec::new();
    for (document, other) in documents.iter().zip(others) {
        states.push(whole(document, other.unwrap_or_default())?);
    }
    for (document, mut state) in documents.iter().zip(states) {
        state
            .set_commit(!arguments.no_commit)
            .set_verify_change(!arguments.no_verify)
            .set_timeout(arguments.timeout);
        let applied = state.apply_async().await;
        applied.map_err(|error| Fault::Failed(format!("{document}: {error}")))?;
        if arguments.json {
            println!("{}", json!({"document": document.to_string(), "done": true}));
        } else if !arguments.quiet {
            println!("{document}: applied");
        }
    }
    Ok(())
}

/// Everything that a document says, as nmstate has it.
fn whole(document: &Document, mut state: NetworkState) -> Result<NetworkState, Fault> {
    let invalid = |error: String| Fault::Input(format!("{document}: {error}"));
    let interfaces: Vec<Json> = document.state.ipsec.iter().map(interface).collect();
    let mut value = serde_yaml::to_value(json!({ "interfaces": interfaces }))
        .map_err(|error| invalid(error.to_string()))?;
    let further = Further::take(&mut value, Secrets::Stay);
    if let Some(refused) = further.refused() {
        return Err(invalid(refused));
    }
    for interface in value["interfaces"].as_sequence_mut().into_iter().flatten() {
        let interface = serde_yaml::from_value::<Interface>(std::mem::take(interface));
        state.append_interface_data(interface.map_err(|error| invalid(error.to_string()))?);
    }
    Ok(state)
}

/// An interface as upstream reads it.
fn interface(interface: &IpsecInterface) -> Json {
    let state = match interface.state {
        InterfaceState::Up => "up",
        InterfaceState::Down => "down",
        InterfaceState::Absent => "absent",
        InterfaceState::Ignore => "ignore",
    };
    let mut json = Map::new();
    json.insert("name".into(), interface.name.as_str().into());
    json.insert("type".into(), "ipsec".into());
    json.insert("state".into(), state.into());
    let value = |stack: &IpStack| stack.value.clone();
    let parts = [
        ("description", interface.description.as_deref().map(Json::from)),
        ("ipv4", interface.ipv4.as_ref().map(value)),
        ("ipv6", interface.ipv6.as_ref().map(value)),
        ("libreswan", interface.libreswan.as_ref().map(libreswan)),
    ];
    for (key, part) in parts {
        json.extend(part.map(|part| (key.to_owned(), part)));
    }
    json.extend(interface.rest.clone());
    Json::Object(json)
}

fn libreswan(connection: &Libreswan) -> Json {
    // The keys whose values are truth values to nmstate.
    const SWITCHES: [&str; 3] = [
        "nm-auto-defaults",
        "leftmodecfgclient",
        "require-id-on-certificate",
    ];
    let mut json = Map::new();
    for (key, word) in &connection.data {
        let value = match word.as_str() {
            "yes" | "no" if SWITCHES.contains(&key.as_str()) => Json::from(word == "yes"),
            word => Json::from(word),
        };
        json.insert(key.clone(), value);
    }
    for (key, secret) in [
        ("psk", &connection.psk),
        ("xauthpassword", &connection.xauth_password),
    ] {
        let secret = secret.as_ref().map(|secret| match secret {
            GivenSecret::Keep => Json::from(HIDDEN_BY_NMSTATE),
            GivenSecret::Set(secret) => Json::from(secret.expose()),
        });
        json.extend(secret.map(|secret| (key.to_owned(), secret)));
    }
    Json::Object(json)
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::*;
    use crate::document;

    fn whole_of(text: &str) -> Result<Value, Fault> {
        let documents = document::read_text_of(text, "test.yaml").unwrap();
        let state = whole(&documents[0], NetworkState::new())?;
        Ok(serde_yaml::to_value(state).unwrap())
    }

    const TEXT: &str = "interfaces: [{name: vpn, type: ipsec, ipv4: {enabled: true, dhcp: true}, libreswan: {right: \
                        192.0.2.252, leftmodecfgclient: no, psk: a secret, ikev2: insist, dpddelay: 30}}]";

    #[test]
    fn nmstate_gets_what_it_would_have_read() {
        let upstream: NetworkState = serde_yaml::from_str(&TEXT.replace("t: no", "t: false")).unwrap();
        assert_eq!(whole_of(TEXT).unwrap(), serde_yaml::to_value(upstream).unwrap());
    }

    #[test]
    fn further_keys_are_named() {
        let fault = whole_of(&TEXT.replace("dpddelay: 30", "pfs: no")).unwrap_err();
        let text = fault.to_string();
        assert!(
            text.starts_with("test.yaml: ") && text.contains("'vpn'") && text.contains("pfs"),
            "{text}"
        );
    }
}
