//! Container images on disk: an archive of `docker save`, an OCI archive, or an OCI layout directory.
//!
//! The layers are laid over one another as container runtimes do it, by their headers alone. What a subtree of the result
//! contains is then written to a private temporary directory, where everything that works on trees finds it; nothing else is
//! extracted. An image is not trusted: no name leads out of the subtree, and lengths and numbers are bounded.

mod blobs;
mod extract;
mod layers;
mod stream;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::progress::{Interrupted, Progress, Stage};
use crate::runtime::Arch;

use blobs::Blobs;
use layers::Merged;

/// Name of the file that marks an OCI layout (OCI Image Layout Specification 1.1, "oci-layout file").
const LAYOUT: &str = "oci-layout";

/// Error of [`Location::open`].
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or directory that is not an image, or a broken one.
    #[error("cannot read the image {path}: {reason}", path = .path.display())]
    Unreadable {
        /// The archive or layout.
        path: PathBuf,
        /// What is wrong, and what to give instead if that is known.
        reason: String,
    },
    /// There is no such directory in the image, or it has nothing in it.
    #[error("there is nothing in {subtree} of the image {path}; name another directory, as in {path}:/opt", path = .path.display())]
    Nothing {
        /// The archive or layout.
        path: PathBuf,
        /// The path in the image.
        subtree: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user stopped the run.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// A directory of an image on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The archive or the layout directory.
    pub image: PathBuf,
    /// The absolute path in the image; `None` if it was not named.
    pub subtree: Option<String>,
}

/// A subtree of an image that was written to a temporary directory, which is removed with this value.
#[derive(Debug)]
pub struct Extracted {
    directory: TempDir,
}

impl Extracted {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Location {
    /// The image that a path on the command line stands for: `IMAGE` or `IMAGE:/PATH`, where `IMAGE` is a tar archive or a
    /// directory with an OCI layout. `None` for everything else, such as a tree or a zip.
    pub fn parse(text: &Path) -> Option<Self> {
        if is_image(text) {
            return Some(Self {
                image: text.to_owned(),
                subtree: None,
            });
        }
        if text.exists() {
            return None;
        }
        let (image, subtree) = text.to_str()?.rsplit_once(":/")?;
        is_image(Path::new(image)).then(|| Self {
            image: image.into(),
            subtree: Some(format!("/{subtree}")),
        })
    }

    /// Extracts the subtree, or `default` if the location names none. Of an image for several architectures, that for `arch` is
    /// taken, else the first.
    pub fn open(&self, default: &str, arch: Arch, progress: &dyn Progress) -> Result<Extracted, ImageError> {
        // From here on an interruption leaves nothing behind.
        let _work = progress.start(Stage::Scan, 0);
        let unreadable = |reason: String| ImageError::Unreadable {
            path: self.image.clone(),
            reason,
        };
        let blobs = Blobs::open(&self.image, progress).map_err(|error| {
            if interrupted(&error) {
                return Interrupted.into();
            }
            unreadable(error.to_string())
        })?;
        let layers = blobs.layers(arch).map_err(unreadable)?;
        let mut merged = Merged::default();
        for (number, layer) in layers.iter().enumerate() {
            let read = blobs
                .read_layer(layer, progress)
                .map_err(|error| layer_error(&self.image, number, &error))?;
            merged
                .apply(number, read)
                .map_err(|reason| unreadable(format!("layer {}: {reason}", number + 1)))?;
        }
        let subtree = self.subtree.as_deref().unwrap_or(default);
        let Some(nodes) = merged.subtree(subtree.as_bytes()).filter(|nodes| !nodes.is_empty()) else {
            return Err(ImageError::Nothing {
                path: self.image.clone(),
                subtree: subtree.to_owned(),
            });
        };
        let directory = tempfile::Builder::new().prefix("lambdar-prune-").tempdir()?;
        extract::extract(&blobs, &layers, &nodes, directory.path(), progress)
            .map_err(|error| layer_error(&self.image, error.layer, &error.error))?;
        Ok(Extracted { directory })
    }
}

fn interrupted(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Interrupted>)
}

fn layer_error(image: &Path, number: usize, error: &std::io::Error) -> ImageError {
    if interrupted(error) {
        return Interrupted.into();
    }
    ImageError::Unreadable {
        path: image.to_owned(),
        reason: format!("layer {}: {error}", number + 1),
    }
}

/// Whether there is a tar archive or an OCI layout at a path.
fn is_image(path: &Path) -> bool {
    if path.is_dir() {
        return path.join(LAYOUT).is_file();
    }
    path.is_file() && stream::is_tar(path).unwrap_or(false)
}
