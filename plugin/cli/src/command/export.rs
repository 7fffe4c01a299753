//! `nmstate-ipsec export`: a profile of this host, or interfaces of a document, as sections of ipsec.conf.

use nmstate_ipsec_core::{networkmanager::text, profile::shown};

use super::Fault;
use crate::{
    args::Export,
    document::{self, Document, Source},
    ipsec_conf, profiles,
};

pub(super) async fn run(arguments: &Export) -> Result<(), Fault> {
    if let Some(name) = profile_name(arguments) {
        return profile(name).await;
    }
    let source = Source::from_argument(arguments.source.as_os_str());
    let documents = document::read(&[source]).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::Input(lines.join("\n"))
    })?;
    let mut sections = Vec::new();
    let mut remarks = Vec::new();
    for document in &documents {
        export(document, arguments, &mut sections, &mut remarks)?;
    }
    if sections.is_empty() {
        let file = arguments.source.display();
        let what = arguments
            .name
            .as_ref()
            .map(|name| format!(" '{name}'"))
            .unwrap_or_default();
        return Err(Fault::Input(format!(
            "{file}: holds no interface{what} of type 'ipsec'"
        )));
    }
    for remark in remarks {
        eprintln!("{remark}");
    }
    print!("{}", sections.join("\n"));
    Ok(())
}

/// The name of a profile, if that is meant: a name alone that is no file's.
fn profile_name(arguments: &Export) -> Option<&str> {
    let name = arguments.source.to_str()?;
    let is_file = name == "-" || name.contains('/') || arguments.source.symlink_metadata().is_ok();
    (arguments.name.is_none() && !is_file).then_some(name)
}

/// Writes the section of a profile that NetworkManager has.
async fn profile(name: &str) -> Result<(), Fault> {
    let asked = async { profiles::named(&zbus::Connection::system().await?, name).await };
    let shown = shown(name);
    let found = asked
        .await
        .map_err(|error| Fault::failed("failed to ask NetworkManager for its profiles", error))?;
    match found.as_slice() {
        [settings] => {
            let interface = profiles::interface(settings);
            let section = ipsec_conf::section(&interface)
                .map_err(|error| Fault::Input(format!("the profile '{shown}': {error}")))?;
            print!("{section}");
            Ok(())
        }
        [] => Err(Fault::Input(format!(
            "'{shown}' is neither a file nor a profile of libreswan's; see 'nmcli connection show'"
        ))),
        several => {
            let uuids: Vec<&str> = several
                .iter()
                .map(|settings| text(settings, "connection", "uuid"))
                .collect();
            Err(Fault::Input(format!(
                "there are several profiles called '{shown}': {}; delete or rename all but one",
                uuids.join(", ")
            )))
        }
    }
}

fn export(
    document: &Document,
    arguments: &Export,
    sections: &mut Vec<String>,
    remarks: &mut Vec<String>,
) -> Result<(), Fault> {
    let file = &document.origin.file;
    let is_wanted = |name: &str| arguments.name.as_deref().is_none_or(|wanted| wanted == name);
    for interface in document
        .state
        .ipsec
        .iter()
        .filter(|interface| is_wanted(&interface.name))
    {
        let place = format!("{file}:{}: {}", interface.location.line, interface.path);
        let section = ipsec_conf::section(interface)
            .map_err(|error| Fault::Input(format!("{place}: '{}' {error}", interface.name)))?;
        sections.push(section);
        let left_out = ipsec_conf::left_out(interface);
        remarks.extend(
            left_out
                .iter()
                .map(|key| format!("{place}.{key}: has no place in ipsec.conf; left out")),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_profiles_unless_there_is_such_a_file() {
        let is_profile = |source: &str, name: Option<&str>| {
            let arguments = Export {
                source: source.into(),
                name: name.map(ToOwned::to_owned),
            };
            profile_name(&arguments).is_some()
        };
        assert!(is_profile("hosta_conn", None));
        assert!(!is_profile("Cargo.toml", None));
        assert!(!is_profile("-", None));
        assert!(!is_profile("./nowhere.yaml", None));
        assert!(!is_profile("nowhere.yaml", Some("hosta_conn")));
    }
}
