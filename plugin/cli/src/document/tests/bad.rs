//! `tests/bad`: documents, each with the faults that it must be refused with in its first lines (`#! line:column: ...`).

use std::{fs, path::Path, time::Instant};

use super::{CRATE, faults};

#[test]
fn bad_documents_are_refused_with_what_is_wrong() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(CRATE).join("tests/bad")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let is_wanted = |line: &&str| line.starts_with("#! ");
        let wanted: Vec<_> = text
            .lines()
            .take_while(is_wanted)
            .map(|line| &line[3..])
            .collect();
        assert!(!wanted.is_empty(), "{path:?}");
        let told = faults(&text);
        let told: Vec<_> = told
            .iter()
            .map(|fault| fault.strip_prefix("test.yaml:").unwrap())
            .collect();
        assert_eq!(told, wanted, "{path:?}");
        assert!(!told.concat().contains("sesame"), "{path:?}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn what_grows_without_end_is_refused_soon() {
    let start = Instant::now();
    let mut laughs = String::from("a0: &a0 [lol, lol]\n");
    let mut long = format!("a0: &a0 [{}]\n", "x".repeat(1024 * 1024));
    for level in 1..40 {
        let line = format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}]\n", level - 1);
        laughs.push_str(&line);
        long.push_str(&line);
    }
    let too_many = "is larger than 1000000 values or 32 MB with its aliases replaced";
    assert!(faults(&laughs)[0].contains(too_many));
    assert!(faults(&long)[0].contains(too_many));
    let keys = long.replacen("[x", "{x", 1).replacen("x]", "x: y}", 1);
    assert!(faults(&keys)[0].contains(too_many));
    let too_deep = "is nested more than 64 levels deep";
    for deep in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "a: {".repeat(100_000),
        "? ".repeat(100_000),
    ] {
        let fault = &faults(&deep)[0];
        assert!(
            fault.contains(too_deep) || fault.contains("is not YAML") || fault.contains("a key must be"),
            "{fault}"
        );
    }
    let mut tower = String::from("a0: &a0 [x]\n");
    for level in 1..70 {
        tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(faults(&tower)[0].contains(too_deep));
    let many = "[a]: b\n".repeat(10);
    assert!(faults(&many)[0].contains("a key must be a text"));
    let wrong = format!("interfaces:\n{}", "- x\n".repeat(100_000));
    assert_eq!(faults(&wrong).len(), 51);
    assert!(start.elapsed().as_secs() < 30);
}
