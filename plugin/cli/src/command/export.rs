//! `nmstate-ipsec export`: interfaces of a document as sections of ipsec.conf.

use super::Fault;
use crate::{
    args::Export,
    document::{self, Document, Source},
    ipsec_conf,
};

pub(super) fn run(arguments: &Export) -> Result<(), Fault> {
    let source = Source::from_argument(arguments.file.as_os_str());
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
        let file = arguments.file.display();
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
