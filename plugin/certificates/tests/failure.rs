//! NSS's programs fail at every step, in every way: before, after and in the middle of what they do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
    DAY, Nss, Pair, Request, Saboteur, State, authority, fingerprint, import_file, issue, p256, pkcs12,
};
use nmstate_ipsec_certificates::{Error, name};

/// A database, and what comes next.
struct Scene {
    nss: Nss,
    old: Option<Pair>,
    new: Pair,
    path: std::path::PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    New,
    SameSubject,
    SameSubjectAndKey,
    BackToOlder,
    OtherSubject,
    OtherSubjectSameKey,
    NewAuthority,
}

const KINDS: [Kind; 7] = [
    Kind::New,
    Kind::SameSubject,
    Kind::SameSubjectAndKey,
    Kind::BackToOlder,
    Kind::OtherSubject,
    Kind::OtherSubjectSameKey,
    Kind::NewAuthority,
];

/// A look, the rest of what is there, pk12util, another look where something is to go, certutil.
fn calls(kind: Kind) -> usize {
    if matches!(kind, Kind::New) { 4 } else { 5 }
}

async fn scene(kind: Kind) -> Scene {
    let (nss, ca, key) = (Nss::new(), authority("Test CA", None), p256());
    // Something that has nothing to do with it, and must stay.
    let bystander = nss.file(
        "bystander.p12",
        &pkcs12(&issue(&ca, &Request::new("bystander")), &[&ca], ""),
    );
    import_file(&nss.database(), &bystander, None, &[]).await.unwrap();
    let request = Request::new("left").key(&key).valid(-5 * DAY, 100 * DAY);
    let old = (!matches!(kind, Kind::New)).then(|| issue(&ca, &request));
    if let Some(old) = &old {
        let path = nss.file("left.p12", &pkcs12(old, &[&ca], ""));
        import_file(&nss.database(), &path, None, &[]).await.unwrap();
    }
    let (mut issuer, mut wanted) = (ca, Request::new("left"));
    match kind {
        Kind::New | Kind::SameSubject => {}
        Kind::SameSubjectAndKey => wanted = wanted.key(&key),
        Kind::BackToOlder => wanted = wanted.key(&key).valid(-9 * DAY, 90 * DAY),
        Kind::OtherSubject => wanted = Request::new("renamed"),
        Kind::OtherSubjectSameKey => wanted = Request::new("renamed").key(&key),
        Kind::NewAuthority => issuer = authority("New CA", None),
    }
    let new = issue(&issuer, &wanted);
    let path = nss.file("left.p12", &pkcs12(&new, &[&issuer], ""));
    Scene { nss, old, new, path }
}

impl Scene {
    fn copy(&self) -> Self {
        Self {
            nss: self.nss.copy(),
            old: self.old.clone(),
            new: self.new.clone(),
            path: self.path.clone(),
        }
    }

    /// What failed is tried again, and works.
    async fn succeed(&self, before: &State, context: &str) {
        let done = import_file(&self.nss.database(), &self.path, None, &[]).await;
        assert!(done.is_ok(), "{context}: {done:?}");
        self.check(before, context);
    }

    /// What it must be like in the end.
    fn check(&self, before: &State, context: &str) {
        let state = self.nss.state();
        assert_eq!(state.trust("left"), ["u,u,u"], "{context}: {state:?}");
        assert_eq!(
            self.nss.certificates("left"),
            [fingerprint(&self.new.certificate)],
            "{context}: {state:?}"
        );
        assert_eq!(state.keys.len(), 2, "{context}: {state:?}");
        assert!(
            !state
                .lines
                .iter()
                .any(|line| line.contains("(next)") || line.contains("(previous)")),
            "{context}: {state:?}"
        );
        let bystanders = |state: &State| -> Vec<String> {
            state
                .lines
                .iter()
                .filter(|line| line.starts_with("bystander") || line.starts_with("Test CA"))
                .cloned()
                .collect()
        };
        assert_eq!(bystanders(&state), bystanders(before), "{context}");
    }

    /// The nickname stands for the old certificate or the new one, with its key.
    fn check_usable(&self, context: &str) {
        let mut names = vec!["left".to_owned()];
        let nickname = name::parse("left").unwrap();
        names.extend(["next", "previous"].map(|which| format!("{nickname} ({which})")));
        let Some(old) = &self.old else { return };
        let state = self.nss.state();
        let known = [&old.certificate, &self.new.certificate].map(fingerprint);
        let is_there = known.iter().any(|digits| state.certificates.contains(digits));
        let has_key = names
            .iter()
            .any(|name| state.trust(name).iter().any(|trust| trust == "u,u,u"));
        assert!(is_there && has_key, "{context}: {state:?}");
    }
}

#[tokio::test]
async fn every_kind_of_replacement_works() {
    for kind in KINDS {
        let scene = scene(kind).await;
        let before = scene.nss.state();
        let counter = Saboteur::new("");
        import_file(&scene.nss.with(counter.tools()), &scene.path, None, &[])
            .await
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        scene.check(&before, &format!("{kind:?}"));
        assert_eq!(counter.calls(), calls(kind), "{kind:?}");
    }
}

/// One program fails once: in the end everything is as it was, or the new one has its place.
async fn one_failure(kind: Kind) {
    let last = calls(kind);
    // Before it does anything; the first two only look.
    let mut sabotages: Vec<String> = (1..=last)
        .map(|call| format!("[ $n = {call} ] && {{ echo sabotage >&2; exit 9; }}"))
        .collect();
    // When it has done everything.
    for call in [3, last] {
        sabotages.push(format!(
            "[ $n = {call} ] && {{ $tool \"$@\"; echo sabotage >&2; exit 9; }}"
        ));
    }
    // In the middle.
    for lines in 1..=5 {
        sabotages.push(format!(
            "[ $n = {last} ] && {{ head -n {lines} | $tool \"$@\"; echo sabotage >&2; exit 9; }}"
        ));
    }
    // It says that all is well, and has done nothing.
    sabotages.push("[ $n = 3 ] && exit 0".to_owned());
    let original = scene(kind).await;
    let before = original.nss.state();
    for sabotage in sabotages {
        let context = format!("{kind:?}: {sabotage}");
        let scene = original.copy();
        let saboteur = Saboteur::new(&sabotage);
        match import_file(&scene.nss.with(saboteur.tools()), &scene.path, None, &[]).await {
            Ok(_) => scene.check(&before, &context),
            Err(error) => {
                assert_eq!(scene.nss.state(), before, "{context}: {error}");
                assert!(!error.is_input(), "{context}: {error}");
                if let Error::Change { remains, .. } = &error {
                    assert!(remains.is_empty(), "{context}: {error}");
                }
            }
        }
        scene.succeed(&before, &context).await;
    }
}

/// From one point on nothing works any more, undoing neither, as after a kill: nothing is lost, and the next import tidies up.
async fn nothing_more(kind: Kind) {
    let last = calls(kind);
    let mut sabotages = vec!["[ $n = 3 ] && { $tool \"$@\"; exit 9; }; [ $n -gt 3 ] && exit 9".to_owned()];
    for lines in 1..=6 {
        sabotages.push(format!(
            "[ $n = {last} ] && {{ head -n {lines} | $tool \"$@\"; exit 9; }}; [ $n -gt {last} ] && exit 9"
        ));
    }
    let original = scene(kind).await;
    let before = original.nss.state();
    for sabotage in sabotages {
        let context = format!("{kind:?}: {sabotage}");
        let scene = original.copy();
        let saboteur = Saboteur::new(&sabotage);
        let error = import_file(&scene.nss.with(saboteur.tools()), &scene.path, None, &[]).await;
        assert!(error.is_err(), "{context}");
        scene.check_usable(&context);
        scene.succeed(&before, &context).await;
    }
}

macro_rules! for_each_kind {
    ($($name:ident: $kind:expr;)*) => {
        mod one_failure_is_undone {
            $(#[tokio::test]
            async fn $name() {
                super::one_failure($kind).await;
            })*
            use super::Kind;
        }
        mod a_kill_loses_nothing {
            $(#[tokio::test]
            async fn $name() {
                super::nothing_more($kind).await;
            })*
            use super::Kind;
        }
    };
}

for_each_kind! {
    new: Kind::New;
    same_subject: Kind::SameSubject;
    same_subject_and_key: Kind::SameSubjectAndKey;
    back_to_older: Kind::BackToOlder;
    other_subject: Kind::OtherSubject;
    other_subject_same_key: Kind::OtherSubjectSameKey;
    new_authority: Kind::NewAuthority;
}
