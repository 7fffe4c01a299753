//! Whatever is checked: no panic, one line a finding, no secret in it.

use std::fs;

use proptest::prelude::*;

use super::{CRATE, findings};

/// The documents of `tests/check`.
fn documents() -> Vec<String> {
    let directory = fs::read_dir(format!("{CRATE}/tests/check")).unwrap();
    let mut paths: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

fn check(text: &str) -> Result<(), TestCaseError> {
    for finding in findings(text) {
        let line = finding.to_string();
        prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        prop_assert!(!line.contains("sesame"), "{line:?}");
        prop_assert!(!finding.code.is_empty() && !finding.text.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn texts_never_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \n\ta1<~\\\\.ä]{0,64}") {
        check(&text)?;
    }

    #[test]
    fn values_never_panic(
        key in prop::sample::select(nmstate_ipsec_core::connection::key_names().collect::<Vec<_>>()),
        value in "[a-z0-9%@_,;+/.:{}-]{0,24}",
        other in "(0\\.0\\.0\\.0/[01]|::/0|10\\.[0-9]{1,2}\\.0\\.0/[0-9]{1,2})(,[0-9]\\.0\\.0\\.0/[0-9])?",
    ) {
        check(&format!(
            "interfaces:\n- name: c\n  type: ipsec\n  libreswan: {{right: 192.0.2.2, rightsubnet: '{other}', {key}: '{value}'}}\n"
        ))?;
    }

    #[test]
    fn damaged_documents_never_panic_and_never_tell_a_secret(
        cuts in prop::collection::vec(
            (any::<[prop::sample::Index; 2]>(), 0_usize..8, "[-?:,{}&*!|>'\" \n\ta<]{0,4}"),
            1..4,
        ),
    ) {
        let mut texts = documents();
        for ([which, place], length, new) in cuts {
            let which = which.index(texts.len());
            let text = &mut texts[which];
            let start = place.index(text.len());
            let end = (start + length).min(text.len());
            let secret = text.find("sesame").map(|at| at..at + "sesame".len());
            // A secret that is cut in two is another secret.
            let spares = secret.is_none_or(|secret| end <= secret.start || start >= secret.end);
            if spares && text.is_char_boundary(start) && text.is_char_boundary(end) {
                text.replace_range(start..end, &new);
            }
        }
        check(&texts.join("---\n"))?;
    }
}
