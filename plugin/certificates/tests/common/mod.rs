//! Certificates, bundles and databases for the tests. What is in a database is read here with NSS's own programs.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use nmstate_ipsec_certificates::{
    Database, Error, Import, Imported, Password, Tools, bundle::Bundle, import, name,
};
use nmstate_ipsec_core::secret::Secret;
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkcs12::Pkcs12,
    pkey::{PKey, Private},
    rsa::Rsa,
    stack::Stack,
    x509::{
        X509, X509Builder, X509Name,
        extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName},
    },
};
use tempfile::TempDir;

pub const DAY: i64 = 24 * 3600;

/// A certificate and its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// What a certificate is to be like.
#[derive(Clone)]
pub struct Request {
    pub cn: String,
    pub key: PKey<Private>,
    pub from: i64,
    pub to: i64,
    pub san: Option<String>,
    pub usage: Option<Usage>,
    pub purpose: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub enum Usage {
    Signature,
    EnciphermentOnly,
}

pub fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

pub fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub fn p256() -> PKey<Private> {
    ec(Nid::X9_62_PRIME256V1)
}

impl Request {
    pub fn new(cn: &str) -> Self {
        Self {
            cn: cn.to_owned(),
            key: p256(),
            from: -DAY,
            to: 100 * DAY,
            san: Some(format!(
                "{}.example.org",
                cn.to_lowercase().replace([' ', '_'], "-")
            )),
            usage: None,
            purpose: None,
        }
    }

    pub fn key(mut self, key: &PKey<Private>) -> Self {
        self.key = key.clone();
        self
    }

    pub fn valid(mut self, from: i64, to: i64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }
}

fn subject(cn: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Ex").unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, cn).unwrap();
    name.build()
}

fn builder(cn: &str, key: &PKey<Private>, from: i64, to: i64) -> X509Builder {
    let now = nmstate_ipsec_certificates::description::unix(SystemTime::now());
    let mut serial = BigNum::new().unwrap();
    serial.rand(64, openssl::bn::MsbOption::ONE, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&serial.to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(&subject(cn)).unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(now + from).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::from_unix(now + to).unwrap())
        .unwrap();
    builder.set_pubkey(key).unwrap();
    builder
}

/// An authority, signed by itself or by another.
pub fn authority(cn: &str, issuer: Option<&Pair>) -> Pair {
    authority_with(cn, issuer, p256(), -DAY)
}

/// Another certificate of a self-signed authority, with its key.
pub fn twin(pair: &Pair, from: i64) -> Pair {
    let name = pair
        .certificate
        .subject_name()
        .entries_by_nid(Nid::COMMONNAME)
        .next();
    let name = name.unwrap().data().to_string().unwrap();
    authority_with(&name, None, pair.key.clone(), from)
}

fn authority_with(cn: &str, issuer: Option<&Pair>, key: PKey<Private>, from: i64) -> Pair {
    let mut builder = builder(cn, &key, from, 1000 * DAY);
    builder
        .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
        .unwrap();
    builder
        .append_extension(KeyUsage::new().critical().key_cert_sign().build().unwrap())
        .unwrap();
    let (name, signer) = match issuer {
        Some(issuer) => (issuer.certificate.subject_name().to_owned().unwrap(), &issuer.key),
        None => (subject(cn), &key),
    };
    builder.set_issuer_name(&name).unwrap();
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    Pair {
        certificate: builder.build(),
        key,
    }
}

pub fn issue(authority: &Pair, request: &Request) -> Pair {
    let mut builder = builder(&request.cn, &request.key, request.from, request.to);
    builder
        .set_issuer_name(authority.certificate.subject_name())
        .unwrap();
    if let Some(san) = &request.san {
        let context = builder.x509v3_context(Some(&authority.certificate), None);
        let extension = SubjectAlternativeName::new().dns(san).build(&context).unwrap();
        builder.append_extension(extension).unwrap();
    }
    if let Some(usage) = request.usage {
        let mut extension = KeyUsage::new();
        match usage {
            Usage::Signature => extension.digital_signature(),
            Usage::EnciphermentOnly => extension.key_encipherment(),
        };
        builder
            .append_extension(extension.critical().build().unwrap())
            .unwrap();
    }
    if let Some(purpose) = request.purpose {
        builder
            .append_extension(ExtendedKeyUsage::new().other(purpose).build().unwrap())
            .unwrap();
    }
    builder.sign(&authority.key, MessageDigest::sha256()).unwrap();
    Pair {
        certificate: builder.build(),
        key: request.key.clone(),
    }
}

pub fn pkcs12(pair: &Pair, chain: &[&Pair], password: &str) -> Vec<u8> {
    let mut builder = Pkcs12::builder();
    builder.name("whatever").pkey(&pair.key).cert(&pair.certificate);
    let mut stack = Stack::new().unwrap();
    for other in chain {
        stack.push(other.certificate.clone()).unwrap();
    }
    builder.ca(stack);
    builder.build2(password).unwrap().to_der().unwrap()
}

pub fn pem(pair: &Pair, chain: &[&Pair]) -> Vec<u8> {
    let mut text = pair.certificate.to_pem().unwrap();
    text.extend(pair.key.private_key_to_pem_pkcs8().unwrap());
    for other in chain {
        text.extend(other.certificate.to_pem().unwrap());
    }
    text
}

/// A place for a test, in memory where there is such a place: NSS waits for the disk at each step.
pub fn place() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

/// A database and its surroundings.
pub struct Nss {
    pub place: TempDir,
}

impl Nss {
    pub fn new() -> Self {
        let nss = Self { place: place() };
        fs::create_dir(nss.dir()).unwrap();
        nss.run("certutil", &["-N", "--empty-password"]);
        nss
    }

    /// Another with the same in it.
    pub fn copy(&self) -> Self {
        let copy = Self::missing();
        fs::create_dir(copy.dir()).unwrap();
        for name in ["cert9.db", "key4.db", "pkcs11.txt"] {
            fs::copy(self.dir().join(name), copy.dir().join(name)).unwrap();
        }
        copy
    }

    pub fn missing() -> Self {
        Self { place: place() }
    }

    pub fn dir(&self) -> PathBuf {
        self.place.path().join("nss")
    }

    pub fn database(&self) -> Database {
        Database::new(Some(&self.dir()), Tools::default()).unwrap()
    }

    pub fn with(&self, tools: Tools) -> Database {
        Database::new(Some(&self.dir()), tools).unwrap()
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .arg("-d")
            .arg(format!("sql:{}", self.dir().display()))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything in it: nicknames with trusts, ids of keys, numbers and validities of certificates.
    pub fn state(&self) -> State {
        let listed = self.run("certutil", &["-L"]);
        let mut lines: Vec<String> = listed
            .lines()
            .skip(4)
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.sort();
        let names: BTreeSet<String> = lines
            .iter()
            .filter_map(|line| Some(line.rsplit_once(' ')?.0.trim_end().to_owned()))
            .collect();
        let batch = self.place.path().join("batch");
        let quoted: String = names
            .iter()
            .map(|name| format!("-L -n \"{name}\" -a\n"))
            .collect();
        fs::write(&batch, quoted).unwrap();
        let pem = self.run("certutil", &["-B", "-i", batch.to_str().unwrap()]);
        let certificates = X509::stack_from_pem(pem.as_bytes()).unwrap();
        let certificates = certificates.iter().map(fingerprint).collect();
        let keys = Command::new("certutil")
            .args([
                "-K",
                "-f",
                "/dev/null",
                "-d",
                &format!("sql:{}", self.dir().display()),
            ])
            .output()
            .unwrap();
        let mut keys: Vec<String> = String::from_utf8(keys.stdout)
            .unwrap()
            .lines()
            .filter(|line| line.starts_with('<'))
            .filter_map(|line| Some(line.split_once('>')?.1.split_whitespace().nth(1)?.to_owned()))
            .collect();
        keys.sort();
        State {
            lines,
            certificates,
            keys,
        }
    }

    /// The trust of a nickname, once for each of its certificates.
    pub fn trust(&self, name: &str) -> Vec<String> {
        self.state().trust(name)
    }

    /// The certificates of a nickname's subject.
    pub fn certificates(&self, name: &str) -> Vec<String> {
        let pem = self.run("certutil", &["-L", "-a", "-n", name]);
        X509::stack_from_pem(pem.as_bytes())
            .unwrap()
            .iter()
            .map(fingerprint)
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub lines: Vec<String>,
    pub certificates: BTreeSet<String>,
    pub keys: Vec<String>,
}

impl State {
    /// The trust of a nickname, once for each of its certificates.
    pub fn trust(&self, name: &str) -> Vec<String> {
        let parts = self.lines.iter().filter_map(|line| line.rsplit_once(' '));
        parts
            .filter(|(other, _)| other.trim_end() == name)
            .map(|(_, trust)| trust.to_owned())
            .collect()
    }
}

pub fn fingerprint(certificate: &X509) -> String {
    nmstate_ipsec_certificates::description::fingerprint(certificate)
}

pub fn password(text: &str) -> Password {
    let origin = (!text.is_empty()).then(|| PathBuf::from("/the/password/file"));
    Password {
        secret: Secret::new(text.to_owned()),
        origin,
        missed: Vec::new(),
    }
}

/// Imports a bundle's file.
pub async fn import_file(
    database: &Database,
    path: &Path,
    nickname: Option<&str>,
    authorities: &[&Pair],
) -> Result<Imported, Error> {
    let nickname = name::of_bundle(path, nickname)?;
    let bundle = Bundle::open(path, None, &password(""))?;
    let authorities: Vec<X509> = authorities
        .iter()
        .map(|authority| authority.certificate.clone())
        .collect();
    let what = Import {
        bundle: &bundle,
        nickname: &nickname,
        authorities: &authorities,
        dry_run: false,
        now: SystemTime::now(),
    };
    import(database, &what).await
}

/// Programs that stand before NSS's own. Both count their calls in one file, when they have got what they are to do: what
/// is started early, and perhaps for nothing, is counted when it is its turn.
pub struct Saboteur {
    place: TempDir,
}

impl Saboteur {
    /// `sabotage` is shell, with `$n` the number of this call, `$tool` the real program.
    pub fn new(sabotage: &str) -> Self {
        let place = place();
        let count = place.path().join("count");
        fs::write(&count, "0").unwrap();
        for name in ["certutil", "pk12util"] {
            let path = place.path().join(name);
            let script = format!(
                "#!/bin/sh\ntool=/usr/bin/{name}\nin=$(mktemp {place}/in.XXXXXX); cat >$in; exec <$in\nn=$(($(cat {count}) + 1))\necho $n > {count}\n{sabotage}\nexec $tool \"$@\"\n",
                place = place.path().display(),
                count = count.display()
            );
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { place }
    }

    pub fn tools(&self) -> Tools {
        Tools {
            certutil: self.place.path().join("certutil"),
            pk12util: self.place.path().join("pk12util"),
        }
    }

    pub fn calls(&self) -> usize {
        fs::read_to_string(self.place.path().join("count"))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}
