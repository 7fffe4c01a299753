//! The policies that this project ships, with their placeholders filled in.

use std::{fs, path::Path};

use super::{super::Severity, CRATE, findings};

/// A document with an address in place of each placeholder, which is a good name too.
fn filled_in(text: &str) -> String {
    let mut filled = text.to_owned();
    while let Some((start, end)) = filled.find('<').zip(filled.find('>')) {
        let is_own = filled[start..end].contains("node");
        filled.replace_range(start..=end, if is_own { "192.0.2.1" } else { "192.0.2.2" });
    }
    filled
}

#[test]
fn examples_have_no_finding_worse_than_an_info() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(CRATE).join("../../policy-examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = filled_in(&fs::read_to_string(&path).unwrap());
        let worst = findings(&text).into_iter().max_by_key(|finding| finding.severity);
        assert!(
            worst
                .as_ref()
                .is_none_or(|finding| finding.severity == Severity::Info),
            "{path:?}: {worst:?}"
        );
        count += 1;
    }
    assert!(count >= 13, "{count}");
}
