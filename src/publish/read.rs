//! Reads `layers.json` and the zips that it lists.

use std::path::Path;

use super::PublishError;
use crate::manifest::{MANIFEST_NAME, Manifest, ManifestError};

/// Reads the manifest in a directory, which has to list a layer.
pub fn manifest_in(directory: &Path) -> Result<Manifest, PublishError> {
    let path = directory.join(MANIFEST_NAME);
    let broken = |reason: String| PublishError::Manifest {
        path: path.clone(),
        reason,
    };
    if directory.is_file() || directory.extension().is_some_and(|extension| extension == "zip") && !directory.is_dir() {
        return Err(PublishError::NotADirectory(directory.to_owned()));
    }
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
