//! The secrets of one connection, in a file of its own that pluto includes (`ipsec.secrets(5)`).

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nmstate_ipsec_core::{profile::Uuid, secret::Secret};

use zeroize::Zeroizing;

use crate::files;

/// The directory whose `*.secrets` files `/etc/ipsec.secrets` includes.
pub const SECRETS_DIR: &str = "/etc/ipsec.d";

/// What the names of our files begin and end with; the UUID is between.
const PREFIX: &str = "nmstate-ipsec-";
const SUFFIX: &str = ".secrets";

/// Writes the secrets of the connection `uuid` into `dir`, readable by root alone.
///
/// What is there already is left alone. Until it is whole the file has a name that pluto does not include.
///
/// # Errors
/// What the file system said.
pub fn write(dir: &Path, uuid: &Uuid, secrets: &Secret) -> io::Result<()> {
    let (path, unfinished) = (path(dir, uuid), dir.join(format!(".nmstate-ipsec-{uuid}.new")));
    if is_there(&path, secrets) {
        return Ok(());
    }
    files::replace(&path, &unfinished, secrets.expose().as_bytes())
}

/// Whether the file is as it would be written.
fn is_there(path: &Path, secrets: &Secret) -> bool {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path);
    let Ok(mut file) = opened else { return false };
    let is_private = file
        .metadata()
        .is_ok_and(|meta| meta.is_file() && meta.mode() & 0o7777 == 0o600);
    let mut content = Zeroizing::new(Vec::new());
    is_private && file.read_to_end(&mut content).is_ok() && *content == secrets.expose().as_bytes()
}

/// Removes the secrets of the connection `uuid` from `dir`, and tells whether there were any.
///
/// # Errors
/// What the file system said.
pub fn remove(dir: &Path, uuid: &Uuid) -> io::Result<bool> {
    files::remove_if_there(&path(dir, uuid))
}

/// The connections whose secrets are in `dir`.
///
/// # Errors
/// What the file system said.
pub fn left(dir: &Path) -> io::Result<Vec<Uuid>> {
    let uuid = |name: &str| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok();
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries
        .iter()
        .filter_map(|entry| uuid(entry.file_name().to_str()?))
        .collect())
}

fn path(dir: &Path, uuid: &Uuid) -> PathBuf {
    dir.join(format!("{PREFIX}{uuid}{SUFFIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn written_for_root_alone_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let uuid: Uuid = "6d9b2d80-1d2c-4c1a-9d0e-0f2f4f1f7a11".parse().unwrap();
        let outside = dir.path().join("outside");
        symlink(&outside, dir.path().join(format!(".nmstate-ipsec-{uuid}.new"))).unwrap();
        for content in ["first", "second"] {
            write(dir.path(), &uuid, &Secret::new(content.into())).unwrap();
            let path = path(dir.path(), &uuid);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(left(dir.path()).unwrap(), std::slice::from_ref(&uuid));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!outside.exists());
        let inode = || fs::metadata(path(dir.path(), &uuid)).unwrap().ino();
        let before = inode();
        write(dir.path(), &uuid, &Secret::new("second".into())).unwrap();
        assert_eq!(inode(), before, "what is there already was written again");
        fs::set_permissions(path(dir.path(), &uuid), fs::Permissions::from_mode(0o644)).unwrap();
        write(dir.path(), &uuid, &Secret::new("second".into())).unwrap();
        assert_ne!(inode(), before, "a file that others can read was left");
        assert!(remove(dir.path(), &uuid).unwrap());
        assert!(!remove(dir.path(), &uuid).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
