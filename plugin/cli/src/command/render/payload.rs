//! What a node gets: files and units, each with what is to be done on the node when it has changed. Pure.

use zeroize::Zeroizing;

use super::{certificates::Certificates, script};

/// Where a node has bundles and authorities.
const CERTS_DIR: &str = "/etc/pki/certs";

/// Mode of what root alone may read.
const PRIVATE: u32 = 0o400;

/// Mode of what root alone may run, as documented.
const EXECUTABLE: u32 = 0o740;

/// Our package's unit that imports what is in [`CERTS_DIR`], before ipsec.service.
const IMPORT_UNIT: &str = "nmstate-ipsec-certificates.service";

/// Our package's unit that starts it whenever a file there changes.
const WATCH_UNIT: &str = "nmstate-ipsec-certificates.path";

/// The documented unit, on nodes without our package.
const SCRIPT_UNIT: &str = "ipsec-import.service";

/// What a node gets.
pub(super) struct Payload {
    pub(super) files: Vec<File>,
    pub(super) units: Vec<Unit>,
}

/// A file on the node.
pub(super) struct File {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) contents: Zeroizing<Vec<u8>>,
    pub(super) on_change: Vec<Action>,
}

/// A unit that is enabled on the node.
pub(super) struct Unit {
    pub(super) name: &'static str,
    /// Nothing if the node has it already.
    pub(super) contents: Option<String>,
    pub(super) on_change: Vec<Action>,
}

/// What is done on a node in place of a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    None,
    DaemonReload,
    Restart(&'static str),
}

impl File {
    fn private(name: &str, contents: Zeroizing<Vec<u8>>, on_change: Action) -> Self {
        Self {
            path: format!("{CERTS_DIR}/{name}"),
            mode: PRIVATE,
            contents,
            on_change: vec![on_change],
        }
    }
}

fn authorities(pem: Vec<u8>, on_change: Action) -> File {
    File::private("ca.pem", Zeroizing::new(pem), on_change)
}

/// For nodes with our package, whose units find the files by their names.
pub(super) fn for_package(certificates: Certificates) -> Payload {
    let import = Action::Restart(IMPORT_UNIT);
    let mut files = vec![authorities(certificates.authorities, import)];
    for certificate in certificates.certificates {
        let nickname = certificate.nickname;
        if let Some(password) = certificate.password {
            let password = Zeroizing::new(password.expose().as_bytes().to_vec());
            // A bundle changes along with its password, and one import is enough for both.
            files.push(File::private(
                &format!("{nickname}_password"),
                password,
                Action::None,
            ));
        }
        files.push(File::private(
            &format!("{nickname}.p12"),
            certificate.pkcs12,
            import,
        ));
    }
    // What enables a unit does not start it.
    let enabled = |name| Unit {
        name,
        contents: None,
        on_change: vec![Action::Restart(name)],
    };
    Payload {
        files,
        units: vec![enabled(WATCH_UNIT), enabled(IMPORT_UNIT)],
    }
}

/// For nodes without our package: the documented files.
pub(super) fn with_script(certificates: Certificates) -> Payload {
    let import = Action::Restart(SCRIPT_UNIT);
    let script = script::importing(
        certificates
            .certificates
            .iter()
            .map(|certificate| &certificate.nickname),
    );
    let mut files = vec![authorities(certificates.authorities, import)];
    for certificate in certificates.certificates {
        let name = format!("{}.p12", certificate.nickname);
        files.push(File::private(&name, certificate.pkcs12, import));
    }
    files.push(File {
        path: script::PATH.to_owned(),
        mode: EXECUTABLE,
        contents: Zeroizing::new(script.into_bytes()),
        on_change: vec![import],
    });
    Payload {
        files,
        units: vec![Unit {
            name: SCRIPT_UNIT,
            contents: Some(script::UNIT.to_owned()),
            on_change: vec![Action::DaemonReload, import],
        }],
    }
}
