//! What the packagings say of one and the same thing, and what the D-Bus policies say, without a build.

use std::fs;

use lab::host;

use super::source;

fn read(path: &str) -> String {
    fs::read_to_string(host::workspace_dir().join(path)).unwrap()
}

#[test]
fn everything_has_the_workspaces_version() {
    let version = source::version().unwrap();
    let spec = read("packaging/rpm/nmstate-ipsec.spec");
    assert!(
        spec.lines()
            .any(|line| line == format!("Version:        {version}"))
    );
    assert!(
        spec.contains(&format!(" - {version}-1\n")),
        "no such entry in the changelog"
    );
    let changelog = read("packaging/debian/changelog");
    assert!(changelog.starts_with(&format!("nmstate-ipsec ({version}-1) ")));
}

#[test]
fn debians_copyright_names_the_licences_that_are_allowed() {
    let allowed = read("deny.toml");
    let allowed = allowed
        .lines()
        .find_map(|line| line.strip_prefix("allow = ["))
        .unwrap();
    let allowed: Vec<&str> = allowed.split('"').skip(1).step_by(2).collect();
    let copyright = read("packaging/debian/copyright");
    assert!(copyright.contains(&format!("License: {}\n", allowed.join(" and "))));
    for licence in allowed {
        assert!(
            copyright.contains(&format!("\nLicense: {licence}\n")),
            "no text of {licence}"
        );
    }
}

#[test]
fn rust_is_as_new_as_the_workspace_says() {
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .unwrap();
    let version = version.trim_end_matches('"');
    for (file, wanted) in [
        ("packaging/rpm/nmstate-ipsec.spec", format!("rust >= {version}\n")),
        ("packaging/debian/control", format!("rustc (>= {version})\n")),
    ] {
        assert!(read(file).contains(&wanted), "{file} does not want {wanted}");
    }
}

/// The names of the packages in a line of a page that installs files of them: what stands before a version.
fn installed(page: &str, command: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let lines = text.lines().filter(|line| line.contains(command));
    let name = |file: &str| {
        let end = ["_*", "-[0-9]*", "-*"].iter().find_map(|end| file.find(end));
        file.get(..end?).map(str::to_owned)
    };
    lines
        .map(|line| {
            let files = line.split_whitespace().filter(|word| word.starts_with("./"));
            files.filter_map(|file| name(file.rsplit('/').next()?)).collect()
        })
        .collect()
}

/// Whoever follows the pages installs packages that there are, and with each whatever it wants of ours.
#[test]
fn pages_install_what_belongs_together() {
    let debian = ["nmstate-ipsec", "nmstate-ipsec-network-manager"];
    assert_eq!(installed("README.md", "apt install"), [debian]);
    assert_eq!(installed("docs/getting-started.md", "apt install"), [debian]);
    let control = read("packaging/debian/control");
    for name in debian {
        assert!(control.contains(&format!("\nPackage: {name}\n")), "{name}");
    }
    // The policy module is wanted wherever Fedora's policy is.
    let fedora = [
        "nmstate-ipsec",
        "nmstate-ipsec-NetworkManager",
        "nmstate-ipsec-selinux",
    ];
    assert_eq!(installed("docs/getting-started.md", "dnf install"), [fedora]);
    let spec = read("packaging/rpm/nmstate-ipsec.spec");
    for name in fedora {
        let header = name.strip_prefix("nmstate-ipsec-");
        let header = header.map_or_else(
            || format!("Name:           {name}\n"),
            |sub| format!("%package {sub}\n"),
        );
        assert!(spec.contains(&header), "{name}");
    }
}

/// What the administrator runs, who names whatever file is to be read.
const OF_THE_ADMINISTRATOR: [&str; 2] = ["/usr/bin/nmstate-ipsec", "/usr/libexec/nmstate-ipsec-openssl"];

/// AppArmor confines whatever is installed but the administrator's command.
#[test]
fn every_service_has_a_profile() {
    let profiles = read("packaging/apparmor/nmstate-ipsec");
    for program in read("packaging/programs")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let path = program.split_whitespace().last().unwrap();
        let start = format!(" {path} {{");
        let is_confined = profiles
            .lines()
            .any(|line| line.starts_with("profile ") && line.ends_with(&start));
        assert_eq!(is_confined, !OF_THE_ADMINISTRATOR.contains(&path), "{path}");
    }
}

/// What is allowed stands in the policy of root alone, and everybody else is refused the same.
#[test]
fn dbus_is_for_root_alone() {
    let dir = host::workspace_dir().join("packaging/root/usr/share/dbus-1/system.d");
    let mut policies = 0;
    for file in fs::read_dir(dir).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        let mut of_whom = "";
        let (mut allowed, mut denied) = (Vec::new(), Vec::new());
        for line in text.lines().map(str::trim) {
            if let Some(policy) = line.strip_prefix("<policy ") {
                of_whom = policy.trim_end_matches('>');
                policies += 1;
            } else if let Some(what) = line.strip_prefix("<allow ") {
                assert_eq!(of_whom, "user=\"root\"", "{line}");
                allowed.push(what);
            } else if let Some(what) = line.strip_prefix("<deny ") {
                assert_eq!(of_whom, "context=\"default\"", "{line}");
                denied.push(what);
            }
        }
        // A path is not enough to refuse by: its interfaces are refused.
        allowed.retain(|what| !what.starts_with("send_path="));
        allowed.sort_unstable();
        denied.sort_unstable();
        assert_eq!(allowed, denied, "{}", file.path().display());
    }
    assert_eq!(policies, 4);
}
