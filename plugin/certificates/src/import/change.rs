//! The changes themselves.
//!
//! The new certificate comes in beside the old one. NSS takes a subject's certificates for one nickname's, so a new
//! certificate of the same subject is under the old one's nickname at once; one of another subject waits under a name of
//! its own. Only then, in one more process, is the old one taken out.

use nmstate_ipsec_core::{command::Started, connection::Nickname, secret::Secret};
use openssl::{rand::rand_bytes, x509::X509};

use super::{
    Action, Wanted,
    plan::{self, Own, Plan, Step, share_key},
    undo,
};
use crate::{
    database::{Batch, Database, Snapshot, key_id},
    description::hex,
    error::Error,
    name,
    private_file::PrivateFile,
};

/// Trust that an authority is given.
pub(super) const AUTHORITY: &str = "CT,C,C";

/// Trust that a certificate has which is here with its key.
pub(super) const OWN: &str = "u,u,u";

/// Trust of an authority between the certificate and a trusted one.
const BETWEEN: &str = ",,";

pub(super) async fn carry_out(
    database: &Database,
    wanted: &Wanted<'_>,
    plan: &Plan,
    before: &Snapshot,
) -> Result<(), Error> {
    let reserve = database.reserve()?;
    let incoming = match plan.own {
        Own::Import { is_other_subject, .. } => {
            let name = if is_other_subject {
                name::next(wanted.nickname)
            } else {
                wanted.nickname.to_string()
            };
            Some(Incoming::start(database, wanted, name)?)
        }
        _ => None,
    };
    let files = authority_files(plan)?;
    let lines = lines(wanted, plan, before, &files)?;
    // It gets ready while pk12util works.
    let certutil = database.start();
    database.mark(&plan.keys(wanted))?;
    let imported = match incoming {
        Some(incoming) => incoming.bring_in(database, wanted, plan, before).await,
        None => Ok(()),
    };
    let cause = match imported {
        Ok(()) => match finish(database, certutil, wanted, plan, lines).await {
            None => {
                database.unmark();
                return Ok(());
            }
            Some(cause) => cause,
        },
        Err(error) => error.cause(),
    };
    drop(reserve);
    let undone = undo::undo(database, wanted, plan, &files, before, cause).await;
    if undo::is_whole(&undone) {
        database.unmark();
    }
    undone
}

/// A certificate that comes in with its key when pk12util, which has begun to get ready, is told the password.
struct Incoming {
    pk12util: Started,
    name: String,
    password: Secret,
    _bundle: PrivateFile,
}

impl Incoming {
    fn start(database: &Database, wanted: &Wanted<'_>, name: String) -> Result<Self, Error> {
        let mut bytes = [0; 24];
        rand_bytes(&mut bytes).map_err(|error| Error::local("make a password", error))?;
        let password = Secret::new(hex(&bytes));
        let bundle = wanted.bundle.to_pkcs12_for_now(&name, password.expose())?;
        let bundle = PrivateFile::new(&bundle)?;
        let command = database.pk12util("-i", &bundle.path());
        Ok(Self {
            pk12util: command.args(["-w", "/dev/stdin"]).start(),
            name,
            password,
            _bundle: bundle,
        })
    }

    async fn bring_in(
        self,
        database: &Database,
        wanted: &Wanted<'_>,
        plan: &Plan,
        before: &Snapshot,
    ) -> Result<(), Error> {
        let ran = self.pk12util.run(self.password.expose()).await;
        database
            .succeeded(format!("import '{}'", wanted.nickname), ran)
            .await?;
        match &plan.own {
            // Nothing is taken out on pk12util's word alone.
            Own::Import { olds, .. } if !olds.is_empty() => is_in(database, wanted, &self.name, before).await,
            _ => Ok(()),
        }
    }
}

/// Makes sure that the new certificate is there with its key, beside those that had its name `before`.
async fn is_in(database: &Database, wanted: &Wanted<'_>, name: &str, before: &Snapshot) -> Result<(), Error> {
    let (found, _) = database.glance(database.begin_glance(name).await?, &[]).await?;
    let with_keys = |snapshot: &Snapshot| {
        let entries = snapshot.entries_of(name);
        entries.filter(|entry| entry.trust.has_key()).count()
    };
    let is_one_more = found.entries_of(name).count() == before.entries_of(name).count() + 1;
    let has_key = with_keys(&found) > with_keys(before);
    let is_there = found.find(&wanted.bundle.certificate).is_some();
    if is_there && has_key && is_one_more {
        return Ok(());
    }
    Err(Error::local(
        format!("import '{}'", wanted.nickname),
        "pk12util reported success, but the certificate or its key is not there",
    ))
}

/// Runs the rest and looks at the result; says why that is not what is wanted.
async fn finish(
    database: &Database,
    certutil: Started,
    wanted: &Wanted<'_>,
    plan: &Plan,
    mut lines: Batch,
) -> Option<String> {
    let mut names = vec![wanted.nickname.as_str()];
    names.extend(plan.authorities.iter().map(|step| step.name.as_str()));
    match Database::glancing(&names) {
        Ok(glancing) => lines.append(&glancing),
        Err(error) => return Some(error.to_string()),
    }
    let ran = database.run_in(certutil, &lines).await;
    let output = match database.succeeded("put the certificate in its place", ran).await {
        Ok(output) => output,
        Err(error) => return Some(error.cause()),
    };
    let mut found = Database::glanced(&output.stdout, &names);
    if found.is_vague() {
        found = match database.snapshot().await {
            Ok(found) => found,
            Err(error) => return Some(error.cause()),
        };
    }
    (!plan::is_done(wanted, &found)).then(|| {
        let listed = output.stdout.lines().filter(|line| line.contains(','));
        let listed = listed.collect::<Vec<_>>().join("; ");
        format!("NSS's programs reported success, but the database does not hold what it should ({listed})")
    })
}

/// What is done after the certificate has come in.
fn lines(wanted: &Wanted<'_>, plan: &Plan, before: &Snapshot, files: &[PrivateFile]) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    for (step, file) in plan.authorities.iter().zip(files) {
        let trust = if step.is_trusted { AUTHORITY } else { BETWEEN };
        if step.action != Action::Unchanged {
            lines.append(&trust_line(&step.name, trust, file)?);
        }
    }
    let nickname = wanted.nickname;
    let certificate = &wanted.bundle.certificate;
    match &plan.own {
        Own::Nothing => {}
        Own::Trust => lines.push("-M", &["-n", nickname.as_str(), "-t", OWN])?,
        Own::Clear { olds }
        | Own::Import {
            olds,
            is_other_subject: false,
            ..
        } => {
            lines.append(&without_siblings(nickname, certificate, olds, before)?);
        }
        Own::Import {
            olds,
            is_other_subject: true,
            ..
        } => {
            lines.append(&without_predecessors(nickname, certificate, olds, before)?);
        }
    }
    if let Own::Import {
        is_mistrusted: true, ..
    } = &plan.own
    {
        lines.push("-M", &["-n", nickname.as_str(), "-t", OWN])?;
    }
    Ok(lines)
}

/// The certificate of each authority, for certutil to read.
fn authority_files(plan: &Plan) -> Result<Vec<PrivateFile>, Error> {
    let file = |step: &Step| {
        let der = step.certificate.to_der();
        PrivateFile::new(&der.map_err(|error| Error::local("write a certificate down", error))?)
    };
    plan.authorities.iter().map(file).collect()
}

/// Has an authority be there with `trust`. Of certificates that share a nickname `certutil -M` takes any; `-A` takes the one
/// that it is given, if that is there already too.
pub(super) fn trust_line(name: &str, trust: &str, file: &PrivateFile) -> Result<Batch, Error> {
    Batch::default().with("-A", &["-n", name, "-t", trust, "-i", &file.path()])
}

/// Takes `olds`, of the same subject and so of the same nickname, away from beside `certificate`.
pub(super) fn without_siblings(
    nickname: &Nickname,
    certificate: &X509,
    olds: &[X509],
    before: &Snapshot,
) -> Result<Batch, Error> {
    let (twins, others): (Vec<&X509>, Vec<&X509>) = olds.iter().partition(|old| share_key(old, certificate));
    let mut lines = without_others(&others, before)?;
    if twins.is_empty() {
        return Ok(lines);
    }
    // Two certificates with one subject and one key have nothing that certutil could tell them apart by, but NSS takes the
    // one that became valid last for the nickname's.
    let is_newest = twins
        .iter()
        .all(|twin| twin.not_before() < certificate.not_before());
    let next = name::next(nickname);
    if is_newest {
        lines.push("--rename", &["-n", nickname.as_str(), "--new-n", &next])?;
    }
    for _ in &twins {
        lines.push("-D", &["-n", nickname.as_str()])?;
    }
    if is_newest {
        lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
    }
    Ok(lines)
}

/// Lets `certificate`, which waits under a name of its own, have the nickname, and takes `olds` away.
fn without_predecessors(
    nickname: &Nickname,
    certificate: &X509,
    olds: &[X509],
    before: &Snapshot,
) -> Result<Batch, Error> {
    let (next, previous) = (name::next(nickname), name::previous(nickname));
    let mut lines = Batch::default();
    for _ in olds {
        lines.push("--rename", &["-n", nickname.as_str(), "--new-n", &previous])?;
    }
    lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
    let (twins, others): (Vec<&X509>, Vec<&X509>) = olds.iter().partition(|old| share_key(old, certificate));
    for _ in &twins {
        lines.push("-D", &["-n", &previous])?;
    }
    lines.append(&without_others(&others, before)?);
    Ok(lines)
}

/// Takes certificates away whose keys nothing else has, keys included.
fn without_others(others: &[&X509], before: &Snapshot) -> Result<Batch, Error> {
    let mut lines = Batch::default();
    let mut gone = Vec::new();
    for other in others {
        let Some(id) = key_id(other) else {
            return Err(Error::local(
                "replace a certificate",
                "the old one has a key of an unknown kind; remove it with certutil -D",
            ));
        };
        let is_shared = before
            .held
            .iter()
            .any(|held| !others.contains(&&held.certificate) && share_key(&held.certificate, other));
        let has_key = before.keys.contains(&id) && !gone.contains(&id) && !is_shared;
        lines.push(if has_key { "-F" } else { "-D" }, &["-n", &uri(&id)])?;
        gone.push(id);
    }
    Ok(lines)
}

/// The certificate with this key, whatever its name.
pub(crate) fn uri(id: &str) -> String {
    let mut uri = "pkcs11:id=".to_owned();
    for (index, digit) in id.chars().enumerate() {
        if index % 2 == 0 {
            uri.push('%');
        }
        uri.push(digit);
    }
    uri + ";type=cert"
}

/// What an import that was killed has left, and how it is finished or undone; and the keys that go with that.
pub(super) fn leftovers(nickname: &Nickname, found: &Snapshot) -> Result<(Batch, Vec<String>), Error> {
    let (next, previous) = (name::next(nickname), name::previous(nickname));
    let (mut lines, mut keys) = (Batch::default(), Vec::new());
    let (mut dispensable, mut kept) = (Vec::new(), nickname.to_string());
    if found.has(nickname.as_str()) {
        dispensable.extend([&next, &previous]);
    } else if found.has(&next) {
        lines.push("--rename", &["-n", &next, "--new-n", nickname.as_str()])?;
        dispensable.push(&previous);
        kept.clone_from(&next);
    } else if found.has(&previous) {
        lines.push("--rename", &["-n", &previous, "--new-n", nickname.as_str()])?;
    }
    for name in dispensable.into_iter().filter(|name| found.has(name)) {
        let is_twin = |certificate: &X509| {
            found
                .certificates_of(&kept)
                .any(|other| share_key(other, certificate))
        };
        let ids = found
            .certificates_of(name)
            .filter(|certificate| !is_twin(certificate));
        let ids: Vec<String> = ids
            .filter_map(key_id)
            .filter(|id| found.keys.contains(id))
            .collect();
        lines.push(if ids.is_empty() { "-D" } else { "-F" }, &["-n", name])?;
        keys.extend(ids);
    }
    Ok((lines, keys))
}
