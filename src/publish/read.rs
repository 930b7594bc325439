//! Reads `layers.json` and the zips that it lists.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::PublishError;
use crate::pack::MANIFEST_NAME;
use crate::runtime::Arch;

/// The part of the manifest that publishing needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Packed {
    schema_version: u32,
    /// The runtime that the layers were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// The layers, in the order in which they are to be attached.
    pub layers: Vec<PackedLayer>,
}

/// One zip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PackedLayer {
    /// Its name beside the manifest.
    pub file: String,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The same in base64.
    pub code_sha256: String,
}

/// The form of the manifest that this program writes.
const SCHEMA_VERSION: u32 = 1;

impl Packed {
    /// Reads the manifest in a folder.
    pub fn read(folder: &Path) -> Result<Self, PublishError> {
        let path = folder.join(MANIFEST_NAME);
        let text = match fs_err::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(PublishError::NoManifest(path)),
            result => result?,
        };
        Self::parse(&text).map_err(|reason| PublishError::Manifest { path, reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let packed: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if packed.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "its form is number {}, not {SCHEMA_VERSION}",
                packed.schema_version
            ));
        }
        if packed.layers.is_empty() {
            return Err("it lists no layer".to_owned());
        }
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        match packed.layers.iter().find(|layer| !plain(&layer.file)) {
            Some(layer) => Err(format!("{:?} is no name of a file beside it", layer.file)),
            None => Ok(packed),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_not_trusted() {
        let manifest = |version: u32, files: &[&str]| {
            let layers: Vec<_> = files
                .iter()
                .map(|file| serde_json::json!({"file": file, "sha256": "a", "code_sha256": "b", "entries": 1}))
                .collect();
            serde_json::json!({
                "schema_version": version, "runtime": "provided.al2023", "arch": "arm64", "layers": layers, "more": [],
            })
            .to_string()
        };
        let packed = Packed::parse(&manifest(1, &["layer-1.zip", "layer-2.zip"])).unwrap();
        assert_eq!((packed.arch, packed.layers.len()), (Arch::Arm64, 2));
        for text in [
            manifest(2, &["layer-1.zip"]),
            manifest(1, &[]),
            manifest(1, &["../layer-1.zip"]),
            manifest(1, &["/etc/passwd"]),
            manifest(1, &[""]),
            "{".to_owned(),
        ] {
            assert!(Packed::parse(&text).is_err(), "{text}");
        }
    }
}
