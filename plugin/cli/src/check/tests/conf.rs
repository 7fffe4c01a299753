//! `tests/check-conf`: configurations, each with the findings that it must have in its first lines.

use std::{fs, path::Path};

use super::{super::Checker, CRATE, golden::short};
use crate::document::Source;

/// The pods' network in all of them.
const PODS: &str = "10.128.0.0/14";

#[test]
fn configurations_have_the_findings_beside_them() {
    let described = fs::read_to_string(Path::new(CRATE).join("../../docs/check.md")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(Path::new(CRATE).join("tests/check-conf")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let wanted: Vec<_> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
        let told = Checker::with_pod_networks(vec![PODS.parse().unwrap()]).check(&Source::File(path.clone()));
        let mut lines: Vec<_> = told.iter().map(short).collect();
        if lines.is_empty() {
            lines.push("none".into());
        }
        assert_eq!(lines, wanted, "{path:?}: {told:#?}");
        for finding in &told {
            assert_eq!(Path::new(&finding.file), path);
            let row = format!("| `{}` |", finding.code);
            assert!(described.contains(&row), "docs/check.md lacks {}", finding.code);
        }
        count += 1;
    }
    assert!(count >= 6, "{count}");
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
