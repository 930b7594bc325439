//! What an earlier run packed. Whatever was in a layer stays in it where that costs nothing, so that layers come out as they
//! were and need not be published again.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use siphasher::sip::SipHasher13;

use super::PackError;
use super::prepare::Ready;
use crate::manifest::{LayerChange, MANIFEST_NAME, Manifest, ManifestError, PackedEntry, Recompressed};
use crate::open;
use crate::progress::Progress;
use crate::size::Bytes;
use crate::tree::TreePath;

/// The earlier packing whose distribution over layers is reused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Previous {
    /// The one in the output directory, if there is one.
    #[default]
    InOutput,
    /// That of a manifest.
    File(PathBuf),
    /// None: everything is packed afresh.
    Afresh,
}

impl Previous {
    /// Fails where a file that is named is not a manifest. What can be read only once, such as a pipe, is not looked at yet.
    pub(super) fn check(&self) -> Result<(), PackError> {
        match self {
            Self::File(path) if path.is_file() || path.symlink_metadata().is_err() => {
                let manifest = Manifest::<PathHash>::stream(|| open::regular(path));
                manifest.map(drop).map_err(|reason| PackError::Previous {
                    path: path.clone(),
                    reason,
                })
            }
            Self::File(_) | Self::InOutput | Self::Afresh => Ok(()),
        }
    }
}

/// The layers of an earlier packing, and which entry was in which of those without a name.
#[derive(Debug, Default)]
pub(super) struct History {
    layers: Vec<EarlierLayer>,
    /// The entries of each layer without a name, sorted.
    entries: Vec<Vec<PathHash>>,
    recompressed: Vec<Recompressed>,
}

/// What is held of an entry: there may be hundreds of thousands, and their paths would take as much memory as the tree. If two
/// paths had the same hash, one could get into the layer of the other, and nothing else would come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "PackedEntry")]
struct PathHash(u64);

impl PathHash {
    fn of(path: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(path.as_bytes());
        Self(hasher.finish())
    }
}

impl From<PackedEntry> for PathHash {
    fn from(entry: PackedEntry) -> Self {
        Self::of(&entry.path)
    }
}

/// A layer as its manifest describes it.
#[derive(Debug)]
struct EarlierLayer {
    file: String,
    bytes: Bytes,
    sha256: String,
}

impl History {
    /// The earlier packing, and a note where there is one that cannot be used.
    ///
    /// A manifest that the user names has to be one; that in the output directory is only made use of.
    pub(super) fn read(
        previous: &Previous,
        output: &Path,
        progress: &dyn Progress,
    ) -> Result<(Self, Option<String>), PackError> {
        let (path, is_named) = match previous {
            Previous::Afresh => return Ok((Self::default(), None)),
            Previous::InOutput => (output.join(MANIFEST_NAME), false),
            Previous::File(path) if path.is_dir() => (path.join(MANIFEST_NAME), true),
            Previous::File(path) => (path.clone(), true),
        };
        if !is_named && path.symlink_metadata().is_err() {
            return Ok((Self::default(), None));
        }
        let manifest = if !is_named {
            Manifest::stream(|| open::regular(&path))
        } else if path.is_file() {
            Manifest::stream(|| open::content(&path))
        } else {
            let bytes = open::named(&path, progress);
            bytes
                .map_err(ManifestError::from)
                .and_then(|bytes| Manifest::parse_as(&bytes))
        };
        match manifest {
            Ok(manifest) => Ok((Self::of(manifest), None)),
            Err(reason) if is_named => Err(PackError::Previous { path, reason }),
            Err(reason) => {
                let path = path.display();
                let note = format!("{path} is ignored, because it cannot be read: {reason}");
                Ok((Self::default(), Some(note)))
            }
        }
    }

    fn of(manifest: Manifest<PathHash>) -> Self {
        let mut history = Self {
            recompressed: manifest.recompressed,
            ..Self::default()
        };
        for layer in manifest.layers {
            history.layers.push(EarlierLayer {
                file: layer.file,
                bytes: layer.zipped_bytes,
                sha256: layer.sha256,
            });
            if layer.name.is_none() {
                let mut entries = layer.contents;
                entries.sort_unstable();
                entries.shrink_to_fit();
                history.entries.push(entries);
            }
        }
        history
    }

    /// Name and SHA-256 of the layers that have so many bytes.
    pub(super) fn layers_of_length(&self, bytes: u64) -> impl Iterator<Item = (&str, &str)> {
        let layers = self.layers.iter().filter(move |layer| layer.bytes.0 == bytes);
        layers.map(|layer| (layer.file.as_str(), layer.sha256.as_str()))
    }

    /// The layer that each entry was in, of those without a name.
    pub(super) fn layers_of(&self, ready: &[Ready]) -> Vec<Option<usize>> {
        let layer_of = |ready: &Ready| {
            let hash = PathHash::of(&ready.name());
            let mut layers = self.entries.iter();
            layers.rposition(|entries| entries.binary_search(&hash).is_ok())
        };
        ready.iter().map(layer_of).collect()
    }

    /// What was compressed at the highest effort; it is so again, or its layer would change.
    pub(super) fn at_max(&self) -> BTreeSet<TreePath> {
        self.recompressed
            .iter()
            .filter_map(|file| TreePath::new(&file.path))
            .collect()
    }

    /// Of what was compressed at the highest effort what is so again, with its length now.
    pub(super) fn recompressed(&self, ready: &[Ready]) -> Vec<Recompressed> {
        let now: HashMap<&str, &Ready> = ready.iter().map(|ready| (ready.path.as_str(), ready)).collect();
        let again = self.recompressed.iter().filter_map(|file| {
            let entry = &now.get(file.path.as_str())?.entry;
            Some(Recompressed {
                after_bytes: Bytes(entry.compressed.into()),
                ..file.clone()
            })
        });
        again.collect()
    }

    /// Says of each layer of a manifest what became of it, and which are gone.
    pub(super) fn compare(&self, manifest: &mut Manifest) {
        let mut gone: Vec<String> = self.layers.iter().map(|layer| layer.file.clone()).collect();
        for layer in &mut manifest.layers {
            gone.retain(|file| *file != layer.file);
            let before = self.layers.iter().find(|before| before.file == layer.file);
            layer.change = Some(match before {
                None => LayerChange::New,
                Some(before) if before.sha256 == layer.sha256 => LayerChange::Unchanged,
                Some(_) => LayerChange::Changed,
            });
        }
        manifest.removed_layers = gone;
    }
}
