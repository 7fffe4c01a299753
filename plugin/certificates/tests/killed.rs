//! An import is killed for good (SIGKILL), with all that it had begun; the next one tidies up.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

use common::{Nss, Pair, Request, Saboteur, authority, fingerprint, import_file, issue, pkcs12};
use nmstate_ipsec_certificates::{Database, Tools, name, remove};

const VARIABLES: [&str; 3] = ["KILLED_DATABASE", "KILLED_TOOLS", "KILLED_BUNDLE"];

/// Not a test but what is killed: an import in a process of its own, where the variables say so.
#[tokio::test]
async fn an_import_in_a_process_of_its_own() {
    let [Some(dir), Some(tools), Some(bundle)] = VARIABLES.map(|name| env::var_os(name).map(PathBuf::from))
    else {
        return;
    };
    let tools = Tools {
        certutil: tools.join("certutil"),
        pk12util: tools.join("pk12util"),
    };
    let database = Database::new(Some(&dir), tools).unwrap();
    if env::var_os("KILLED_REMOVES").is_some() {
        let nickname = name::parse("left").unwrap();
        remove(&database, &nickname, false, false).await.unwrap();
    } else {
        import_file(&database, &bundle, None, &[]).await.unwrap();
    }
}

/// Runs that with programs of NSS that kill it.
fn killed(nss: &Nss, bundle: &Path, sabotage: &str, removes: bool) {
    let saboteur = Saboteur::new(sabotage);
    let tools = saboteur.tools();
    let values = [
        nss.dir(),
        tools.certutil.parent().unwrap().to_owned(),
        bundle.to_owned(),
    ];
    let mut import = Command::new(env::current_exe().unwrap());
    import
        .args(["--exact", "an_import_in_a_process_of_its_own"])
        .envs(VARIABLES.into_iter().zip(values));
    if removes {
        import.env("KILLED_REMOVES", "1");
    }
    let ended = import.output().unwrap();
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
}

struct Scene {
    nss: Nss,
    ca: Pair,
}

impl Scene {
    /// A database with a certificate and with a key that is somebody else's and has none.
    async fn new() -> Self {
        let scene = Self {
            nss: Nss::new(),
            ca: authority("Test CA", None),
        };
        let noise = scene.nss.file("noise", &[7; 64]);
        let noise = noise.to_str().unwrap();
        scene.nss.run(
            "certutil",
            &["-G", "-k", "ec", "-q", "nistp256", "-z", noise, "-f", "/dev/null"],
        );
        let (path, _) = scene.bundle("left");
        import_file(&scene.nss.database(), &path, None, &[])
            .await
            .unwrap();
        assert_eq!(scene.nss.state().keys.len(), 2);
        scene
    }

    fn bundle(&self, name: &str) -> (PathBuf, Pair) {
        let pair = issue(&self.ca, &Request::new(name));
        let bundle = pkcs12(&pair, &[&self.ca], "");
        (self.nss.file(&format!("{name}.p12"), &bundle), pair)
    }
}

/// Instead of a key with its certificate the certificate alone goes, as when certutil is killed between the two.
const KEY_STAYS: &str = "sed 's/^-F/-D/' | $tool \"$@\"; kill -9 $PPID; exit 9";

#[tokio::test]
async fn the_old_key_of_a_renewal_goes_at_last() {
    let scene = Scene::new().await;
    let (path, renewed) = scene.bundle("left");
    killed(
        &scene.nss,
        &path,
        &format!("[ $n = 4 ] && {{ {KEY_STAYS}; }}"),
        false,
    );
    let state = scene.nss.state();
    assert_eq!(
        (state.trust("left"), state.keys.len()),
        (vec!["u,u,u".to_owned()], 3)
    );
    // The same bundle, which has nothing else to do.
    import_file(&scene.nss.database(), &path, None, &[])
        .await
        .unwrap();
    let state = scene.nss.state();
    assert_eq!(
        (state.trust("left"), state.keys.len()),
        (vec!["u,u,u".to_owned()], 2)
    );
    assert_eq!(
        scene.nss.certificates("left"),
        [fingerprint(&renewed.certificate)]
    );
    let counter = Saboteur::new("");
    import_file(&scene.nss.with(counter.tools()), &path, None, &[])
        .await
        .unwrap();
    assert_eq!(counter.calls(), 1, "it is looked for once");
}

#[tokio::test]
async fn a_new_key_without_its_certificate_goes_with_the_next_import() {
    let scene = Scene::new().await;
    let (path, _) = scene.bundle("other");
    let dir = scene.nss.dir();
    let without = format!("certutil -D -n other -d sql:{}", dir.display());
    let sabotage = format!("[ $n = 3 ] && {{ $tool \"$@\"; {without}; kill -9 $PPID; exit 9; }}");
    killed(&scene.nss, &path, &sabotage, false);
    assert_eq!(scene.nss.state().keys.len(), 3);
    let (path, _) = scene.bundle("right");
    import_file(&scene.nss.database(), &path, None, &[])
        .await
        .unwrap();
    let state = scene.nss.state();
    assert_eq!(
        (state.trust("right").len(), state.keys.len()),
        (1, 3),
        "{state:?}"
    );
    let known: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(known.is_empty(), "{known:?}");
}

#[tokio::test]
async fn the_key_of_a_certificate_that_was_removed_goes_with_the_next_import() {
    let scene = Scene::new().await;
    let (path, _) = scene.bundle("right");
    killed(
        &scene.nss,
        &path,
        &format!("[ $n = 3 ] && {{ {KEY_STAYS}; }}"),
        true,
    );
    let state = scene.nss.state();
    assert_eq!((state.trust("left").len(), state.keys.len()), (0, 2));
    import_file(&scene.nss.database(), &path, None, &[])
        .await
        .unwrap();
    let state = scene.nss.state();
    assert_eq!(
        (state.trust("right").len(), state.keys.len()),
        (1, 2),
        "{state:?}"
    );
}
