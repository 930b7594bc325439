//! Reads what a bill of materials is made from: the files of zips or trees, with their digests and what describes packages.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::collect::{Described, collect};
use super::embedded::{EmbeddedVersion, embedded};
use super::native::{is_library_name, is_pkg_config};
use super::{Component, Hash};
use crate::check::{self, CheckError, Input, Layer};
use crate::finding::Finding;
use crate::languages::LANGUAGES;
use crate::manifest::{MANIFEST_NAME, Manifest};
use crate::open;
use crate::progress::Progress;
use crate::tree::content::TEXT_LIMIT;
use crate::tree::{Entry, Tree, TreePath};

/// So much of a library is looked at for its version, in bytes.
const LARGEST_LIBRARY: usize = 64 << 20;

/// Error of [`contents`].
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// It cannot be read, or the user stopped it.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// What is in a zip cannot be told.
    #[error("cannot tell what is in {file}: {message}; `lambdar-prune check` says more", message = .finding.message)]
    Broken {
        /// The zip.
        file: String,
        /// What check says of it.
        finding: Box<Finding>,
    },
    /// A zip cannot be read a second time.
    #[error("cannot read {path}: {reason}", path = .path.display())]
    Zip {
        /// The zip.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl From<std::io::Error> for SbomError {
    fn from(error: std::io::Error) -> Self {
        Self::Check(error.into())
    }
}

/// What is in layers one over the other.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Their files.
    pub tree: Tree,
    /// SHA-256 of each file.
    pub hashes: BTreeMap<TreePath, Hash>,
    /// The texts of files that describe packages.
    pub texts: BTreeMap<TreePath, String>,
    /// The versions that native libraries hold as text.
    pub embedded: BTreeMap<TreePath, EmbeddedVersion>,
    /// What `pack` wrote of them, if it did.
    pub manifest: Option<Manifest>,
}

/// Reads what is at paths of zips, directories with zips, or trees. Of two things at one path the later one counts, as on
/// Lambda.
pub fn contents(paths: &[PathBuf], progress: &dyn Progress) -> Result<Contents, SbomError> {
    let mut contents = Contents::default();
    for input in check::inputs(paths)? {
        let layers = check::read(std::slice::from_ref(&input), check::MAX_UNZIPPED, progress)?;
        let hides = |layer: &Layer| {
            layer
                .findings
                .iter()
                .find(|finding| finding.code.hides_entries())
                .cloned()
        };
        if let Some((layer, finding)) = layers.iter().find_map(|layer| Some((layer, hides(layer)?))) {
            return Err(SbomError::Broken {
                file: layer.file.clone(),
                finding: Box::new(finding),
            });
        }
        match &input {
            Input::Tree(root) => contents.add_tree(root, &layers, progress)?,
            Input::Zips(zips) => contents.add_zips(zips, layers, progress)?,
            Input::Directory(directory) => {
                contents.manifest = Manifest::read(&directory.join(MANIFEST_NAME)).ok();
                let zips: Vec<PathBuf> = layers.iter().map(|layer| directory.join(&layer.file)).collect();
                contents.add_zips(&zips, layers, progress)?;
            }
        }
    }
    Ok(contents)
}

impl Contents {
    /// The components of the layers.
    pub fn components(&self) -> Vec<Component> {
        let manifest = self.manifest.as_ref();
        collect(Described {
            tree: &self.tree,
            source: &self.tree,
            text: &|path| self.texts.get(path).cloned(),
            hashes: &self.hashes,
            embedded: &self.embedded,
            added: manifest.map_or(&[], |manifest| &manifest.added),
            changed: manifest.map_or(&[], |manifest| &manifest.changed),
        })
    }

    fn add_tree(&mut self, root: &Path, layers: &[Layer], progress: &dyn Progress) -> Result<(), SbomError> {
        for (path, entry) in layers.iter().flat_map(|layer| layer.tree.iter()) {
            progress.check().map_err(CheckError::from)?;
            if matches!(entry, Entry::File(_)) {
                self.add_file(path, &mut open::regular(&root.join(path.as_str()))?)?;
            }
            self.tree.insert(path.clone(), entry.clone());
        }
        Ok(())
    }

    fn add_zips(&mut self, zips: &[PathBuf], layers: Vec<Layer>, progress: &dyn Progress) -> Result<(), SbomError> {
        for (path, layer) in zips.iter().zip(layers) {
            let unreadable = |reason: String| SbomError::Zip {
                path: path.clone(),
                reason,
            };
            let mut archive =
                zip::ZipArchive::new(open::regular(path)?).map_err(|error| unreadable(error.to_string()))?;
            for index in 0..archive.len() {
                progress.check().map_err(CheckError::from)?;
                let entry = archive.by_index(index).map_err(|error| unreadable(error.to_string()))?;
                // What the checked reader took for a file; it also bounds how much there is to unpack.
                let name = entry.name().ok().and_then(|name| TreePath::new(&name));
                let named = name.filter(|name| layer.tree.file(name).is_some());
                if let Some(name) = named {
                    let announced = entry.size();
                    self.add_file(&name, &mut entry.take(announced))?;
                }
            }
            for (path, entry) in layer.tree {
                self.tree.insert(path, entry);
            }
        }
        Ok(())
    }

    /// Takes the digest of a file and, if it describes a package, its text; of a library, the version that it holds.
    fn add_file(&mut self, path: &TreePath, content: &mut dyn Read) -> std::io::Result<()> {
        let mut hash = Sha256::new();
        let mut kept = Vec::new();
        let is_kept = describes(path);
        let is_library = is_library_name(path.file_name());
        let limit = if is_library { LARGEST_LIBRARY } else { TEXT_LIMIT };
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(&buffer[..count]);
            if (is_kept || is_library) && kept.len() < limit {
                kept.extend_from_slice(&buffer[..count]);
            }
        }
        self.hashes.insert(path.clone(), hash.finalize().into());
        self.texts.remove(path);
        self.embedded.remove(path);
        if is_library && let Some(version) = embedded(path.file_name(), &kept) {
            self.embedded.insert(path.clone(), version);
        }
        if is_kept && let Ok(text) = String::from_utf8(kept) {
            self.texts.insert(path.clone(), text);
        }
        Ok(())
    }
}

/// The text of a file that describes a package, as far as it is UTF-8 and not too long to be one.
pub fn text_at(path: &Path) -> Option<String> {
    let mut text = String::new();
    open::regular(path)
        .ok()?
        .take(TEXT_LIMIT as u64)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// Whether the text of a file says what a package or library is.
pub(crate) fn describes(path: &TreePath) -> bool {
    is_pkg_config(path) || LANGUAGES.iter().any(|language| language.is_metadata(path))
}
