//! A bundle into the database: as a whole or not at all, and nothing if it is there already.

mod change;
mod plan;
mod undo;

use std::{collections::BTreeSet, time::SystemTime};

use nmstate_ipsec_core::connection::Nickname;
use openssl::x509::X509;
use serde::{Deserialize, Serialize};

use crate::{
    bundle::Bundle,
    database::{Database, Glance, Lock, Snapshot, without_orphans},
    description::Description,
    error::Error,
    fitness::{Fitness, fitness},
    judge::{self, Authorities, Finding},
    name,
};
pub(crate) use change::uri;
use plan::Plan;
pub(crate) use plan::share_key;

/// What is to be imported.
pub struct Import<'a> {
    /// The certificate, its key and what came with them.
    pub bundle: &'a Bundle,
    /// What it is to be called.
    pub nickname: &'a Nickname,
    /// Authorities that are to be trusted. Without any the bundle's own are.
    pub authorities: &'a [X509],
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// The time at which the certificate must be valid.
    pub now: SystemTime,
}

/// What has become, or would become, of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It was not there.
    Imported,
    /// It has taken the place of another.
    Replaced,
    /// It was there, but not with the trust or the key that it needs.
    Mended,
    /// It was there as it is to be.
    Unchanged,
}

impl Action {
    /// In a word or a few.
    pub fn words(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Replaced => "replaced",
            Self::Mended => "trusted as it should be",
            Self::Unchanged => "there already",
        }
    }
}

/// What has become of an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its nickname.
    pub nickname: String,
    /// What has become of it.
    pub action: Action,
    /// Whose certificate it is.
    pub subject: String,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Imported {
    /// The nickname.
    pub nickname: String,
    /// What has become of the certificate.
    pub action: Action,
    /// The certificate.
    pub certificate: Description,
    /// The authorities that came with it.
    pub authorities: Vec<Authority>,
    /// What is to be said of the certificate; no errors.
    pub warnings: Vec<Finding>,
    /// Whether nothing was changed, because nothing was to be.
    #[serde(default)]
    pub dry_run: bool,
}

impl Imported {
    /// Whether the certificate is another one now than it was.
    pub fn is_another(&self) -> bool {
        !self.dry_run && matches!(self.action, Action::Imported | Action::Replaced)
    }
}

/// What the database is to hold in the end.
struct Wanted<'a> {
    nickname: &'a Nickname,
    bundle: &'a Bundle,
    /// The authorities, and whether they are trusted by themselves.
    authorities: Vec<(X509, bool)>,
}

/// Imports a bundle.
///
/// # Errors
/// The bundle is of no use, or something failed; then everything in the database is as it was, unless the error says
/// otherwise.
pub async fn import(database: &Database, import: &Import<'_>) -> Result<Imported, Error> {
    let begun = begin(database, import.nickname).await?;
    import_begun(database, begun, import).await
}

/// A look at a database that nobody else changes meanwhile.
pub(crate) struct Begun {
    lock: Lock,
    glance: Glance,
}

/// Begins to look at the database, beside the opening of the bundle, if there is one that is whole and nobody changes it: of
/// what is missing or damaged NSS would make another.
pub(crate) async fn begin(database: &Database, nickname: &Nickname) -> Result<Option<Begun>, Error> {
    if !database.exists() {
        return Ok(None);
    }
    let Some(lock) = database.lock_now() else {
        return Ok(None);
    };
    if !database.exists() || database.check().is_err() {
        return Ok(None);
    }
    let glance = database.begin_glance(nickname.as_str()).await?;
    Ok(Some(Begun { lock, glance }))
}

/// The same where [`begin`] came first.
pub(crate) async fn import_begun(
    database: &Database,
    begun: Option<Begun>,
    import: &Import<'_>,
) -> Result<Imported, Error> {
    let (wanted, mut warnings) = judge(import)?;
    let (plan, before) = carry_out(database, begun, &wanted, import.dry_run).await?;
    let is_vain = |warning: &Finding| warning.code == judge::NO_AUTHORITY && is_led(&wanted, &plan, &before);
    warnings.retain(|warning| !is_vain(warning));
    Ok(Imported {
        nickname: wanted.nickname.to_string(),
        action: plan.action(),
        certificate: Description::of(&import.bundle.certificate),
        authorities: plan.authorities.iter().map(plan::Step::told).collect(),
        warnings,
        dry_run: import.dry_run,
    })
}

/// Whether the bundle is of use, and what of it belongs into the database.
fn judge<'a>(import: &Import<'a>) -> Result<(Wanted<'a>, Vec<Finding>), Error> {
    let bundle = import.bundle;
    let Fitness { trusted, warnings } = fitness(bundle, import.authorities, import.now)?;
    let path = judge::path(
        &bundle.certificate,
        Authorities {
            trusted: &trusted,
            between: &bundle.chain,
        },
    );
    // Those that were given are wanted in any case, of the bundle's own those that lead somewhere.
    let mut all: Vec<(X509, bool)> = import
        .authorities
        .iter()
        .map(|authority| (authority.clone(), true))
        .collect();
    for authority in path {
        if authority != bundle.certificate && !all.iter().any(|(known, _)| *known == authority) {
            let is_trusted = trusted.contains(&authority);
            all.push((authority, is_trusted));
        }
    }
    all.retain(|(authority, _)| *authority != bundle.certificate);
    let wanted = Wanted {
        nickname: import.nickname,
        bundle,
        authorities: all,
    };
    Ok((wanted, warnings))
}

/// Also hands back what the database had.
async fn carry_out(
    database: &Database,
    begun: Option<Begun>,
    wanted: &Wanted<'_>,
    dry_run: bool,
) -> Result<(Plan, Snapshot), Error> {
    if begun.is_none() && dry_run && !database.exists() {
        let nothing = Snapshot::default();
        return Ok((plan::plan(database, wanted, &nothing)?, nothing));
    }
    let begun = match begun {
        Some(begun) => begun,
        None => begin_late(database, wanted.nickname, dry_run).await?,
    };
    let (_lock, glance) = (begun.lock, begun.glance);
    let names = names(wanted);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (glanced, is_all) = database.glance(glance, &names).await?;
    let marked = database.marked();
    if plan::is_done(wanted, &glanced) && marked.is_none() {
        return Ok((plan::plan(database, wanted, &glanced)?, glanced));
    }
    let mut before = if is_all {
        glanced
    } else {
        database.complete(glanced).await?
    };
    if !dry_run {
        before = tidy(database, wanted, before, &marked.unwrap_or_default()).await?;
    }
    let plan = plan::plan(database, wanted, &before)?;
    if !dry_run && !plan.is_nothing() {
        change::carry_out(database, wanted, &plan, &before).await?;
    }
    Ok((plan, before))
}

/// Waits until nobody else changes the database, makes it if there is none, and begins to look at it.
async fn begin_late(database: &Database, nickname: &Nickname, dry_run: bool) -> Result<Begun, Error> {
    if !dry_run {
        database.make_dir()?;
    }
    let lock = database.lock().await?;
    if !database.exists() {
        let _reserve = database.reserve()?;
        database.create().await?;
    }
    database.check()?;
    let glance = database.begin_glance(nickname.as_str()).await?;
    Ok(Begun { lock, glance })
}

/// What the authorities would be called, each name once, and not the certificate's own, which is looked at anyway.
fn names(wanted: &Wanted<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (authority, _) in &wanted.authorities {
        let name = name::of_authority(authority).into_iter().next();
        let is_new = |name: &String| name != wanted.nickname.as_str() && !names.contains(name);
        let name = name.filter(is_new);
        names.extend(name);
    }
    names
}

/// Finishes what somebody has begun who was killed.
async fn tidy(
    database: &Database,
    wanted: &Wanted<'_>,
    found: Snapshot,
    marked: &BTreeSet<String>,
) -> Result<Snapshot, Error> {
    let mut lines = without_orphans(marked, &found)?;
    let (leftovers, keys) = change::leftovers(wanted.nickname, &found)?;
    lines.append(&leftovers);
    if lines.is_empty() {
        database.unmark();
        return Ok(found);
    }
    let _reserve = database.reserve()?;
    database.mark(&keys)?;
    let tidied = database.run(&lines).await;
    database.succeeded("finish an earlier import", tidied).await?;
    database.unmark();
    database.snapshot().await
}

/// Whether the certificate leads to an authority that the database trusts; of what is there already that is for `cert verify` to
/// say.
fn is_led(wanted: &Wanted<'_>, plan: &Plan, found: &Snapshot) -> bool {
    if plan.is_nothing() {
        return true;
    }
    let (trusted, mut between) = found.authorities();
    between.extend(wanted.bundle.chain.iter().cloned());
    !judge::path(
        &wanted.bundle.certificate,
        Authorities {
            trusted: &trusted,
            between: &between,
        },
    )
    .is_empty()
}
