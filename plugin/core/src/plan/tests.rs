use super::*;
use crate::networkmanager::value;

fn declaration(name: &str, state: &str) -> Declaration {
    let data = [("left", "192.0.2.1"), ("right", "192.0.2.2"), ("ikev2", "insist")];
    Declaration {
        name: name.into(),
        state: state.into(),
        data: data.map(|(key, value)| (key.into(), value.into())).into(),
        secrets: [("pskvalue".into(), "open sesame".into())].into(),
        ..Declaration::default()
    }
}

/// What NetworkManager has of a connection that was created from `declaration`.
fn stored(declaration: &Declaration, uuid: &str, is_active: bool) -> Stored {
    let mut settings = merge(fresh(declaration, uuid), declaration);
    // It has more keys than anybody asked for.
    insert(
        settings.entry("connection".into()).or_default(),
        "timestamp",
        Value::from(7_u64),
    );
    Stored { settings, is_active }
}

const UUID: &str = "0bad0bad-0000-4000-8000-000000000001";

fn planned(declarations: &[Declaration], stored: &[Stored]) -> Result<Vec<Step>, PlanError> {
    plan(declarations, stored, || UUID.into())
}

fn actions(declarations: &[Declaration], stored: &[Stored]) -> Vec<Action> {
    planned(declarations, stored)
        .unwrap()
        .iter()
        .map(|step| step.action)
        .collect()
}

#[test]
fn a_new_connection_is_created_with_what_was_declared() {
    let mut declaration = declaration("a", "up");
    declaration.ip4_method = "auto".into();
    let steps = planned(&[declaration], &[]).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!((steps[0].action, steps[0].uuid.as_str()), (Action::Create, UUID));
    let after = steps[0].after.as_ref().unwrap();
    assert_eq!(text(after, "connection", "id"), "a");
    assert_eq!(
        (text(after, "ipv4", "method"), text(after, "ipv6", "method")),
        ("auto", "disabled")
    );
    assert_eq!(secret(after, "pskvalue").as_deref(), Some("open sesame"));
}

#[test]
fn what_is_as_declared_is_kept() {
    let wanted = declaration("a", "up");
    assert_eq!(
        actions(std::slice::from_ref(&wanted), &[stored(&wanted, UUID, true)]),
        [Action::Keep]
    );
    assert_eq!(
        actions(std::slice::from_ref(&wanted), &[stored(&wanted, UUID, false)]),
        [Action::Activate]
    );
}

#[test]
fn a_changed_key_or_secret_modifies_and_keeps_the_rest() {
    let before = declaration("a", "up");
    for change in [
        |wanted: &mut Declaration| drop(wanted.data.insert("type".into(), "transport".into())),
        |wanted: &mut Declaration| drop(wanted.data.remove("left")),
        |wanted: &mut Declaration| drop(wanted.secrets.insert("pskvalue".into(), "another".into())),
        |wanted: &mut Declaration| wanted.ip4_method = "auto".into(),
    ] {
        let mut wanted = before.clone();
        change(&mut wanted);
        let steps = planned(&[wanted], &[stored(&before, UUID, true)]).unwrap();
        assert_eq!(steps[0].action, Action::Modify);
        let after = steps[0].after.as_ref().unwrap();
        assert!(value(after, "connection", "timestamp").is_some());
        assert_eq!(text(after, "connection", "uuid"), UUID);
    }
}

#[test]
fn a_guard_that_is_declared_is_stored_and_the_connection_stays_up() {
    let before = declaration("a", "up");
    let with = |guard: &str| Declaration {
        guard: guard.into(),
        ..before.clone()
    };
    let steps = planned(&[with("true")], &[stored(&before, UUID, true)]).unwrap();
    assert_eq!(steps[0].action, Action::Store);
    let told: Vec<_> = steps[0].changes().iter().map(told).collect();
    assert_eq!(told, ["user.data.nmstate-ipsec.guard added '' 'true' false"]);
    // By itself, by the same document, and by one that does not speak of it, it does not go.
    for same in ["true", ""] {
        let again = actions(&[with(same)], &[stored(&with("true"), UUID, true)]);
        assert_eq!(again, [Action::Keep], "{same:?}");
    }
    let off = planned(&[with("false")], &[stored(&with("true"), UUID, true)]).unwrap();
    assert_eq!(off[0].action, Action::Store);
    assert_eq!(off[0].after.as_ref().unwrap().get("user").map(drop), None);
    let mut another = with("true");
    another.data.insert("type".into(), "transport".into());
    assert_eq!(
        actions(&[another], &[stored(&before, UUID, true)]),
        [Action::Modify]
    );
}

#[test]
fn a_hidden_secret_stays() {
    let before = declaration("a", "up");
    let mut wanted = before.clone();
    wanted.secrets.clear();
    wanted.kept_secrets = vec!["pskvalue".into()];
    assert_eq!(actions(&[wanted], &[stored(&before, UUID, true)]), [Action::Keep]);
}

#[test]
fn a_name_alone_brings_the_profile_up_as_it_is() {
    let (before, name) = (
        declaration("a", "up"),
        Declaration {
            name: "a".into(),
            state: "up".into(),
            ..Declaration::default()
        },
    );
    assert_eq!(
        actions(std::slice::from_ref(&name), &[stored(&before, UUID, false)]),
        [Action::Activate]
    );
    assert!(matches!(planned(&[name], &[]), Err(PlanError::Undefined { .. })));
}

#[test]
fn duplicates_go_and_the_active_one_stays() {
    let wanted = declaration("a", "up");
    let known = [stored(&wanted, "one", false), stored(&wanted, UUID, true)];
    let steps = planned(std::slice::from_ref(&wanted), &known).unwrap();
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.action, step.uuid.as_str()))
        .collect();
    assert_eq!(told, [(Action::Remove, "one"), (Action::Keep, UUID)]);
    assert_eq!(
        actions(&[declaration("a", "absent")], &known),
        [Action::Remove, Action::Remove]
    );
    assert_eq!(
        actions(&[declaration("a", "down")], &known),
        [Action::TakeDown, Action::TakeDown]
    );
}

#[test]
fn what_is_taken_down_stays_down_until_it_is_to_be_up() {
    let (up, down) = (declaration("a", "up"), declaration("a", "down"));
    let before = stored(&up, UUID, true);
    let steps = planned(std::slice::from_ref(&down), &[before]).unwrap();
    let settings = steps.into_iter().next().unwrap().after.unwrap();
    assert!(!is_autoconnect(&settings));
    let stays = || Stored {
        settings: copy(&settings),
        is_active: false,
    };
    assert_eq!(actions(&[down], &[stays()]), []);
    let steps = planned(&[up], &[stays()]).unwrap();
    assert_eq!(steps[0].action, Action::Modify);
    assert!(is_autoconnect(steps[0].after.as_ref().unwrap()));
    let changes = steps[0].changes();
    assert!(is_same_tunnel(&settings, steps[0].after.as_ref().unwrap()));
    assert_eq!(
        (changes[0].key.as_str(), changes[0].before.as_str()),
        ("connection.autoconnect", "false")
    );
}

#[test]
fn what_is_not_the_hosts_own_libreswan_profile_is_not_touched() {
    let wanted = declaration("a", "up");
    let mut of_a_user = stored(&wanted, UUID, false);
    let permissions = Value::from(vec!["user:joe:"]);
    insert(
        of_a_user.settings.get_mut("connection").unwrap(),
        "permissions",
        permissions,
    );
    assert!(matches!(
        planned(std::slice::from_ref(&wanted), &[of_a_user]),
        Err(PlanError::Private { .. })
    ));

    let mut of_another_service = stored(&wanted, "one", true);
    let service = Value::from("org.freedesktop.NetworkManager.openvpn");
    insert(
        of_another_service.settings.get_mut("vpn").unwrap(),
        "service-type",
        service,
    );
    assert_eq!(actions(&[wanted], &[of_another_service]), [Action::Create]);
}

#[test]
fn faults_are_found_before_anything_is_planned() {
    let mut wrong = declaration("a", "up");
    wrong.data.insert("right".into(), "not an address".into());
    assert!(matches!(planned(&[wrong], &[]), Err(PlanError::Invalid { .. })));
    assert!(matches!(
        planned(&[declaration("a", "sideways")], &[]),
        Err(PlanError::State { .. })
    ));
    let twice = [declaration("a", "up"), declaration("a", "absent")];
    assert!(matches!(planned(&twice, &[]), Err(PlanError::Twice { .. })));
}

#[test]
fn changes_have_both_values_unless_they_may_be_secret() {
    let mut before = declaration("a", "up");
    before.data.insert("dpddelay".into(), "30".into());
    before.data.insert("psk".into(), "misplaced sesame".into());
    let mut wanted = declaration("a", "up");
    wanted.data.insert("right".into(), "192.0.2.9".into());
    wanted.data.insert("type".into(), "transport".into());
    wanted.secrets.insert("pskvalue".into(), "another sesame".into());
    wanted.ip4_method = "auto".into();
    let steps = planned(&[wanted], &[stored(&before, UUID, true)]).unwrap();
    let told: Vec<_> = steps[0].changes().iter().map(told).collect();
    assert_eq!(
        told,
        [
            "ipv4.method changed 'disabled' 'auto' false",
            "vpn.data.dpddelay removed '30' '' false",
            "vpn.data.psk removed '' '' true",
            "vpn.data.right changed '192.0.2.2' '192.0.2.9' false",
            "vpn.data.type added '' 'transport' false",
            "vpn.secrets.pskvalue changed '' '' true",
        ]
    );
    assert!(!format!("{:?}", steps[0].changes()).contains("sesame"));
}

#[test]
fn of_what_comes_or_goes_only_what_was_declared_is_told() {
    let wanted = declaration("a", "up");
    let keys = |steps: Vec<Step>| -> Vec<String> { steps[0].changes().iter().map(told).collect() };
    assert_eq!(
        keys(planned(std::slice::from_ref(&wanted), &[]).unwrap()),
        [
            "ipv4.method added '' 'disabled' false",
            "ipv6.method added '' 'disabled' false",
            "vpn.data.ikev2 added '' 'insist' false",
            "vpn.data.left added '' '192.0.2.1' false",
            "vpn.data.right added '' '192.0.2.2' false",
            "vpn.secrets.pskvalue added '' '' true",
        ]
    );
    let gone = planned(&[declaration("a", "absent")], &[stored(&wanted, UUID, true)]).unwrap();
    assert!(keys(gone).contains(&"vpn.data.right removed '192.0.2.2' '' false".to_owned()));
    let kept = planned(std::slice::from_ref(&wanted), &[stored(&wanted, UUID, true)]).unwrap();
    assert!(keys(kept).is_empty());
}

fn told(change: &Change) -> String {
    format!(
        "{} {} '{}' '{}' {}",
        change.key, change.kind, change.before, change.after, change.is_hidden
    )
}
