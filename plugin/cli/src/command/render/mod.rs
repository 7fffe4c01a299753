//! `nmstate-ipsec render`: what brings certificates to the nodes of a cluster.

mod args;
mod certificates;
mod disruption;
mod machine_config;
mod name;
mod payload;
mod script;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use nmstate_ipsec_certificates::write_new;
use zeroize::Zeroizing;

pub use args::{MachineConfig, Render, RenderCommand};
pub use name::{InvalidName, ObjectName, PoolName};

use super::Fault;

/// What stands in front of the policy.
const POLICY: &str = "\
---
# A part of the cluster's one MachineConfiguration. What else that has must stay: with --server-side, 'oc apply' adds these
# entries to its lists; without, it replaces the lists.
";

/// Runs the command.
///
/// # Errors
/// It did not do what it was asked to; nothing was written.
pub(super) fn run(arguments: &Render) -> Result<ExitCode, Fault> {
    match &arguments.command {
        RenderCommand::MachineConfig(arguments) => machine_config(arguments).map(|()| ExitCode::SUCCESS),
    }
}

fn machine_config(arguments: &MachineConfig) -> Result<(), Fault> {
    let mut certificates = certificates::read(arguments)?;
    let warnings = std::mem::take(&mut certificates.warnings);
    let (payload, purpose) = if arguments.script {
        (payload::with_script(certificates), "import-certs")
    } else {
        (payload::for_package(certificates), "ipsec-certificates")
    };
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| arguments.role.object(purpose));
    let machine_config = machine_config::of(&name, &arguments.role, &payload);
    let policy = (!arguments.no_disruption_policy).then(|| disruption::of(&payload));
    let text = if arguments.json {
        json(&machine_config, policy.as_ref())
    } else {
        yaml(&name, &machine_config, policy.as_ref())
    };
    write(arguments, &text?)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// One object, or both in a List: a stream of JSON objects is nothing that programs expect.
fn json(
    machine_config: &machine_config::MachineConfig<'_>,
    policy: Option<&disruption::MachineConfiguration<'_>>,
) -> Result<Zeroizing<String>, Fault> {
    let failed = |error| Fault::failed("failed to write JSON", error);
    let object = Zeroizing::new(serde_json::to_string(machine_config).map_err(failed)?);
    let text = match policy {
        Some(policy) => format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{},{}]}}\n",
            *object,
            serde_json::to_string(policy).map_err(failed)?
        ),
        None => format!("{}\n", *object),
    };
    Ok(Zeroizing::new(text))
}

fn yaml(
    name: &ObjectName,
    machine_config: &machine_config::MachineConfig<'_>,
    policy: Option<&disruption::MachineConfiguration<'_>>,
) -> Result<Zeroizing<String>, Fault> {
    let failed = |error| Fault::failed("failed to write YAML", error);
    let document = Zeroizing::new(serde_yaml::to_string(machine_config).map_err(failed)?);
    let policy = match policy {
        Some(policy) => format!("{POLICY}{}", serde_yaml::to_string(policy).map_err(failed)?),
        None => String::new(),
    };
    Ok(Zeroizing::new(format!(
        "# Made by 'nmstate-ipsec render machine-config'. It holds private keys: whoever may read it has them.\n\
         # Apply it with 'oc apply --server-side --field-manager {name} -f', which keeps no second copy in an annotation.\n\
         {}{policy}",
        *document
    )))
}

fn write(arguments: &MachineConfig, text: &str) -> Result<(), Fault> {
    if let Some(path) = &arguments.output {
        return Ok(write_new(text.as_bytes(), path)?);
    }
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        eprintln!("warning: what follows holds private keys; write it into a file with --output");
    }
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Fault::failed("failed to write to standard output", error))
}

#[cfg(test)]
mod tests {
    use nmstate_ipsec_core::secret::Secret;

    use super::{
        certificates::{Certificate, Certificates},
        *,
    };

    const EXPECTED: &str = include_str!("../../../tests/render/package.yaml");

    #[test]
    fn it_is_written_as_people_write_it() {
        let certificate = |nickname: &str, password: Option<&str>| Certificate {
            nickname: nickname.parse().unwrap(),
            pkcs12: Zeroizing::new(nickname.as_bytes().to_vec()),
            password: password.map(|text| Secret::new(text.to_owned())),
        };
        let payload = payload::for_package(Certificates {
            certificates: vec![
                certificate("left_server", Some("sesame")),
                certificate("[no] #1", None),
            ],
            authorities: b"PEM\n".to_vec(),
            warnings: Vec::new(),
        });
        let pool: PoolName = "worker".parse().unwrap();
        let name = pool.object("ipsec-certificates");
        let written = yaml(
            &name,
            &machine_config::of(&name, &pool, &payload),
            Some(&disruption::of(&payload)),
        );
        assert_eq!(*written.unwrap(), EXPECTED);
    }
}
