//! A directory of layers, held against the manifest that pack wrote there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::CheckError;
use super::read::{Layer, read_zips};
use crate::finding::{Code, Finding};
use crate::layer_set::{read_unmixed, settle};
use crate::manifest::directory::unfinished;
use crate::manifest::{LayerSummary, MANIFEST_NAME, Manifest, ManifestError, file_hash};
use crate::progress::Progress;
use crate::size::Bytes;
use crate::tree::path::escaped;

/// Whether a directory holds layers, or what is left of some, and not a tree.
pub(super) fn is_set(directory: &Path) -> io::Result<bool> {
    let has_manifest = manifest(directory).is_some_and(|manifest| manifest.is_ok());
    Ok(has_manifest || !zips(directory)?.is_empty() || !unfinished(directory)?.is_empty())
}

/// Reads the layers of a directory, in the manifest's order, else by number. What differs from the manifest is a finding of
/// the layer, and what concerns the directory one of a layer without a zip. What a killed pack has begun to put in place is
/// brought to its end first.
pub(super) fn read(directory: &Path, max_unzipped: Bytes, progress: &dyn Progress) -> Result<Vec<Layer>, CheckError> {
    let directories = [directory.to_owned()];
    let mut own: Vec<Finding> = Vec::new();
    read_unmixed(&directories, || {
        // Said although what was brought to its end is read again for that.
        own.extend(settled(directory));
        read_once(directory, own.clone(), max_unzipped, progress)
    })
}

fn read_once(
    directory: &Path,
    mut own: Vec<Finding>,
    max_unzipped: Bytes,
    progress: &dyn Progress,
) -> Result<Vec<Layer>, CheckError> {
    let listed = match manifest(directory) {
        Some(Ok(manifest)) => Some(manifest.layers),
        Some(Err(error)) => {
            let reason = escaped(error.of(&directory.join(MANIFEST_NAME)).as_bytes());
            own.push(Finding::new(Code::ManifestUnreadable, &[("reason", &reason)]));
            None
        }
        None => None,
    };
    let mut there = zips(directory)?;
    if there.is_empty() && listed.is_none() && own.is_empty() {
        let reason = "it has left its unfinished work and no layers";
        own.push(Finding::new(Code::PackInterrupted, &[("reason", reason)]));
    }
    order(&mut there, listed.as_deref());
    let mut layers = read_zips(&there, max_unzipped, progress)?;
    for (layer, path) in layers.iter_mut().zip(&there) {
        let Some(listed) = &listed else { continue };
        let finding = match listed.iter().find(|listed| listed.file == layer.file) {
            None => Finding::new(Code::LayerNotListed, &[]),
            Some(listed) if file_hash(path).is_ok_and(|(_, hash)| listed.has_hash(&hash)) => continue,
            Some(_) => Finding::new(Code::LayerChanged, &[]),
        };
        layer.findings.push(finding);
    }
    let read: BTreeSet<String> = there.iter().map(|path| name_of(path)).collect();
    for missing in listed.iter().flatten().filter(|listed| !read.contains(&listed.file)) {
        layers.push(Layer {
            file: missing.file.clone(),
            zip_bytes: Some(Bytes(0)),
            findings: vec![Finding::new(Code::LayerMissing, &[])],
            ..Layer::default()
        });
    }
    if !own.is_empty() {
        layers.push(Layer {
            file: directory.display().to_string(),
            findings: own,
            ..Layer::default()
        });
    }
    Ok(layers)
}

/// Brings to its end what a killed pack has begun to put in place, and says so.
pub(super) fn settled(directory: &Path) -> Option<Finding> {
    match settle(directory) {
        Ok(None) => None,
        Ok(Some(settled)) => Some(Finding::new(Code::PackSettled, &[("state", settled.words())])),
        Err(error) => {
            let reason = format!(
                "the layers may be of two packs ({})",
                escaped(error.to_string().as_bytes())
            );
            Some(Finding::new(Code::PackInterrupted, &[("reason", &reason)]))
        }
    }
}

/// The zips of a directory in the order in which they are attached, and those that its manifest lists and that are not there.
pub(crate) fn zips_in_order(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = manifest(directory).and_then(Result::ok).map(|manifest| manifest.layers);
    let mut there = zips(directory)?;
    for layer in listed.iter().flatten() {
        let path = directory.join(&layer.file);
        if !there.contains(&path) {
            there.push(path);
        }
    }
    order(&mut there, listed.as_deref());
    Ok(there)
}

fn order(zips: &mut [PathBuf], listed: Option<&[LayerSummary]>) {
    let position = |name: &str| listed.iter().copied().flatten().position(|layer| layer.file == name);
    zips.sort_by_key(|path| {
        let name = name_of(path);
        (position(&name).unwrap_or(usize::MAX), number_in(&name), name)
    });
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The directory's manifest; `None` without one.
fn manifest(directory: &Path) -> Option<Result<Manifest, ManifestError>> {
    match Manifest::read(&directory.join(MANIFEST_NAME)) {
        Err(ManifestError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        manifest => Some(manifest),
    }
}

fn zips(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut zips = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "zip") && path.is_file() {
            zips.push(path);
        }
    }
    Ok(zips)
}

/// The first number in a name, so that layer-10 comes after layer-9.
fn number_in(name: &str) -> u64 {
    let digits: String = name
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(u64::MAX)
}
