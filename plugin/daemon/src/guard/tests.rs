//! Rules as recorded in tests/golden/guard, and guards in a network namespace of their own, where there can be one.

use std::{
    collections::HashMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nmstate_ipsec_core::{
    contract::PLUGIN_NAME,
    guard,
    profile::Settings,
    render::{LeftEnd, RightEnd},
};
use zbus::zvariant::Value;

use super::*;

const UUID: &str = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11";
const OTHER: &str = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a12";

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

/// A guarded profile with this `vpn.data`.
fn profile(uuid: &str, data: &[(&str, &str)]) -> Profile {
    let data: HashMap<String, String> = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let setting = |pairs: Vec<(&str, Value<'_>)>| {
        let pairs = pairs.into_iter();
        pairs
            .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
            .collect::<HashMap<_, _>>()
    };
    let mut settings = Settings::from([
        (
            "connection".to_owned(),
            setting(vec![("id", "hosta_conn".into()), ("uuid", uuid.into())]),
        ),
        (
            "vpn".to_owned(),
            setting(vec![("service-type", PLUGIN_NAME.into()), ("data", data.into())]),
        ),
    ]);
    guard::set(&mut settings, true);
    Profile::from_settings(&settings).unwrap()
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/guard")
}

/// The files with that ending, by name.
fn golden(extension: &str) -> Vec<(PathBuf, String)> {
    let mut files: Vec<_> = fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn rules_are_as_recorded() {
    for (path, text) in golden("case") {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let (peers, data): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("peer "));
        let peers: Vec<IpAddr> = peers.iter().map(|line| line[5..].parse().unwrap()).collect();
        let data: Vec<_> = data.iter().map(|line| line.split_once('=').unwrap()).collect();
        let connection = profile(UUID, &data).connection;
        let said = rules::ruleset(&uuid(UUID), &connection, &peers);
        assert_eq!(rules::peers_in(&said, &connection.right), peers);
        let other = "other.example.org".parse().map(HostAddress::Name).unwrap();
        assert!(rules::peers_in(&said, &other).is_empty());
        let path = path.with_extension("nft");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &said).unwrap();
        }
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            said,
            recorded,
            "{}; UPDATE_GOLDEN=1 writes it anew",
            path.display()
        );
    }
}

#[test]
fn a_few_addresses_of_a_name_are_kept_in_mind() {
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    let known = vec![address(1), address(2), address(3), address(4)];
    assert_eq!(newest_first(None, known.clone()), known);
    assert_eq!(
        newest_first(Some(address(3)), known.clone()),
        [address(3), address(1), address(2), address(4)]
    );
    assert_eq!(
        newest_first(Some(address(9)), known),
        [address(9), address(1), address(2), address(3)]
    );
}

/// A network namespace in which nft may do what it likes.
struct Namespace {
    holder: Child,
    dir: tempfile::TempDir,
}

impl Namespace {
    /// Nothing, and it is said, where the kernel or a program does not allow it. `NFT` in the environment may name the
    /// program.
    fn new(test: &str) -> Option<Self> {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rn", "sleep", "300"]).stderr(Stdio::null());
        let Ok(holder) = unshare.spawn() else {
            println!("SKIP {test}: there is no unshare");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let namespace = Self { holder, dir };
        let program = env::var("NFT").unwrap_or_else(|_| "nft".to_owned());
        let script = format!("#!/bin/sh\n{} {program} \"$@\"\n", namespace.enter().join(" "));
        fs::write(namespace.nft(), script).unwrap();
        fs::set_permissions(namespace.nft(), fs::Permissions::from_mode(0o755)).unwrap();
        // It takes a moment until it is one of its own.
        for _ in 0..50 {
            let script = "test \"$(readlink /proc/self/ns/net)\" != \"$(readlink /proc/$0/ns/net)\"";
            if namespace
                .shell_with(script, &std::process::id().to_string())
                .status
                .success()
            {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let has_nft = namespace.run_nft(&["list", "ruleset"]);
        if !has_nft.status.success() {
            let why = String::from_utf8_lossy(&has_nft.stderr).into_owned();
            println!(
                "SKIP {test}: nft cannot be used in a network namespace: {}",
                why.trim_end()
            );
            return None;
        }
        Some(namespace)
    }

    fn nft(&self) -> PathBuf {
        self.dir.path().join("nft")
    }

    fn enter(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let words = [
            "nsenter",
            "-t",
            pid.as_str(),
            "-U",
            "-n",
            "--preserve-credentials",
        ];
        words.map(ToOwned::to_owned).into()
    }

    fn run_nft(&self, arguments: &[&str]) -> Output {
        Command::new(self.nft()).args(arguments).output().unwrap()
    }

    fn ruleset(&self) -> String {
        String::from_utf8(self.run_nft(&["list", "ruleset"]).stdout).unwrap()
    }

    fn shell_with(&self, script: &str, argument: &str) -> Output {
        let enter = self.enter();
        let mut shell = Command::new(&enter[0]);
        shell.args(&enter[1..]).args(["bash", "-c", script, argument]);
        shell.output().unwrap()
    }

    fn guards(&self) -> Guards {
        Guards::with_program(self.dir.path(), &self.nft())
    }

    /// How many packets the guard of `uuid` has held back.
    async fn held_back(&self, uuid: &str) -> u64 {
        self.guards().held_back().await[uuid]
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn nft_takes_every_recorded_ruleset_again_and_again() {
    let Some(namespace) = Namespace::new("nft_takes_every_recorded_ruleset_again_and_again") else {
        return;
    };
    for (path, _) in golden("nft").iter().flat_map(|file| [file, file]) {
        let loaded = namespace.run_nft(&["-f", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&loaded.stderr).into_owned();
        assert!(loaded.status.success(), "{}: {said}", path.display());
    }
    assert_eq!(namespace.ruleset().matches("chain guard-").count(), 1);
}

const HOST: &[(&str, &str)] = &[
    ("left", "192.0.2.1"),
    ("right", "192.0.2.2"),
    ("type", "transport"),
    ("ikev2", "insist"),
];

#[tokio::test]
async fn guards_come_and_go_and_leave_others_alone() {
    let Some(namespace) = Namespace::new("guards_come_and_go_and_leave_others_alone") else {
        return;
    };
    assert!(
        namespace
            .run_nft(&["add", "table", "inet", "foreign"])
            .status
            .success()
    );
    let guards = namespace.guards();
    let (one, other) = (uuid(UUID), uuid(OTHER));
    guards.follow(&one, Some(&profile(UUID, HOST))).await;
    guards.follow(&other, Some(&profile(OTHER, HOST))).await;
    let set = namespace.ruleset();
    for part in [
        &format!("chain guard-{UUID}"),
        &format!("chain guard-{OTHER}"),
        "foreign",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(
        set.contains("ip saddr 192.0.2.1 ip daddr 192.0.2.2 counter name"),
        "{set}"
    );
    // Somebody empties the rules: the next word about the connection sets them again.
    assert!(namespace.run_nft(&["flush", "ruleset"]).status.success());
    let ends = ResolvedEnds {
        left: LeftEnd::Ip([192, 0, 2, 1].into()),
        right: RightEnd::Ip([192, 0, 2, 2].into()),
    };
    guards.resolved(&profile(UUID, HOST), &ends).await.unwrap();
    assert!(namespace.ruleset().contains(&format!("chain guard-{UUID}")));
    // An activation that still goes by the profile as it was does not set what is not wanted any more.
    guards.follow(&one, None).await;
    guards.resolved(&profile(UUID, HOST), &ends).await.unwrap();
    assert!(!namespace.ruleset().contains(UUID));
    assert_eq!(guards.0.files.all().unwrap(), std::slice::from_ref(&other));
    // One that the kernel alone has, and one with a file: what nobody knows goes, and the table with the last.
    let stray = rules::ruleset(&one, &profile(UUID, HOST).connection, &[]);
    guards.0.nft.load(&stray).await.unwrap();
    guards.keep_only(&HashSet::from([one.clone()])).await;
    let left = namespace.ruleset();
    assert!(left.contains(UUID) && !left.contains(OTHER), "{left}");
    guards.keep_only(&HashSet::new()).await;
    assert_eq!(namespace.ruleset(), "");
    assert!(guards.held_back().await.is_empty());
}

#[tokio::test]
async fn a_name_is_guarded_where_it_leads_and_has_led() {
    let Some(namespace) = Namespace::new("a_name_is_guarded_where_it_leads_and_has_led") else {
        return;
    };
    let guards = namespace.guards();
    let named = profile(
        UUID,
        &[
            ("right", "peer.invalid"),
            ("type", "transport"),
            ("ikev2", "insist"),
        ],
    );
    for last in [7, 8] {
        let ends = ResolvedEnds {
            left: LeftEnd::DefaultRoute,
            right: RightEnd::Ip([192, 0, 2, last].into()),
        };
        guards.resolved(&named, &ends).await.unwrap();
    }
    let set = namespace.ruleset();
    assert!(
        set.contains("fib saddr type local ip daddr { 192.0.2.7, 192.0.2.8 }"),
        "{set}"
    );
}

#[tokio::test]
async fn what_would_leave_in_clear_is_counted_and_ike_passes() {
    let Some(namespace) = Namespace::new("what_would_leave_in_clear_is_counted_and_ike_passes") else {
        return;
    };
    let network = "ip link add ours0 type veth peer name theirs0 && ip link set lo up && ip link set ours0 up && ip link set theirs0 up && \
         ip address add 192.0.2.1/24 dev ours0 && ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev ours0 && \
         ip neighbour add 192.0.2.3 lladdr 02:00:00:00:00:03 dev ours0";
    if !namespace.shell_with(network, "").status.success() {
        return println!("SKIP what_would_leave_in_clear_is_counted_and_ike_passes: there can be no veth");
    }
    let guards = namespace.guards();
    guards.follow(&uuid(UUID), Some(&profile(UUID, HOST))).await;
    let send = |to: &str| {
        namespace
            .shell_with(&format!("echo x > /dev/udp/{to}"), "")
            .status
            .success()
    };
    for to in ["192.0.2.2/500", "192.0.2.2/4500", "192.0.2.3/9", "192.0.2.1/9"] {
        send(to);
        assert_eq!(namespace.held_back(UUID).await, 0, "{to}");
    }
    assert!(!send("192.0.2.2/9"));
    assert_eq!(namespace.held_back(UUID).await, 1);
    // What was counted outlives a change of the rules.
    guards.follow(&uuid(UUID), Some(&profile(UUID, HOST))).await;
    assert!(!send("192.0.2.2/9"));
    assert_eq!(namespace.held_back(UUID).await, 2);
}

#[tokio::test]
async fn one_bad_file_does_not_keep_the_others_from_being_loaded() {
    let Some(namespace) = Namespace::new("one_bad_file_does_not_keep_the_others_from_being_loaded") else {
        return;
    };
    let guards = namespace.guards();
    guards.follow(&uuid(UUID), Some(&profile(UUID, HOST))).await;
    assert!(namespace.run_nft(&["flush", "ruleset"]).status.success());
    let nft = &guards.0.nft;
    assert_eq!(boot::load_with(nft, namespace.dir.path()).await, Ok(1));
    guards.0.files.write(&uuid(OTHER), "this is no rule\n").unwrap();
    assert!(namespace.run_nft(&["flush", "ruleset"]).status.success());
    let faults = boot::load_with(nft, namespace.dir.path()).await.unwrap_err();
    assert!(faults.contains(OTHER) && !faults.contains(UUID), "{faults}");
    assert!(namespace.ruleset().contains(&format!("chain guard-{UUID}")));
}

#[tokio::test]
async fn without_its_guard_a_connection_is_not_brought_up() {
    let dir = tempfile::tempdir().unwrap();
    let guards = Guards::with_program(dir.path(), Path::new("/nonexistent/nft"));
    let ends = ResolvedEnds {
        left: LeftEnd::DefaultRoute,
        right: RightEnd::Any,
    };
    let reason = guards.resolved(&profile(UUID, HOST), &ends).await.unwrap_err();
    assert_eq!(reason.code(), "guard-failed");
    assert!(reason.to_string().contains("is nftables installed?"), "{reason}");
    // Nothing is asked of nft for profiles without a guard.
    let mut open = profile(UUID, HOST);
    open.is_guarded = false;
    assert_eq!(guards.resolved(&open, &ends).await, Ok(()));
    guards.follow(&uuid(UUID), Some(&open)).await;
    assert!(guards.held_back().await.is_empty());
    assert_eq!(boot::load_all(dir.path()).await, Ok(0));
}
