//! The output directory: one run at a time, and never a manifest without the layers that it lists.
//!
//! Layers are made in a directory of unfinished work. When all are whole, each is renamed over the one that was there, the
//! manifest is renamed over the earlier one, and only then the layers go that the earlier manifest lists and the new one does
//! not. What cannot be renamed puts everything back. A run that is killed between these steps leaves its unfinished work, and
//! the next run carries that to its end. Zips that no manifest lists are never touched.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::PackError;
use crate::lock::{Lock, lock};
use crate::manifest::directory::{BEFORE, UNFINISHED, is_half_in_place, is_layer_file, unfinished};
use crate::manifest::{MANIFEST_NAME, Manifest, file_hash};

/// The manifest in the unfinished work before the layers are whole.
const UNFINISHED_MANIFEST: &str = "layers.json.new";

/// An output directory that this run alone writes to.
pub(super) struct Output {
    path: PathBuf,
    /// The directories that were made for it, the deepest first.
    made: Vec<PathBuf>,
    staging: Option<TempDir>,
    _lock: Lock,
}

impl Output {
    /// Makes the directory if it is not there, locks it, ends what a killed run has left, and begins unfinished work.
    pub(super) fn open(tree: &Path, path: &Path) -> Result<Self, PackError> {
        outside(tree, path)?;
        let made: Vec<PathBuf> = std::path::absolute(path)?
            .ancestors()
            .take_while(|directory| directory.symlink_metadata().is_err())
            .map(Path::to_owned)
            .collect();
        let opened = Self::begin(path);
        match opened {
            Ok((staging, lock)) => Ok(Self {
                path: path.to_owned(),
                made,
                staging: Some(staging),
                _lock: lock,
            }),
            Err(error) => {
                remove_empty(&made);
                Err(error)
            }
        }
    }

    fn begin(path: &Path) -> Result<(TempDir, Lock), PackError> {
        fs_err::create_dir_all(path)?;
        let lock = lock(path)?.ok_or_else(|| PackError::Busy(path.to_owned()))?;
        for left in unfinished(path)? {
            finish(&left, path)?;
        }
        let staging = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(path);
        let staging = staging.map_err(|error| {
            let message = format!("cannot write to {}: {error}", path.display());
            io::Error::new(error.kind(), message)
        })?;
        Ok((staging, lock))
    }

    /// The directory for unfinished work.
    pub(super) fn staging(&self) -> &Path {
        self.staging.as_ref().map_or(&self.path, TempDir::path)
    }

    /// Puts finished layers and their manifest in the place of an earlier set. If that fails, the earlier set is whole.
    pub(super) fn publish(mut self, manifest: &Manifest) -> Result<(), PackError> {
        let staging = self.staging().to_owned();
        let earlier = Manifest::read(&self.path.join(MANIFEST_NAME)).ok();
        nothing_in_the_way(&staging, &self.path, manifest, earlier.as_ref())?;
        keep_before(&staging, &self.path, manifest)?;
        write_manifest(manifest, &staging)?;
        let placed = put_in_place(&staging, &self.path, manifest);
        let result = match placed {
            Err(error) => {
                if put_back(&staging, &self.path, manifest).is_err() {
                    // The next run goes on from what is left here.
                    self.keep_staging();
                }
                Err(error)
            }
            Ok(()) => remove_surplus(&staging, &self.path, manifest).inspect_err(|_| self.keep_staging()),
        };
        if result.is_ok() {
            self.made.clear();
        }
        Ok(result?)
    }

    fn keep_staging(&mut self) {
        if let Some(staging) = self.staging.take() {
            let _ = staging.keep();
        }
        self.made.clear();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A file that cannot be removed is left for the next run.
        if let Some(staging) = self.staging.take() {
            let _ = staging.close();
        }
        remove_empty(&self.made);
    }
}

/// Fails where the layers would become part of the tree.
pub(super) fn outside(tree: &Path, output: &Path) -> Result<(), PackError> {
    let tree = fs_err::canonicalize(tree)?;
    let absolute = std::path::absolute(output)?;
    let existing = absolute
        .ancestors()
        .find_map(|directory| directory.canonicalize().ok())
        .unwrap_or_else(|| absolute.clone());
    if existing.starts_with(&tree) {
        return Err(PackError::OutputInsideTree {
            output: output.to_owned(),
            tree,
        });
    }
    Ok(())
}

fn remove_empty(directories: &[PathBuf]) {
    for directory in directories {
        if fs_err::remove_dir(directory).is_err() {
            return;
        }
    }
}

/// Fails where something has the name of a layer or of the manifest that is not of an earlier set.
fn nothing_in_the_way(
    staging: &Path,
    output: &Path,
    manifest: &Manifest,
    earlier: Option<&Manifest>,
) -> Result<(), PackError> {
    let listed: BTreeSet<&str> = earlier
        .iter()
        .flat_map(|earlier| &earlier.layers)
        .map(|layer| layer.file.as_str())
        .collect();
    let in_the_way = |path: PathBuf, what| Err(PackError::InTheWay { path, what });
    let layers = manifest.layers.iter().map(|layer| layer.file.as_str());
    for name in layers.chain([MANIFEST_NAME]) {
        let path = output.join(name);
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            return in_the_way(path, "a directory");
        }
        let is_own = name == MANIFEST_NAME || listed.contains(name);
        if !is_own && file_hash(&path).ok() != Some(file_hash(&staging.join(name))?) {
            return in_the_way(path, "not listed in a layers.json next to it");
        }
    }
    Ok(())
}

/// Gives what will be replaced a second name. Where there are no hard links, it is copied.
fn keep_before(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    let before = staging.join(BEFORE);
    fs_err::create_dir(&before)?;
    let layers = manifest.layers.iter().map(|layer| layer.file.as_str());
    for name in layers.chain([MANIFEST_NAME]) {
        match fs_err::hard_link(output.join(name), before.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // There are no hard links, or none to files of others.
            Err(_) if output.join(name).symlink_metadata()?.is_file() => {
                fs_err::copy(output.join(name), before.join(name))?;
            }
            result => result?,
        }
    }
    Ok(())
}

/// Writes the manifest to the unfinished work. When it has its name, all layers are whole and on disk.
fn write_manifest(manifest: &Manifest, staging: &Path) -> io::Result<()> {
    let path = staging.join(UNFINISHED_MANIFEST);
    let mut file = fs_err::File::create(&path)?;
    file.write_all(manifest.to_json().as_bytes())?;
    file.sync_all()?;
    sync(staging)?;
    fs_err::rename(path, staging.join(MANIFEST_NAME))?;
    sync(staging)
}

fn put_in_place(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    for layer in &manifest.layers {
        fs_err::rename(staging.join(&layer.file), output.join(&layer.file))?;
    }
    fs_err::rename(staging.join(MANIFEST_NAME), output.join(MANIFEST_NAME))?;
    sync(output)
}

/// Undoes [`put_in_place`], however far it came.
fn put_back(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    let before = staging.join(BEFORE);
    let layers = manifest.layers.iter().map(|layer| layer.file.as_str());
    for name in layers.chain([MANIFEST_NAME]) {
        let kept = before.join(name);
        if kept.symlink_metadata().is_ok() {
            fs_err::rename(kept, output.join(name))?;
        } else if staging.join(name).symlink_metadata().is_err() {
            // It was renamed, and nothing was there before.
            remove_if_there(&output.join(name))?;
        }
    }
    sync(output)
}

/// Removes the layers that the earlier manifest lists and the new one does not. What has another content than is listed is of
/// someone else.
fn remove_surplus(staging: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    let Ok(earlier) = Manifest::read(&staging.join(BEFORE).join(MANIFEST_NAME)) else {
        return Ok(());
    };
    let is_new = |name: &str| manifest.layers.iter().any(|layer| layer.file == name);
    for layer in earlier.layers.iter().filter(|layer| !is_new(&layer.file)) {
        let path = output.join(&layer.file);
        if is_layer_file(&layer.file) && file_hash(&path).is_ok_and(|(_, hash)| layer.has_hash(&hash)) {
            remove_if_there(&path)?;
        }
    }
    sync(output)
}

/// Ends what a killed run has begun: a set that was being put in place is put there, or, if it is not whole, the earlier one
/// is put back; then the unfinished work is removed.
fn finish(left: &Path, output: &Path) -> Result<(), PackError> {
    if is_half_in_place(left) {
        if let Some(manifest) = own_manifest(&left.join(MANIFEST_NAME)) {
            if is_whole(left, output, &manifest) {
                put_rest_in_place(left, output, &manifest)?;
                remove_surplus(left, output, &manifest)?;
            } else {
                put_back(left, output, &manifest)?;
            }
        } else if let Some(manifest) = own_manifest(&output.join(MANIFEST_NAME)) {
            // The manifest was in place already, or none of the layers was.
            remove_surplus(left, output, &manifest)?;
        }
    }
    remove_own(left)?;
    Ok(())
}

/// A manifest all of whose layers have names that this program gives.
fn own_manifest(path: &Path) -> Option<Manifest> {
    let manifest = Manifest::read(path).ok()?;
    manifest
        .layers
        .iter()
        .all(|layer| is_layer_file(&layer.file))
        .then_some(manifest)
}

/// Whether each layer of a manifest is in the unfinished work or in its place.
fn is_whole(left: &Path, output: &Path, manifest: &Manifest) -> bool {
    manifest.layers.iter().all(|layer| {
        let is_it = |path: PathBuf| file_hash(&path).is_ok_and(|(_, hash)| layer.has_hash(&hash));
        is_it(left.join(&layer.file)) || is_it(output.join(&layer.file))
    })
}

fn put_rest_in_place(left: &Path, output: &Path, manifest: &Manifest) -> io::Result<()> {
    for layer in &manifest.layers {
        if left.join(&layer.file).symlink_metadata().is_ok() {
            fs_err::rename(left.join(&layer.file), output.join(&layer.file))?;
        }
    }
    fs_err::rename(left.join(MANIFEST_NAME), output.join(MANIFEST_NAME))?;
    sync(output)
}

/// Removes unfinished work, if there is nothing in it but what this program puts there.
fn remove_own(left: &Path) -> io::Result<()> {
    for directory in [left.join(BEFORE), left.to_owned()] {
        let entries = match fs_err::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_own = entry
                .file_name()
                .to_str()
                .is_some_and(|name| is_layer_file(name) || [MANIFEST_NAME, UNFINISHED_MANIFEST].contains(&name));
            if is_own && !entry.file_type()?.is_dir() {
                fs_err::remove_file(entry.path())?;
            }
        }
        match fs_err::remove_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}
