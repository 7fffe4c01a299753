//! Bundles, and the command among them, for the tests of commands that read bundles.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod rendered;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_nmstate-ipsec");

/// A directory with bundles, and a database to come.
pub struct Scene(pub TempDir);

impl Scene {
    pub fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        scene.shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 900 \
             -subj '/O=Ex/CN=Test CA' -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign\n\
             for name in left right; do\n\
             openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /O=Ex/CN=$name\n\
             echo subjectAltName=DNS:$name.example.org > $name.ext\n\
             openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile $name.ext -out $name.pem\n\
             openssl pkcs12 -export -in $name.pem -inkey $name.key -certfile ca.pem -name other -out $name.p12 -passout pass:\n\
             done",
        );
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn shell(&self, script: &str) -> Output {
        let output = Command::new("sh")
            .args(["-ec", script])
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Exit status, standard output and standard error of the command.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(BINARY)
            .args(arguments)
            .current_dir(self.0.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    pub fn listed(&self) -> String {
        let dir = format!("sql:{}", self.path("nss").display());
        let output = Command::new("certutil")
            .args(["-L", "-d", &dir])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}
