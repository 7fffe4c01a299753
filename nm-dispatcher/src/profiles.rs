//! Whether this host has profiles of libreswan's, found out without asking anybody.

use std::{fs, path::Path};

/// Where NetworkManager keeps profiles (`NetworkManager.conf(5)`, keyfile).
pub(crate) const DIRS: [&str; 3] = [
    "/etc/NetworkManager/system-connections",
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
];

/// The services of libreswan's profiles, as a keyfile names them.
const SERVICES: [&str; 2] = [
    "service-type=org.freedesktop.NetworkManager.libreswan",
    "service-type=org.freedesktop.NetworkManager.openswan",
];

/// Whether the directory holds a profile of libreswan's. What cannot be read is none.
pub(crate) fn is_there(dir: &Path) -> bool {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .any(|profile| profile.lines().any(|line| SERVICES.contains(&line.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_known_by_its_service() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_there(dir.path()) && !is_there(&dir.path().join("missing")));
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("base", "[connection]\nid=base\ntype=ethernet\n");
        write(
            "other",
            "[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\n",
        );
        assert!(!is_there(dir.path()));
        write(
            "ours",
            "[vpn]\nright=192.0.2.252\nservice-type=org.freedesktop.NetworkManager.libreswan\n",
        );
        assert!(is_there(dir.path()));
    }
}
