//! `tests/check`: documents, each with the findings that it must have in its first lines
//! (`#! line:column severity[code]`, or `#! none`).

use std::{fs, path::Path};

use super::{super::Finding, CRATE, findings};

pub(super) fn short(finding: &Finding) -> String {
    let place = finding.location.map_or_else(String::new, |location| {
        format!("{}:{} ", location.line, location.column)
    });
    format!("{place}{}[{}]", finding.severity.name(), finding.code)
}

#[test]
fn documents_have_the_findings_beside_them() {
    let described = fs::read_to_string(Path::new(CRATE).join("../../docs/check.md")).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(Path::new(CRATE).join("tests/check")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let wanted: Vec<_> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
        assert!(!wanted.is_empty(), "{path:?}");
        let told = findings(&text);
        let mut lines: Vec<_> = told.iter().map(short).collect();
        if lines.is_empty() {
            lines.push("none".into());
        }
        assert_eq!(lines, wanted, "{path:?}");
        for finding in &told {
            let line = finding.to_string();
            assert!(!line.contains("sesame"), "{line}");
            assert!(line.starts_with("test.yaml:"), "{line}");
            let row = format!("| `{}` |", finding.code);
            assert!(described.contains(&row), "docs/check.md lacks {}", finding.code);
        }
        count += 1;
    }
    assert!(count >= 40, "{count}");
}

#[test]
fn a_finding_says_what_why_and_a_way_out() {
    let text = fs::read_to_string(Path::new(CRATE).join("tests/check/fight-removal.yaml")).unwrap();
    let lines: Vec<_> = findings(&text).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "test.yaml:30:7: error[interface-fight]: spec.desiredState.interfaces[0]: the ipsec interface 'c' is declared \
             differently at test.yaml:11, for hosts that both documents are for: whichever is applied last wins; keep one \
             of them, rename one, or give their nodeSelectors different values of one label"
        ]
    );
}

/// A fault in one document hides nothing of those beside it, however many faults there are.
#[test]
fn a_document_with_more_faults_than_are_told_is_not_taken_for_a_good_one() {
    let wrong = "- {name: c, type: ipsec, libreswan: {right: 192.0.2.2, ike: aes-md5, leftt: x}}\n";
    let text = format!("interfaces:\n{}", wrong.repeat(60));
    let text = format!(
        "{text}---\n{text}---\ninterfaces:\n{}",
        wrong.replace(", leftt: x", "")
    );
    let told = findings(&text);
    assert!(told.iter().any(|finding| finding.code == "more-faults"));
    let of_good = told.iter().filter(|finding| finding.code == "broken-algorithm");
    assert_eq!(of_good.count(), 1);
}
