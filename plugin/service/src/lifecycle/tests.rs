use super::*;
use State::{Asking, Init, Shutdown, Started, Starting, Stopped, Stopping};
use nmstate_ipsec_core::profile::SecretKey;

fn after(state: State, event: Event) -> (State, String) {
    let (state, effects) = step(state, event).unwrap();
    let names = effects.iter().map(|effect| match effect {
        Effect::Configure(_) => "Configure".to_owned(),
        Effect::Update(_) => "Update".to_owned(),
        Effect::Ask(question) => format!("Ask({})", question.message),
        other => format!("{other:?}"),
    });
    (state, names.collect::<Vec<_>>().join(" "))
}

fn configured() -> Event {
    Event::Configured(Box::default())
}

fn question() -> Option<Question> {
    Some(Question {
        message: "key?".into(),
        secrets: vec![SecretKey::Psk],
    })
}

fn refused_secret() -> Event {
    Event::Failed(PluginFailure::LoginFailed, question())
}

/// Takes `state` through the events of `table` and compares what follows.
fn lives(mut state: State, table: Vec<(Event, State, &str)>) {
    for (event, expected, effects) in table {
        let told = format!("{event:?}");
        let (next, performed) = after(state, event);
        assert_eq!((next, performed.as_str()), (expected, effects), "{told}");
        state = next;
    }
}

#[test]
fn a_life_without_trouble() {
    lives(
        Init,
        vec![
            (Event::Connect, Starting(0), "Announce(Starting) Activate"),
            (configured(), Started, "Configure Announce(Started)"),
            (Event::Disconnect, Stopping, "Announce(Stopping)"),
            (Event::Disconnected, Stopped, "Announce(Stopped)"),
            (Event::Idle, Shutdown, "Announce(Shutdown)"),
        ],
    );
}

#[test]
fn a_loss_is_told_and_the_configuration_sent_again() {
    lives(
        Started,
        vec![
            (Event::Lost, Starting(0), "Announce(Starting)"),
            (Event::Lost, Starting(0), "Announce(Started) Announce(Starting)"),
            (configured(), Started, "Configure Announce(Started)"),
            (configured(), Started, "Update"),
        ],
    );
}

#[test]
fn a_failure_is_told_before_the_stop() {
    let failed = Event::Failed(PluginFailure::ConnectFailed, None);
    assert_eq!(
        after(Starting(QUESTIONS), failed),
        (Stopped, "Fail(ConnectFailed) Announce(Stopped)".into())
    );
}

#[test]
fn a_missing_secret_is_asked_for_first_and_a_refused_one_again() {
    lives(
        Init,
        vec![
            (
                Event::ConnectInteractive(question()),
                Asking(2),
                "Announce(Starting) Ask(key?)",
            ),
            (Event::NewSecrets(None), Starting(2), "Activate"),
            (refused_secret(), Asking(1), "Ask(key?)"),
            (Event::NewSecrets(None), Starting(1), "Activate"),
            (configured(), Started, "Configure Announce(Started)"),
        ],
    );
}

#[test]
fn secrets_that_are_there_are_used_before_anybody_is_asked() {
    assert_eq!(
        after(Init, Event::ConnectInteractive(None)),
        (Starting(QUESTIONS), "Announce(Starting) Activate".into())
    );
}

#[test]
fn the_questions_have_an_end() {
    let failure = "Fail(LoginFailed) Announce(Stopped)";
    assert_eq!(after(Starting(0), refused_secret()), (Stopped, failure.into()));
    // Whoever answers without the secret is asked again, too, and not for ever.
    lives(
        Asking(1),
        vec![
            (Event::NewSecrets(question()), Asking(0), "Ask(key?)"),
            (Event::NewSecrets(question()), Stopped, failure),
        ],
    );
}

#[test]
fn what_is_not_interactive_asks_nobody() {
    let (state, _) = after(Init, Event::Connect);
    assert_eq!(after(state, refused_secret()).0, Stopped);
    assert_eq!(after(Started, refused_secret()).0, Stopped);
    let (lost, _) = after(Started, Event::Lost);
    assert_eq!(after(lost, refused_secret()).0, Stopped);
}

#[test]
fn a_question_can_be_left_unanswered() {
    assert_eq!(
        after(Asking(1), Event::Disconnect),
        (Stopped, "Announce(Stopping) Announce(Stopped)".into())
    );
    assert_eq!(
        after(Asking(1), Event::CallerGone),
        (Shutdown, "Announce(Shutdown)".into())
    );
    assert_eq!(after(Asking(1), Event::Idle), (Asking(1), String::new()));
}

#[test]
fn late_news_changes_nothing() {
    assert_eq!(after(Stopping, configured()), (Stopping, String::new()));
    assert_eq!(after(Stopped, Event::Lost), (Stopped, String::new()));
    assert_eq!(after(Started, Event::Idle), (Started, String::new()));
    assert_eq!(after(Asking(1), configured()), (Asking(1), String::new()));
    assert_eq!(after(Asking(1), refused_secret()), (Asking(1), String::new()));
}

#[test]
fn calls_out_of_turn_get_the_specifications_errors() {
    let error = |state, event| format!("{:?}", step(state, event).unwrap_err());
    assert!(error(Starting(0), Event::Connect).starts_with("StartingInProgress"));
    assert!(error(Asking(0), Event::ConnectInteractive(None)).starts_with("StartingInProgress"));
    assert!(error(Started, Event::Connect).starts_with("AlreadyStarted"));
    assert!(error(Stopping, Event::Connect).starts_with("StoppingInProgress"));
    assert!(error(Stopping, Event::Disconnect).starts_with("StoppingInProgress"));
    assert!(error(Init, Event::Disconnect).starts_with("AlreadyStopped"));
    assert!(error(Shutdown, Event::Connect).starts_with("WrongState"));
    assert!(error(Starting(1), Event::NewSecrets(None)).starts_with("WrongState"));
}
