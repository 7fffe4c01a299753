//! Interfaces of a document as the daemon wants them.

use std::collections::HashMap;

use nmstate_ipsec_core::daemon_api::Declaration;

use crate::document::{Document, GivenSecret, InterfaceState, IpStack, IpsecInterface};

/// The declarations of a document; what is to be left alone is none.
pub(crate) fn of(document: &Document) -> Vec<Declaration> {
    let guard = document.guard.map(|is_guarded| is_guarded.to_string());
    let declared = document.state.ipsec.iter().filter_map(declaration);
    declared
        .map(|declared| Declaration {
            guard: guard.clone().unwrap_or_default(),
            ..declared
        })
        .collect()
}

fn declaration(interface: &IpsecInterface) -> Option<Declaration> {
    let state = match interface.state {
        InterfaceState::Up => "up",
        InterfaceState::Down => "down",
        InterfaceState::Absent => "absent",
        InterfaceState::Ignore => return None,
    };
    let mut declaration = Declaration {
        name: interface.name.clone(),
        state: state.to_owned(),
        ip4_method: method(interface.ipv4.as_ref()),
        ip6_method: method(interface.ipv6.as_ref()),
        ..Declaration::default()
    };
    if let Some(libreswan) = &interface.libreswan {
        declaration.data = libreswan.data.clone().into_iter().collect::<HashMap<_, _>>();
        for (key, secret) in [
            ("pskvalue", &libreswan.psk),
            ("xauthpassword", &libreswan.xauth_password),
        ] {
            match secret {
                Some(GivenSecret::Keep) => declaration.kept_secrets.push(key.to_owned()),
                Some(GivenSecret::Set(secret)) => {
                    declaration
                        .secrets
                        .insert(key.to_owned(), secret.expose().to_owned());
                }
                None => {}
            }
        }
    }
    Some(declaration)
}

/// NetworkManager's method: a VPN has its addresses from the tunnel or none.
fn method(stack: Option<&IpStack>) -> String {
    let method = match stack {
        None => "",
        Some(stack) if stack.is_automatic() => "auto",
        Some(_) => "disabled",
    };
    method.to_owned()
}
