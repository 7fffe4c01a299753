//! The page of the keys of profiles, made of the table that parses them.

use clap_mangen::roff::Roff;
use nmstate_ipsec_core::connection::{Documented, Missing, documented};

use crate::{
    File,
    page::{Page, Release},
    text::{self, inlines},
};

const NAME: &str = "nm-settings-libreswan";

const TEXT: &str = include_str!("../text/nm-settings-libreswan.5.txt");

pub(crate) fn page(release: &Release) -> File {
    let mut page = Page::new(NAME, 5, release);
    page.add(&text::roff(TEXT, |_| keys()));
    File::page(NAME, 5, page.finish())
}

fn keys() -> Roff {
    let mut roff = Roff::new();
    for key in documented() {
        let alias = key.alias.map(|alias| format!(", `{alias}`")).unwrap_or_default();
        roff.control("TP", [])
            .text(inlines(&format!("`{}`{alias}", key.name)))
            .text(inlines(key.meaning))
            .control("br", [])
            .text(inlines(&format!("Type: {}", key.accepted)))
            .control("br", [])
            .text(inlines(&format!("Default: {}", default(&key))));
    }
    roff
}

/// What holds without the key, in words.
fn default(key: &Documented) -> String {
    let values = match &key.default {
        Missing::Refused => return "none, it is required".to_owned(),
        Missing::FilledIn(values) => values,
    };
    let otherwise = if key.is_libreswans { "libreswan's" } else { "none" };
    let told = values
        .iter()
        .map(|one| format!("`{}` {}", one.value, one.to).trim_end().to_owned());
    let mut told: Vec<String> = told.collect();
    if values.iter().all(|one| !one.to.is_empty()) {
        told.push(if values.is_empty() {
            otherwise.to_owned()
        } else {
            format!("else {otherwise}")
        });
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_told_in_words() {
        let all = documented();
        let told = |name: &str| default(all.iter().find(|key| key.name == name).unwrap());
        for (key, expected) in [
            ("right", "none, it is required"),
            ("rekey", "`yes`"),
            ("dpddelay", "`30s` with IKEv2; else libreswan's"),
            ("mtu", "libreswan's"),
            ("vendor", "none"),
        ] {
            assert_eq!(told(key), expected, "{key}");
        }
    }
}
