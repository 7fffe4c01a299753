//! Whoever writes a bundle says how many rounds make a key of its password, or its checksum: work without a bound, and
//! deep inside, so that no look at the file tells it.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::error::Error;

/// How long a bundle may take to open. One of a million rounds takes a second or two, ten times that under emulation.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Work on a file that has begun.
pub(super) struct Begun<T> {
    path: PathBuf,
    waiting: mpsc::Receiver<Result<T, Error>>,
}

/// Begins `work` on the file `path`. What takes too long goes on in a thread of its own until the process ends, because OpenSSL
/// cannot be interrupted; those that open bundles are commands, which end soon.
///
/// # Errors
/// There can be no further thread.
pub(super) fn begin<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Begun<T>, Error> {
    let (done, waiting) = mpsc::sync_channel(1);
    let started = thread::Builder::new().spawn(move || {
        // Nobody may wait for it any more.
        drop(done.send(work()));
    });
    started.map_err(|error| Error::local("start a thread", error))?;
    let path = path.to_owned();
    Ok(Begun { path, waiting })
}

impl<T> Begun<T> {
    /// What comes of it.
    ///
    /// # Errors
    /// That of the work, or that it takes longer.
    pub(super) fn within(self, patience: Duration) -> Result<T, Error> {
        self.waiting.recv_timeout(patience).unwrap_or_else(|_| {
            let detail = format!(
                "cannot be opened within {} s; is it made to be so slow (rounds of its password or checksum)? Make it again, with 'nmstate-ipsec cert bundle' for instance",
                patience.as_secs_f32()
            );
            Err(Error::file("too-slow", &self.path, detail))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use nmstate_ipsec_core::secret::Secret;

    use super::{super::parts, *};
    use crate::file::{InputFile, Password};

    const MAKE: &str = "\
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out left.pem -subj /CN=left
openssl pkcs12 -export -in left.pem -inkey key.pem -out left.p12 -passout pass:word
openssl pkcs12 -export -in left.pem -inkey key.pem -iter 300000 -nomaciter -out rounds.p12 -passout pass:word
openssl pkcs8 -topk8 -in key.pem -passout pass:word -out sealed.key -iter 300000";

    /// The bundle with a checksum of 2^31 - 1 rounds instead of 2048: the number is what it ends with, and the lengths
    /// around it are those of the whole and of the last part.
    fn with_most_rounds(mut bundle: Vec<u8>) -> Vec<u8> {
        let end = bundle.len() - 4;
        assert_eq!(bundle.split_off(end), [2, 2, 8, 0]);
        bundle.extend([2, 4, 0x7f, 0xff, 0xff, 0xff]);
        bundle[3] += 2;
        bundle[end - 62] += 2;
        bundle
    }

    #[test]
    fn what_is_made_to_be_slow_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("sh")
            .args(["-ec", MAKE])
            .current_dir(dir.path())
            .output();
        assert!(made.unwrap().status.success());
        let path = |name: &str| dir.path().join(name);
        let slow = with_most_rounds(fs::read(path("left.p12")).unwrap());
        fs::write(path("checksum.p12"), slow).unwrap();
        let read = |name: &str| InputFile::read(&path(name)).unwrap();
        let password = Password {
            secret: Secret::new("word".to_owned()),
            ..Password::none()
        };
        let open = |patience: Duration, file: &str, key: Option<&str>| {
            let (bundle, key, password) = (read(file), key.map(read), password.clone());
            let begun = begin(&path(file), move || parts(&bundle, key.as_ref(), &password));
            begun.and_then(|begun| begun.within(patience))
        };
        let soon = Duration::from_millis(20);
        for (file, key) in [
            ("checksum.p12", None),
            ("rounds.p12", None),
            ("left.pem", Some("sealed.key")),
        ] {
            let error = open(soon, file, key).err().unwrap();
            assert!(
                error.code() == "too-slow" && error.to_string().contains(file),
                "{error}"
            );
        }
        assert!(open(PATIENCE, "left.p12", None).is_ok());
        // Nothing is wrong with these but the time that they take.
        assert!(open(PATIENCE, "rounds.p12", None).is_ok());
    }
}
