//! Keys and values that others who read the same document or profile do not know: all of them infos, since who is not
//! there need not know them.

use nmstate_ipsec_core::connection::{Connection, Selectors};

use super::{Finding, Severity, subject::Subject};
use crate::document::{Form, Given, IpsecInterface};

/// The keys of `libreswan` that nmstate 2.2.62 has as texts.
const UPSTREAM_TEXTS: &[&str] = &[
    "authby",
    "clientaddrfamily",
    "dpdaction",
    "esp",
    "hostaddrfamily",
    "ike",
    "ikelifetime",
    "ikev2",
    "left",
    "leftcert",
    "leftid",
    "leftprotoport",
    "leftrsasigkey",
    "leftsendcert",
    "leftsubnet",
    "leftsubnets",
    "psk",
    "right",
    "rightca",
    "rightcert",
    "rightid",
    "rightprotoport",
    "rightrsasigkey",
    "rightsubnet",
    "rightsubnets",
    "salifetime",
    "type",
];
/// Those that it has as truth values.
const UPSTREAM_TRUTHS: &[&str] = &[
    "leftmodecfgclient",
    "nm-auto-defaults",
    "require-id-on-certificate",
];
/// Those that it has as numbers, which may be in quotes.
const UPSTREAM_NUMBERS: &[&str] = &["dpddelay", "dpdtimeout"];

/// Keys that this project has and NetworkManager-libreswan, the plugin written in C, has not.
const NOT_IN_C: &[&str] = &[
    "enable-tcp",
    "encapsulation",
    "keyingtries",
    "leftauth",
    "leftsourceip",
    "mark",
    "mtu",
    "nic-offload",
    "priority",
    "replay-window",
    "retransmit-timeout",
    "rightauth",
];

/// Notes nmstate's keys of an interface that do nothing for one of IPsec.
pub(super) fn ignored_keys(file: &str, interface: &IpsecInterface, findings: &mut Vec<Finding>) {
    for key in interface.rest.keys() {
        let way_out = match key.as_str() {
            "mtu" => "write it under 'libreswan'",
            _ => "leave it out",
        };
        findings.push(Finding {
            code: "ignored-key",
            severity: Severity::Info,
            file: file.to_owned(),
            location: interface.given.get(key).map(|given| given.at),
            path: format!("{}.{key}", interface.path),
            text: format!("'{key}' does nothing for an interface of type ipsec; {way_out}"),
        });
    }
}

/// Notes the keys that upstream nmstate or the C plugin refuses.
pub(super) fn keys(subject: &mut Subject<'_>) {
    let interface = subject.interface;
    for (key, given) in &interface.given {
        let Some(key) = key.strip_prefix("libreswan.") else {
            continue;
        };
        // A null is no value, for this reader and for upstream's.
        if given.form == Form::Other {
            continue;
        }
        let value = subject.libreswan.data.get(key).map_or("", String::as_str);
        // An expression over captures is replaced before anybody looks at the value.
        let is_expression = value.contains("{{");
        if let Some((code, text)) = upstream(key, *given, value)
            && !(is_expression && code == "upstream-refused-value")
        {
            subject.inform(code, key, text);
        }
        if NOT_IN_C.contains(&key) {
            subject.inform(
                "c-plugin-unknown-key",
                key,
                format!(
                    "NetworkManager-libreswan, the plugin written in C, refuses the key '{key}'; leave it out where that plugin serves a host of this document"
                ),
            );
        }
    }
}

/// What upstream refuses a key for: code and text.
fn upstream(key: &str, given: Given, value: &str) -> Option<(&'static str, String)> {
    let is_number = |max: u64| value.parse::<u64>().is_ok_and(|number| number <= max);
    let wanted = if UPSTREAM_TEXTS.contains(&key) {
        (given.form != Form::Text).then_some("a text: put it in quotes")
    } else if UPSTREAM_TRUTHS.contains(&key) {
        (given.form != Form::Truth).then_some("true or false, without quotes")
    } else if UPSTREAM_NUMBERS.contains(&key) {
        (!is_number(u64::MAX)).then_some("a number of seconds without unit")
    } else if key == "ipsec-interface" {
        let is_known = match given.form {
            Form::Text => matches!(value, "yes" | "no") || is_number(u32::MAX.into()),
            Form::Number => true,
            Form::Truth | Form::Other => false,
        };
        (!is_known).then_some("\"yes\" or \"no\" in quotes, or a number")
    } else {
        let text = format!(
            "upstream nmstate 2.2.62 refuses the key '{key}'; leave it out where upstream's nmstatectl or handler reads this document too"
        );
        return Some(("upstream-unknown-key", text));
    };
    let text = format!(
        "upstream nmstate 2.2.62 refuses this value of '{key}' and wants {}, where its nmstatectl or handler reads this document too",
        wanted?
    );
    Some(("upstream-refused-value", text))
}

/// Notes what one version of libreswan does not know.
pub(super) fn libreswan(subject: &mut Subject<'_>, connection: &Connection) {
    let is_several = |selectors: &Option<Selectors>| {
        let selectors = selectors.as_ref();
        selectors.is_some_and(|selectors| !selectors.is_simple())
    };
    let several = "libreswan 4 knows one subnet without protocol here, and the connection fails on a host that has it; write 'leftsubnets' and 'rightsubnets', or a connection for each, if it is to run there";
    if is_several(&connection.leftsubnet) {
        subject.inform("libreswan-version", "leftsubnet", several);
    }
    if is_several(&connection.rightsubnet) {
        subject.inform("libreswan-version", "rightsubnet", several);
    }
    if connection
        .nic_offload
        .is_some_and(|offload| offload.to_string() == "packet")
    {
        subject.inform(
            "libreswan-version",
            "nic-offload",
            "libreswan 4 cannot leave all of ESP to the network card, and the connection fails on a host that has it; write 'crypto' if it is to run there",
        );
    }
    if connection.dpdaction.is_some() {
        subject.inform(
            "libreswan-version",
            "dpdaction",
            "libreswan 5 has no 'dpdaction' and always negotiates again; leave it out where libreswan 5 runs",
        );
    }
}
