//! What must hold of every profile and of every environment of pluto's updown command, whatever is in them. Part of the
//! property tests of `plugin/core` and of the fuzz targets, which give it their input.

use std::collections::HashMap;
use std::path::Path;

use nmstate_ipsec_core::connection::{Connection, Rendering, YesNo};
use nmstate_ipsec_core::ip_config::{Dict, network_config};
use nmstate_ipsec_core::profile::{InvalidProfile, Profile, Settings};
use nmstate_ipsec_core::render::{
    LeftEnd, LibreswanVersion, RenderOptions, ResolvedEnds, RightEnd, ipsec_conf, ipsec_secrets,
};
use nmstate_ipsec_core::secret::Secret;
use nmstate_ipsec_core::updown::Updown;
use zbus::zvariant::{OwnedValue, Value};

/// The updown command of the configurations.
const UPDOWN: &str = "/usr/libexec/nm-libreswan-service-helper";

/// The versions of libreswan that configurations are written for.
const VERSIONS: [LibreswanVersion; 2] = [
    LibreswanVersion { major: 4, minor: 10 },
    LibreswanVersion { major: 5, minor: 2 },
];

/// Longest text that NetworkManager is told, in bytes: the peer's banner has 1024 characters at most.
const LONGEST_TEXT: usize = 4 * 1024;

/// Separates the records of a fuzz target's input, and the name from the value in each.
const RECORD: char = '\u{1e}';
const UNIT: char = '\u{1f}';

/// What is broken.
type Broken = String;

/// The profile, if the daemon would bring it up.
pub(crate) fn judged(settings: &Settings) -> Result<Profile, InvalidProfile> {
    let profile = Profile::from_settings(settings)?;
    profile.check_keys()?;
    Ok(profile)
}

/// Of a profile that is refused, the reason is one line; of one that is accepted, configuration and secrets have the
/// lines that the typed model has, and no others, and are read back as what they were written from.
pub(crate) fn check_profile(settings: &Settings) -> Result<(), Broken> {
    let profile = match judged(settings) {
        Ok(profile) => profile,
        Err(fault) => return one_line(&fault.to_string()),
    };
    let name = profile.pluto_name();
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name
        .as_str()
        .starts_with(|first: char| first.is_ascii_alphabetic())
        || !name.as_str().bytes().all(is_of_name)
    {
        return Err(format!("pluto's name for it is {name:?}"));
    }
    let ends = ResolvedEnds {
        left: LeftEnd::Ip([192, 0, 2, 251].into()),
        right: RightEnd::Ip([192, 0, 2, 252].into()),
    };
    for version in VERSIONS {
        let options = RenderOptions {
            updown: Path::new(UPDOWN),
            crypto_policy: None,
        };
        match ipsec_conf(&profile, &ends, version, &options) {
            Ok(text) => check_conf(&profile, &text)?,
            Err(fault) => one_line(&fault.to_string())?,
        }
    }
    let secrets = ipsec_secrets(&profile, &ends);
    check_secrets(&profile, secrets.as_ref().map_or("", Secret::expose))?;
    match Connection::from_data(&data_of(&profile.connection)) {
        Ok(again) if again == profile.connection => Ok(()),
        other => Err(format!("{:?} is read back as {other:?}", profile.connection)),
    }
}

/// The data that a connection is parsed from again.
pub(crate) fn data_of(connection: &Connection) -> HashMap<String, String> {
    let settings = connection.settings().into_iter();
    let mut data: HashMap<_, _> = settings
        .map(|setting| (setting.key.to_owned(), setting.value))
        .collect();
    let mut put = |key: &str, value: String| data.insert(key.to_owned(), value);
    put("left", connection.left.to_string());
    put("right", connection.right.to_string());
    put("nm-connect-mode", connection.connect_mode.to_string());
    put(
        "nm-auto-defaults",
        YesNo::from(connection.auto_defaults).to_string(),
    );
    data
}

fn one_line(text: &str) -> Result<(), Broken> {
    if text.len() > 1000 || text.chars().any(char::is_control) {
        return Err(format!(
            "a message that is long or has control characters: {text:?}"
        ));
    }
    Ok(())
}

/// Keys and values of a configuration whose lines are all of the form that is meant; nothing if one is not.
pub(crate) fn lines_of(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.split('\n');
    if lines.next()? != format!("conn {name}") {
        return None;
    }
    let mut pairs = Vec::new();
    let rest: Vec<_> = lines.collect();
    let (last, rest) = rest.split_last()?;
    for line in rest {
        let (key, value) = line.strip_prefix('\t')?.split_once('=')?;
        let is_bare = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let value = if is_bare {
            value
        } else {
            value.strip_prefix('"')?.strip_suffix('"')?
        };
        if value.contains(['"', '\'']) || value.chars().any(char::is_control) {
            return None;
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    last.is_empty().then_some(pairs)
}

fn check_conf(profile: &Profile, text: &str) -> Result<(), Broken> {
    let broken = |what: &str| format!("{what}: {text:?}");
    let lines = lines_of(text, profile.pluto_name().as_str()).ok_or_else(|| broken("not of the form"))?;
    let mut keys: Vec<_> = lines.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() != lines.len() {
        return Err(broken("a key is there twice"));
    }
    for setting in profile.connection.settings() {
        let line = (setting.key.to_owned(), setting.value.clone());
        let is_right = match setting.rendering {
            Rendering::Same | Rendering::Number => lines.contains(&line),
            Rendering::Never => !keys.contains(&setting.key),
            Rendering::Special => true,
        };
        if !is_right {
            return Err(broken(setting.key));
        }
    }
    let updown = ("leftupdown".to_owned(), UPDOWN.to_owned());
    if !lines.contains(&updown) || keys.contains(&"rightupdown") {
        return Err(broken("another updown command"));
    }
    Ok(())
}

/// At most one line for the pre-shared key and one for the password, each with indices and hexadecimal digits, and the
/// digits being those of the profile's secrets.
fn check_secrets(profile: &Profile, text: &str) -> Result<(), Broken> {
    let given = [
        ("PSK", &profile.secrets.psk),
        ("XAUTH", &profile.secrets.xauth_password),
    ];
    let mut seen = Vec::new();
    for line in text.split_terminator('\n') {
        let broken = || format!("not a line of secrets: {line:?}");
        let (indices, secret) = line.rsplit_once(" : ").ok_or_else(broken)?;
        let (kind, digits) = secret.split_once(" 0x").ok_or_else(broken)?;
        let is_known = given.iter().any(|(known, secret)| {
            let hex = |byte: u8| format!("{byte:02x}");
            let expected = secret
                .as_ref()
                .map(|secret| secret.expose().bytes().map(hex).collect::<String>());
            *known == kind && expected.as_deref() == Some(digits)
        });
        let is_printable = !indices.is_empty() && !indices.chars().any(char::is_control);
        if !is_known
            || !is_printable
            || indices.contains('\'')
            || indices.starts_with([' ', '#'])
            || seen.contains(&kind)
        {
            return Err(broken());
        }
        seen.push(kind);
    }
    Ok(())
}

/// Variables of the updown command come out as NetworkManager's dictionaries without control characters, or are refused
/// in one line.
pub(crate) fn check_updown(profile: &Profile, variables: &[(String, String)]) -> Result<(), Broken> {
    let updown = match Updown::from_env(variables.iter().map(|(name, value)| (name, value))) {
        Ok(updown) => updown,
        Err(fault) => return one_line(&fault.to_string()),
    };
    let ends = ResolvedEnds {
        left: LeftEnd::DefaultRoute,
        right: RightEnd::Any,
    };
    let network = network_config(profile, &ends, &[updown.clone(), updown]);
    if network.config.has_ip4 != network.ip4.is_some() || network.config.has_ip6 != network.ip6.is_some() {
        return Err("a family is announced and does not follow".into());
    }
    let ip4 = network.ip4.map(|config| config.to_dict());
    let ip6 = network.ip6.map(|config| config.to_dict());
    if ip4
        .as_ref()
        .is_some_and(|dict| dict.get("address") == Some(&Value::new(0_u32)))
    {
        return Err("the address 0".into());
    }
    for dict in [Some(network.config.to_dict()), ip4, ip6].into_iter().flatten() {
        check_dict(&dict)?;
    }
    Ok(())
}

fn check_dict(dict: &Dict) -> Result<(), Broken> {
    for (key, value) in dict {
        let texts: Vec<&str> = match value {
            Value::Str(text) => vec![text.as_str()],
            Value::Array(list) => list.iter().filter_map(|item| item.downcast_ref().ok()).collect(),
            _ => Vec::new(),
        };
        for text in texts {
            if text.len() > LONGEST_TEXT || text.chars().any(char::is_control) {
                return Err(format!("{key} is long or has control characters: {text:?}"));
            }
        }
    }
    Ok(())
}

/// A profile of a fuzz target's input: records of a name and a value, the name being `id`, `uuid`, `permissions`,
/// `data.<key>` or `secrets.<key>`.
pub(crate) fn settings_of(input: &[u8]) -> Settings {
    let owned = |text: String| OwnedValue::from(zbus::zvariant::Str::from(text));
    let mut connection = HashMap::from([
        ("id".to_owned(), owned("hosta_conn".into())),
        (
            "uuid".to_owned(),
            owned("1f2e3d4c-0000-4000-8000-00000000000a".into()),
        ),
    ]);
    let (mut data, mut secrets) = (HashMap::new(), HashMap::new());
    for (name, value) in records(input) {
        match name.split_once('.') {
            Some(("data", key)) => drop(data.insert(key.to_owned(), value)),
            Some(("secrets", key)) => drop(secrets.insert(key.to_owned(), value)),
            _ if name == "permissions" => {
                let list = Value::new(vec![value]);
                connection.extend(OwnedValue::try_from(list).map(|list| (name, list)));
            }
            _ => drop(connection.insert(name, owned(value))),
        }
    }
    let dictionary = |pairs: HashMap<String, String>| OwnedValue::try_from(Value::new(pairs)).ok();
    let mut vpn = HashMap::from([(
        "service-type".to_owned(),
        owned("org.freedesktop.NetworkManager.libreswan".into()),
    )]);
    vpn.extend(dictionary(data).map(|data| ("data".to_owned(), data)));
    vpn.extend(dictionary(secrets).map(|secrets| ("secrets".to_owned(), secrets)));
    let method = || HashMap::from([("method".to_owned(), owned("auto".into()))]);
    [
        ("connection", connection),
        ("vpn", vpn),
        ("ipv4", method()),
        ("ipv6", method()),
    ]
    .map(|(setting, keys)| (setting.to_owned(), keys))
    .into()
}

/// The records of a fuzz target's input, names and values. Bytes that are no UTF-8 become what stands for them.
pub(crate) fn records(input: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(input);
    let records = text.split(RECORD).filter_map(|record| record.split_once(UNIT));
    records
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The input of a fuzz target for these records.
pub(crate) fn input_of<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let records: Vec<_> = records
        .into_iter()
        .map(|(name, value)| format!("{name}{UNIT}{value}"))
        .collect();
    records.join(&RECORD.to_string()).into_bytes()
}
