//! `nmstate-ipsec-pages ROOT`: writes the manual pages and the completions of shells below ROOT, where packages have them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use nmstate_ipsec_pages::{Release, files};

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [root] = arguments.as_slice() else {
        bail!("usage: nmstate-ipsec-pages ROOT");
    };
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    let release = Release::new(epoch.as_deref())?;
    for file in files(&release)? {
        let path = PathBuf::from(root).join(file.path);
        put(&path, &file.text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text)
}
