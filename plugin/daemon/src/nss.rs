//! The NSS database of libreswan, asked through NSS's own `certutil(1)`.

use std::{path::Path, time::Duration};

use nmstate_ipsec_core::{
    command::Command,
    connection::{Connection, Nickname},
    reason::Reason,
};

/// Where libreswan keeps its database; the second is that of RHEL 8 and before.
const DATABASE_DIRS: [&str; 2] = ["/var/lib/ipsec/nss", "/etc/ipsec.d"];

/// How long certutil may take.
const TIME_OUT: Duration = Duration::from_secs(20);

/// What is wrong with the certificates that `connection` names, if certutil sees it.
pub async fn fault_of_certificates(connection: &Connection) -> Option<Reason> {
    let database = database();
    for nickname in connection.nicknames() {
        if let Some(reason) = fault(&database, nickname).await {
            return Some(reason);
        }
    }
    None
}

async fn fault(database: &str, nickname: &Nickname) -> Option<Reason> {
    let certutil = |action: &[&str]| {
        Command::new("/usr/bin/certutil", TIME_OUT)
            .args(action.iter().copied())
            .args(["-d", database, "-n", nickname.as_str()])
            .run()
    };
    let listed = certutil(&["-L"]).await.ok()?;
    if !listed.succeeded() {
        let (nickname, database) = (nickname.to_string(), database.to_owned());
        return Some(Reason::CertificateMissing {
            nickname,
            database,
            bundle: None,
        });
    }
    // V: usable as a TLS server's certificate; the validity is what is of interest here.
    let verified = certutil(&["-V", "-u", "V"]).await.ok()?;
    let words = verified.said();
    let expired = words.contains("expired") || words.contains("not yet valid");
    expired.then(|| Reason::CertificateExpired {
        detail: format!("'{nickname}': {}", words.trim()),
    })
}

/// The database in use, as `certutil -d` takes it.
pub fn database() -> String {
    let found = DATABASE_DIRS
        .iter()
        .find(|dir| Path::new(dir).join("cert9.db").exists());
    format!("sql:{}", found.unwrap_or(&DATABASE_DIRS[0]))
}
