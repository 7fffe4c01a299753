use super::*;

fn shell(script: &str) -> Command {
    Command::new("sh", Duration::from_secs(20)).args(["-c", script])
}

#[tokio::test]
async fn output_and_status_are_kept() {
    let output = shell("cat; echo broken >&2; exit 3")
        .input("fed")
        .run()
        .await
        .unwrap();
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("fed", "broken\n")
    );
    let error = output.success().unwrap_err().to_string();
    assert!(error.contains("broken") && error.contains('3'), "{error}");
}

#[tokio::test]
async fn input_waits_for_its_gate_and_without_it_nothing_is_done() {
    let dir = std::env::temp_dir().join(format!("command-gate-{}", std::process::id()));
    let script = format!("cat > {}", dir.display());
    let refused = shell(&script)
        .input("fed")
        .run_after(async { Err("closed") })
        .await;
    assert_eq!(refused.unwrap_err(), "closed");
    assert_eq!(std::fs::read_to_string(&dir).unwrap_or_default(), "");
    let opened = shell(&script)
        .input("fed")
        .run_after(async { Ok::<_, &str>(()) })
        .await;
    assert!(opened.unwrap().unwrap().succeeded());
    assert_eq!(std::fs::read_to_string(&dir).unwrap(), "fed");
    std::fs::remove_file(dir).unwrap();
}

#[tokio::test]
async fn what_was_started_waits_for_its_input() {
    let started = shell("echo begun; cat").start();
    let output = started.run("fed").await.unwrap();
    assert_eq!(output.stdout, "begun\nfed");
    let error = Command::new("/nonexistent/whack", Duration::from_secs(1)).start();
    assert!(
        error
            .run("")
            .await
            .unwrap_err()
            .to_string()
            .contains("/nonexistent/whack")
    );
    let dir = std::env::temp_dir().join(format!("command-started-{}", std::process::id()));
    drop(shell(&format!("read line && echo >{}", dir.display())).start());
    assert!(!dir.exists());
}

#[tokio::test]
async fn nothing_of_our_environment_is_passed_on() {
    let output = shell("env").run().await.unwrap();
    let mut names: Vec<_> = output
        .stdout
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["LC_ALL", "PATH"]);
}

#[tokio::test]
async fn a_hanging_program_is_killed_and_its_words_are_kept() {
    let command = Command::new("sh", Duration::from_millis(300)).args(["-c", "echo first; exec sleep 60"]);
    let error = command.run().await.unwrap_err().to_string();
    assert!(error.contains("first") && error.contains("killed"), "{error}");
}

#[tokio::test]
async fn words_as_good_as_an_answer_hasten_the_end() {
    let command = shell("echo refused, trying again; exec sleep 60")
        .hasten(&["denied", "refused"], Duration::from_millis(50));
    let begun = Instant::now();
    assert!(
        matches!(command.run().await, Err(CommandError::TimedOut { said, .. }) if said.contains("refused"))
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn endless_output_keeps_its_end() {
    let endless = || shell("yes line | head -n 200000; echo last");
    let output = endless().run().await.unwrap();
    assert!(output.stdout.len() <= OUTPUT_LIMIT && output.stdout.ends_with("last\n"));
    let output = endless().keep(2_000_000).run().await.unwrap();
    assert_eq!(output.stdout.len(), 1_000_005);
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = Command::new("/nonexistent/whack", Duration::from_secs(1))
        .run()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/whack"));
}
