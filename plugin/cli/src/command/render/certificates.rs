//! Bundles and authorities as they were given, judged here and made into what a node gets.

use std::{cmp::Ordering, path::Path, time::SystemTime};

use nmstate_ipsec_certificates::{
    Error,
    bundle::{Bundle, MAX_CERTIFICATES, X509, is_pem, read_authorities},
    description::Description,
    fitness, name,
    request::Files,
};
use nmstate_ipsec_core::{connection::Nickname, secret::Secret};
use zeroize::Zeroizing;

use super::{MachineConfig, script};
use crate::command::Fault;

const NO_AUTHORITY: &str = "there is no authority to trust peers by; give its certificate with --ca";

/// What the nodes get.
pub(super) struct Certificates {
    pub(super) certificates: Vec<Certificate>,
    /// Those to trust, in PEM.
    pub(super) authorities: Vec<u8>,
    /// What is to be said of them.
    pub(super) warnings: Vec<String>,
}

/// A certificate with its key.
pub(super) struct Certificate {
    pub(super) nickname: Nickname,
    pub(super) pkcs12: Zeroizing<Vec<u8>>,
    /// Nothing if it has none.
    pub(super) password: Option<Secret>,
}

/// A bundle that has been judged.
struct Judged {
    nickname: Nickname,
    files: Files,
    bundle: Bundle,
}

/// Reads and judges everything that was given.
///
/// # Errors
/// The first thing that is of no use.
pub(super) fn read(arguments: &MachineConfig) -> Result<Certificates, Fault> {
    are_for_one(arguments)?;
    let mut given = Vec::new();
    for path in &arguments.ca {
        given.extend(read_authorities(path)?);
    }
    let (mut judged, mut authorities, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for path in &arguments.bundles {
        let (one, trusted) = judge(path, &given, arguments, &mut warnings)?;
        differs(&one, &judged)?;
        judged.push(one);
        authorities.extend(trusted);
    }
    let authorities = pem(&authorities, &judged)?;
    let certificates = judged
        .iter()
        .map(|one| certificate(one, arguments.script, &mut warnings))
        .collect::<Result<_, _>>()?;
    Ok(Certificates {
        certificates,
        authorities,
        warnings,
    })
}

/// Refuses what can be meant for one bundle only where there are several.
fn are_for_one(arguments: &MachineConfig) -> Result<(), Fault> {
    let is_stdin = arguments.password_file.as_deref() == Some(Path::new("-"));
    let given = [
        ("--nickname", arguments.nickname.is_some()),
        ("--key", arguments.key.is_some()),
        ("the password on standard input", is_stdin),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((what, _)) if arguments.bundles.len() > 1 => Err(Fault::Input(format!(
            "{what} is for one bundle, and {} are given; call the files by their nicknames, with passwords in files beside them",
            arguments.bundles.len()
        ))),
        _ => Ok(()),
    }
}

/// Opens a bundle and judges it; says also which authorities are to be trusted for its sake.
fn judge(
    path: &Path,
    given: &[X509],
    arguments: &MachineConfig,
    warnings: &mut Vec<String>,
) -> Result<(Judged, Vec<X509>), Fault> {
    let files = Files::read(
        path,
        arguments.nickname.as_deref(),
        arguments.key.as_deref(),
        &[],
        arguments.password_file.as_deref(),
    )?;
    let nickname = name::parse(&files.nickname)?;
    let obstacle = match arguments.script {
        true if script::is_authority(&nickname) => Some("the script calls authorities so"),
        false if nickname.as_str().starts_with('.') => Some("the nodes pass over hidden files"),
        _ => None,
    };
    if let Some(obstacle) = obstacle {
        return Err(Fault::Input(format!(
            "{}: '{nickname}' cannot be the nickname: {obstacle}; give another with --nickname",
            path.display()
        )));
    }
    let bundle = Bundle::read(&files.bundle, files.key.as_ref(), &files.password)?;
    let fit = fitness(&bundle, given, SystemTime::now()).map_err(|error| match error {
        Error::Unfit { path, findings } => {
            let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Fault::Input(format!("{}: not rendered: {}", path.display(), texts.join("; ")))
        }
        other => other.into(),
    })?;
    let mut trusted = fit.trusted;
    trusted.retain(|authority| *authority != bundle.certificate);
    if trusted.is_empty() {
        return Err(Fault::Input(format!(
            "{}: not rendered: {NO_AUTHORITY}",
            path.display()
        )));
    }
    warnings.extend(
        fit.warnings
            .iter()
            .map(|warning| format!("{nickname}: {warning}")),
    );
    let judged = Judged {
        nickname,
        files,
        bundle,
    };
    Ok((judged, trusted))
}

/// Makes sure that one database can hold a certificate and those `before`.
fn differs(one: &Judged, before: &[Judged]) -> Result<(), Fault> {
    let path = one.bundle.path.display();
    if let Some(other) = before.iter().find(|other| other.nickname == one.nickname) {
        return Err(Fault::Input(format!(
            "{path} and {} would both have the nickname '{}'; call one of the files otherwise",
            other.bundle.path.display(),
            one.nickname
        )));
    }
    let subject = one.bundle.certificate.subject_name();
    let is_same = |other: &&Judged| {
        let other = other.bundle.certificate.subject_name();
        subject.try_cmp(other).is_ok_and(Ordering::is_eq)
    };
    match before.iter().find(is_same) {
        Some(other) => Err(Fault::Input(format!(
            "{path} and {} have one subject, '{}', and NSS keeps one nickname for a subject; leave one of them out",
            other.bundle.path.display(),
            Description::of(&one.bundle.certificate).subject
        ))),
        None => Ok(()),
    }
}

/// What a node gets of a bundle: its very bytes, if what imports it there can use them.
fn certificate(judged: &Judged, script: bool, warnings: &mut Vec<String>) -> Result<Certificate, Fault> {
    let Judged {
        nickname,
        files,
        bundle,
    } = judged;
    let password = &files.password.secret;
    if script && !password.is_empty() {
        warnings.push(format!(
            "{nickname}: the script knows no passwords, so that the bundle goes without its own: the cluster's access rights alone protect the private key in the MachineConfig"
        ));
    }
    // The script has no say in the nickname, which pk12util takes from the bundle.
    let is_for_script =
        || password.is_empty() && bundle.friendly_name() == Some(nickname.as_str().as_bytes());
    let is_usable = !is_pem(&files.bundle) && (!script || is_for_script());
    let password = (!script && !password.is_empty()).then(|| password.clone());
    let pkcs12 = if is_usable {
        files.bundle.content.clone()
    } else {
        warnings.push(format!(
            "{nickname}: made into PKCS#12 anew, with other bytes each time, so that the nodes are updated each time; render a file that 'nmstate-ipsec cert bundle' has made to avoid that"
        ));
        let word = password.as_ref().map_or("", Secret::expose);
        Zeroizing::new(bundle.to_pkcs12(nickname.as_str(), word, true)?)
    };
    Ok(Certificate {
        nickname: nickname.clone(),
        pkcs12,
        password,
    })
}

/// The authorities, each once, without certificates that come with their keys.
fn pem(authorities: &[X509], judged: &[Judged]) -> Result<Vec<u8>, Fault> {
    let mut written: Vec<&X509> = Vec::new();
    let mut pem = Vec::new();
    for authority in authorities {
        let is_own = judged.iter().any(|one| one.bundle.certificate == *authority);
        if is_own || written.contains(&authority) {
            continue;
        }
        let block = authority.to_pem();
        pem.extend(block.map_err(|error| Fault::failed("failed to write an authority in PEM", error))?);
        written.push(authority);
    }
    if written.len() > MAX_CERTIFICATES {
        return Err(Fault::Input(format!(
            "{} authorities are given, and a node reads no more than {MAX_CERTIFICATES} of one file; give those that issued the certificates",
            written.len()
        )));
    }
    if pem.is_empty() {
        return Err(Fault::Input(NO_AUTHORITY.to_owned()));
    }
    Ok(pem)
}
