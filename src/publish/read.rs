//! Reads `layers.json` and the zips that it lists.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::PublishError;
use crate::manifest::{MANIFEST_NAME, Manifest, ManifestError};

/// Reads the manifest in a directory, which has to list a layer.
pub fn manifest_in(directory: &Path) -> Result<Manifest, PublishError> {
    let path = directory.join(MANIFEST_NAME);
    let broken = |reason: String| PublishError::Manifest {
        path: path.clone(),
        reason,
    };
    match Manifest::read(&path) {
        Err(ManifestError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(PublishError::NoManifest(path))
        }
        Err(ManifestError::Io(error)) => Err(error.into()),
        Err(error) => Err(broken(error.to_string())),
        Ok(manifest) if manifest.layers.is_empty() => Err(broken("it lists no layer".to_owned())),
        Ok(manifest) => Ok(manifest),
    }
}

/// The length of a file and its SHA-256.
pub(super) fn length_and_hash(path: &Path) -> std::io::Result<(u64, [u8; 32])> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((length, hash.finalize().into())),
            Ok(count) => {
                hash.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
