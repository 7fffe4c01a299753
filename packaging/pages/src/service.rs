//! The pages of what is started by others, which are texts.

use clap_mangen::roff::Roff;

use crate::{
    File,
    page::{Page, Release},
    text,
};

const TEXTS: [(&str, &str); 3] = [
    ("nmstate-ipsecd", include_str!("../text/nmstate-ipsecd.8.txt")),
    (
        "nmstate-ipsec-certificates",
        include_str!("../text/nmstate-ipsec-certificates.8.txt"),
    ),
    (
        "nm-libreswan-service",
        include_str!("../text/nm-libreswan-service.8.txt"),
    ),
];

pub(crate) fn pages(release: &Release) -> impl Iterator<Item = File> {
    TEXTS.into_iter().map(|(name, text)| {
        let mut page = Page::new(name, 8, release);
        page.add(&text::roff(text, |_| Roff::new()));
        File::page(name, 8, page.finish())
    })
}
