//! Whether libreswan can use a bundle, for a database or for a host that is elsewhere.

use std::time::SystemTime;

use openssl::x509::X509;

use crate::{
    bundle::Bundle,
    error::Error,
    judge::{self, Authorities, Finding},
};

/// What is to be known of a bundle that is of use.
pub struct Fitness {
    /// The authorities that are to be trusted.
    pub trusted: Vec<X509>,
    /// What is to be said of the certificate; no errors.
    pub warnings: Vec<Finding>,
}

/// Judges a bundle. The `authorities` are trusted, or without any the bundle's own that are self-signed.
///
/// # Errors
/// The bundle is of no use at `now`.
pub fn fitness(bundle: &Bundle, authorities: &[X509], now: SystemTime) -> Result<Fitness, Error> {
    let trusted = if authorities.is_empty() {
        roots(&bundle.chain)
    } else {
        authorities.to_vec()
    };
    let known = Authorities {
        trusted: &trusted,
        between: &bundle.chain,
    };
    let (mut errors, mut warnings): (Vec<_>, Vec<_>) = judge::findings(&bundle.certificate, known, now)
        .into_iter()
        .partition(|finding| finding.is_error);
    for authority in authorities {
        errors.extend(judge::authority(authority));
        warnings.extend(judge::unneeded(&bundle.certificate, authority, known, now));
    }
    if errors.is_empty() {
        return Ok(Fitness { trusted, warnings });
    }
    Err(Error::Unfit {
        path: bundle.path.clone(),
        findings: errors,
    })
}

/// Those that are self-signed.
pub(crate) fn roots(certificates: &[X509]) -> Vec<X509> {
    let is_root = |certificate: &&X509| judge::is_same(certificate.subject_name(), certificate.issuer_name());
    certificates.iter().filter(is_root).cloned().collect()
}
