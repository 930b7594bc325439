//! Reads inventories: a manifest, zips, a directory of them, or a tree.

use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::error::Category;

use super::Inventory;
use crate::check::{self, CheckError, InZip, Layer};
use crate::finding::Finding;
use crate::manifest::{MANIFEST_NAME, Manifest};
use crate::open;
use crate::progress::Progress;
use crate::tree::path::escaped;
use crate::tree::{Entry, TreePath};

/// Error of [`read_inventory`].
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It cannot be read, or the user stopped it.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A file that is neither a zip nor a manifest.
    #[error(
        "cannot use {path}: {reason}; give {MANIFEST_NAME} as this program writes it, zips, a directory with zips, or a tree",
        path = .path.display()
    )]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What is in a zip cannot be told.
    #[error("cannot tell what is in {file}: {at}{message}", message = .finding.message, at = at(.finding))]
    Broken {
        /// The zip.
        file: String,
        /// What check says of it.
        finding: Box<Finding>,
    },
}

fn at(finding: &Finding) -> String {
    finding
        .path
        .as_ref()
        .map_or_else(String::new, |path| format!("{path}: "))
}

impl From<std::io::Error> for InventoryError {
    fn from(error: std::io::Error) -> Self {
        Self::Check(error.into())
    }
}

/// Reads what is at a path. Zips and files of trees are read whole, so that a change of content shows.
pub fn read_inventory(path: &Path, progress: &dyn Progress) -> Result<Inventory, InventoryError> {
    let kind = path.metadata().map(|metadata| metadata.file_type());
    let is_pipe = kind.as_ref().is_ok_and(FileTypeExt::is_fifo);
    if is_pipe || (kind.is_ok_and(|kind| kind.is_file()) && !is_zip(path)?) {
        return manifest(path, progress);
    }
    let mut layers = check::read(&check::inputs(&[path.to_owned()])?, check::MAX_UNZIPPED, progress)?;
    for layer in &mut layers {
        if let Some(finding) = layer.findings.iter().find(|finding| finding.code.hides_entries()) {
            return Err(InventoryError::Broken {
                file: layer.file.clone(),
                finding: Box::new(finding.clone()),
            });
        }
        if layer.zip_bytes.is_none() {
            add_sums(layer, path, progress)?;
        }
    }
    Ok(Inventory::of_layers(&layers))
}

/// By its name, or by how it begins: with a local header, or where it is empty with the end record (APPNOTE.TXT 4.3.7,
/// 4.3.16).
fn is_zip(path: &Path) -> Result<bool, InventoryError> {
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(4).read_to_end(&mut start)?;
    let by_name = path.extension().is_some_and(|extension| extension == "zip");
    Ok(by_name || start == b"PK\x03\x04" || start == b"PK\x05\x06")
}

fn manifest(path: &Path, progress: &dyn Progress) -> Result<Inventory, InventoryError> {
    let unusable = |reason: String| InventoryError::Manifest {
        path: path.to_owned(),
        reason,
    };
    let bytes = open::named(path, progress)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        unusable(match error.classify() {
            Category::Syntax | Category::Io => "it is neither a zip nor JSON".to_owned(),
            Category::Eof => "it is empty or ends too early".to_owned(),
            Category::Data => format!("it is JSON, but not of this program: {error}"),
        })
    })?;
    for entry in manifest.layers.iter().flat_map(|layer| &layer.contents) {
        let plain = TreePath::new(entry.path.strip_suffix('/').unwrap_or(&entry.path));
        if plain.is_none() {
            let name = escaped(entry.path.as_bytes());
            return Err(unusable(format!("'{name}' is not a path in a layer")));
        }
    }
    Ok(Inventory::of_manifest(&manifest))
}

/// Adds the checksums of a tree's files. One that cannot be read has none.
fn add_sums(layer: &mut Layer, root: &Path, progress: &dyn Progress) -> Result<(), CheckError> {
    let files: Vec<&TreePath> = layer
        .tree
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::File(_)))
        .map(|(path, _)| path)
        .collect();
    let sums = files
        .into_par_iter()
        .map(|path| {
            progress.check()?;
            let crc32 = sum(&root.join(path.as_str())).ok();
            Ok((path.clone(), InZip { crc32, zipped: None }))
        })
        .collect::<Result<_, CheckError>>()?;
    layer.in_zip = sums;
    Ok(())
}

/// CRC-32 of a file.
fn sum(path: &Path) -> std::io::Result<u32> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hash.finalize());
        }
        hash.update(&buffer[..count]);
    }
}
