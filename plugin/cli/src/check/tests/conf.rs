//! `tests/check-conf`: configurations, each with the findings that it must have in its first lines.

use std::{fs, path::Path};

use super::{
    super::{Checker, Options},
    CRATE,
    golden::short,
};
use crate::document::Source;

/// The pods' network in all of them.
const PODS: &str = "10.128.0.0/14";

/// Checks each file of a directory with such an end, by what it says itself, and tells how many there are.
fn golden(dir: &str, end: &str) -> usize {
    let described = fs::read_to_string(Path::new(CRATE).join("../../docs/check.md")).unwrap();
    let entries = fs::read_dir(Path::new(CRATE).join(dir)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|is| is == end))
        .collect();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let wanted: Vec<_> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
        let options = Options {
            pod_networks: vec![PODS.parse().unwrap()],
            certs: None,
        };
        let told = Checker::new(options).check(&Source::File(path.clone()));
        let mut lines: Vec<_> = told.iter().map(short).collect();
        if lines.is_empty() {
            lines.push("none".into());
        }
        assert_eq!(lines, wanted, "{path:?}: {told:#?}");
        for finding in &told {
            assert_eq!(Path::new(&finding.file), path);
            assert!(!finding.text.contains("sesame"), "{finding}");
            let row = format!("| `{}` |", finding.code);
            assert!(described.contains(&row), "docs/check.md lacks {}", finding.code);
        }
    }
    paths.len()
}

#[test]
fn configurations_have_the_findings_beside_them() {
    assert!(golden("tests/check-conf", "conf") >= 6);
}

#[test]
fn names_are_compared_with_the_certificates_beside_a_document() {
    assert!(golden("tests/check-certs", "yaml") >= 6);
}

/// The same document is told nothing where its certificates are not, and its findings wherever they are said to be.
#[test]
fn certificates_are_looked_for_where_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let certs = Path::new(CRATE).join("tests/check-certs");
    let path = dir.path().join("leftid.yaml");
    fs::copy(certs.join("leftid.yaml"), &path).unwrap();
    let source = Source::File(path);
    assert_eq!(Checker::default().check(&source), []);
    let told = Checker::new(Options {
        certs: Some(certs),
        ..Options::default()
    })
    .check(&source);
    assert_eq!(
        told[0].text,
        "the certificate 'protected' is not for this identity, but for host-a.example.org, a@example.org, 192.0.2.251: \
         authentication fails; write one of its names, '%fromcert', or have a certificate issued for this one"
    );
}

#[test]
fn a_finding_names_the_key_and_the_other_connection() {
    let path = Path::new(CRATE).join("tests/check-conf/same-traffic.conf");
    let told = Checker::default().check(&Source::File(path.clone()));
    let line = told
        .last()
        .unwrap()
        .to_string()
        .replace(&format!("{}", path.display()), "FILE");
    assert_eq!(
        line,
        "FILE:15:1: warning[same-traffic]: conn second: right: 'conn first' at FILE:9 has the same ends and the same \
         traffic: the kernel has one policy for it, and whichever connection is brought up last takes it from the other; \
         keep one of them, or give them different subnets"
    );
}

/// Connections interfere across files, and a key is told of where it stands.
#[test]
fn files_are_looked_at_together() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let keys = "\tleft=192.0.2.251\n\tright=192.0.2.252\n\trightid=@right\n\tikev2=insist\n\tauto=start\n\tauthby=secret\n";
    let included = write("included.conf", &format!("conn first\n{keys}\tesp=aes256-md5\n"));
    let whole = write("whole.conf", &format!("include {}\n", included.display()));
    let other = write("other.conf", &format!("conn second\n{keys}"));
    let mut checker = Checker::default();
    let codes = |told: &[super::super::Finding]| told.iter().map(|finding| finding.code).collect::<Vec<_>>();
    let told = checker.check(&Source::File(whole));
    assert!(codes(&told).contains(&"broken-algorithm"), "{told:?}");
    assert!(
        told.iter().all(|finding| Path::new(&finding.file) == included),
        "{told:?}"
    );
    let told = checker.check(&Source::File(other));
    assert!(codes(&told).contains(&"same-traffic"), "{told:?}");
    assert_eq!(checker.summary().documents, 2);
}
