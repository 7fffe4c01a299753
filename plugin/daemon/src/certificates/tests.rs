use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_change_is_read_from_an_answer() {
    let answer = |action: &str, dry_run: bool| {
        format!(
            r#"{{"database":"/nss","answer":{{"imported":{{"nickname":"left","action":"{action}","dry-run":{dry_run}}}}}}}"#
        )
    };
    assert_eq!(
        Certificates::changed_by(&answer("replaced", false)).as_deref(),
        Some("left")
    );
    for (action, dry_run) in [("unchanged", false), ("mended", false), ("replaced", true)] {
        assert_eq!(Certificates::changed_by(&answer(action, dry_run)), None);
    }
    let other = r#"{"database":"/nss","answer":{"removed":{"nickname":"left","authorities":[]}}}"#;
    assert_eq!(Certificates::changed_by(other), None);
    assert_eq!(Certificates::changed_by("no answer"), None);
}

/// A program that lists one certificate once the FIFO beside it is read and written to.
fn slow(dir: &Path, answer: &str) -> Certificates {
    let program = dir.join("program");
    let script = format!(
        "#!/bin/sh\necho run >>{0}/runs\nread line <{0}/fifo\necho '{answer}'\n",
        dir.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.join("fifo"))
        .status();
    assert!(made.unwrap().success());
    Certificates {
        program,
        patience: Duration::from_millis(50),
        ..Certificates::default()
    }
}

#[tokio::test]
async fn a_list_that_takes_long_is_there_for_whoever_looks_next() {
    let dir = tempfile::tempdir().unwrap();
    let listed =
        r#"{"database":"/nss","answer":{"listed":[{"nickname":"left","not-before":1,"not-after":2}]}}"#;
    let refused = r#"{"database":"/nss","answer":{"refused":{"code":"locked","text":"locked"}}}"#;
    for (number, answer) in [listed, refused].into_iter().enumerate() {
        let dir = dir.path().join(number.to_string());
        fs::create_dir(&dir).unwrap();
        let (certificates, stamp) = (slow(&dir, answer), (1, 2, 3, 4));
        for _ in 0..2 {
            assert_eq!(certificates.validity_in(stamp, "left").await, None);
        }
        let fifo = dir.join("fifo");
        let written = tokio::task::spawn_blocking(move || fs::write(fifo, "go\n"));
        written.await.unwrap().unwrap();
        // Until the list is there, which nobody has waited for.
        drop(certificates.listing.lock().await);
        let found = certificates.validity_in(stamp, "left").await;
        assert_eq!(
            found.map(|validity| validity.not_after),
            (number == 0).then_some(2)
        );
        assert_eq!(fs::read_to_string(dir.join("runs")).unwrap(), "run\n");
        // A failure is forgotten after a while.
        let failed = locked(&certificates.known).failed;
        assert_eq!(failed.is_some(), number == 1);
        let long_ago = failed.and_then(|failed| failed.checked_sub(RESPITE * 2));
        locked(&certificates.known).failed = long_ago;
        assert_eq!(
            remembered(&certificates.known, stamp, "left").is_some(),
            number == 0
        );
    }
}

#[test]
fn only_what_is_valid_now_is_without_fault() {
    let now = seconds();
    let validity = |from: i64, until: i64| Validity {
        not_before: now + from * DAY,
        not_after: now + until * DAY,
    };
    assert_eq!(validity(-1, 1).fault("left"), None);
    let expired = validity(-9, -2).fault("left").unwrap().to_string();
    assert!(expired.contains("'left' expired 2 days ago"), "{expired}");
    let early = validity(3, 9).fault("left").unwrap().to_string();
    assert!(early.contains("valid in"), "{early}");
    assert!(validity(-1, 29).warning().is_some() && validity(-1, 31).warning().is_none());
}
