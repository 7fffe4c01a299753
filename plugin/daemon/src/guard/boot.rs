//! All guards into the kernel before the host has a network, without anything but their files.

use std::path::Path;

use super::{
    NFT,
    files::Files,
    nft::{Nft, NftError},
};

/// Sets every guard that has a file below `state_dir`, and tells how many those are.
///
/// # Errors
/// What could not be set, one a line. That does not keep the others from being set.
pub async fn load_all(state_dir: &Path) -> Result<usize, String> {
    load_with(&Nft::new(Path::new(NFT)), state_dir).await
}

pub(super) async fn load_with(nft: &Nft, state_dir: &Path) -> Result<usize, String> {
    let files = Files::new(state_dir);
    let uuids = files
        .all()
        .map_err(|error| format!("failed to list {}: {error}", files.dir().display()))?;
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for uuid in &uuids {
        match files.read(uuid) {
            Ok(text) => texts.push((uuid, text)),
            Err(error) => faults.push(format!("failed to read {}: {error}", files.path(uuid).display())),
        }
    }
    let all: String = texts.iter().map(|(_, text)| text.as_str()).collect();
    if !all.is_empty() && nft.load(&all).await.is_err() {
        for (uuid, text) in &texts {
            if let Err(error) = nft.load(text).await {
                faults.push(fault(files.path(uuid).as_path(), &error));
            }
        }
    }
    if faults.is_empty() {
        Ok(uuids.len())
    } else {
        Err(faults.join("\n"))
    }
}

fn fault(path: &Path, error: &NftError) -> String {
    format!("failed to set the guard in {}: {error}", path.display())
}
