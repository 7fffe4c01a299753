//! The command line of `nmstate-ipsec cert`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::help;

/// What is to be done with certificates.
#[derive(Debug, clap::Args)]
pub struct Cert {
    /// What is to be done.
    #[command(subcommand)]
    pub command: CertCommand,
}

/// What is to be done with certificates.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Import certificates with their keys, judged before the database is touched
    #[command(after_help = help::CERT_IMPORT)]
    Import(Import),
    /// Show what is in the database, and who uses it
    #[command(after_help = help::CERT_LIST)]
    List(List),
    /// Look for faults of the certificates that have their keys in the database, or of one
    #[command(after_help = help::CERT_VERIFY)]
    Verify(Verify),
    /// Take a certificate and its key out of the database
    #[command(after_help = help::CERT_REMOVE)]
    Remove(Remove),
    /// Write a certificate, its key and its authorities into a PKCS#12 file
    #[command(after_help = help::CERT_EXPORT)]
    Export(Export),
    /// Make a PKCS#12 file of a certificate, its key and its authorities in PEM
    #[command(after_help = help::CERT_BUNDLE)]
    Bundle(Bundle),
}

/// Which database.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Directory of the NSS database [default: libreswan's]
    #[arg(long, value_name = "DIR")]
    pub nssdir: Option<PathBuf>,
}

/// What is imported.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// PKCS#12, or PEM with certificate, key and chain
    #[arg(required = true, value_name = "BUNDLE")]
    pub bundles: Vec<PathBuf>,
    /// Authority to trust, in PEM or DER [default: what the bundle brings]
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// The key, if the bundle is PEM and lacks it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What it is called (leftcert) [default: the file's name, no ending]
    #[arg(long, value_name = "NAME")]
    pub nickname: Option<String>,
    /// File with the password, or '-' [default: NICKNAME_password]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What is to be shown.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Which database.
    #[command(flatten)]
    pub place: Place,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What is to be looked at.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The certificate; all that have their keys there without
    pub nickname: Option<String>,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What is to be removed.
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The certificate
    pub nickname: String,
    /// Remove the authorities along that nothing else in the database was issued by
    #[arg(long)]
    pub with_ca: bool,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// What is to be exported.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The certificate
    pub nickname: String,
    /// The file to be made, which must not be there
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// File with the password of the bundle; '-' is standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: PathBuf,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
}

/// What a bundle is made of.
#[derive(Debug, clap::Args)]
pub struct Bundle {
    /// The certificate in PEM, perhaps with its chain
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key in PEM
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// File with the password of the key; '-' is standard input
    #[arg(long, value_name = "FILE")]
    pub key_password_file: Option<PathBuf>,
    /// Authority that goes along, in PEM or DER
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// The file to be made, which must not be there
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// File with the password of the bundle, or '-' [default: empty]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}
