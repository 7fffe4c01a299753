//! Any document is read or refused, each fault in one line; and what is read, the daemon accepts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nmstate_ipsec::document;
use nmstate_ipsec_core::connection::Connection;

fuzz_target!(|input: &[u8]| {
    let (documents, faults) = document::read_bytes(input);
    assert!(
        !documents.is_empty() || !faults.is_empty(),
        "neither read nor refused"
    );
    for fault in faults {
        let line = fault.to_string();
        assert!(!line.chars().any(char::is_control), "no line: {line:?}");
    }
    let interfaces = documents.iter().flat_map(|document| &document.state.ipsec);
    for libreswan in interfaces.filter_map(|interface| interface.libreswan.as_ref()) {
        let data = libreswan.data.clone().into_iter().collect();
        if let (false, Err(fault)) = (libreswan.is_template, Connection::from_data(&data)) {
            panic!("accepted, and no connection: {fault}");
        }
    }
});
