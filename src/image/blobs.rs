//! The parts of an image: its manifest and the streams of its layers.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::LAYOUT;
use super::stream::{self, Header, plain, read_entries};
use crate::open;
use crate::progress::Progress;
use crate::runtime::Arch;

/// How long a manifest or an index is at most: OCI registries accept 4 MiB (OCI Distribution Specification 1.1, "Pushing
/// Manifests").
const JSON_BYTES: u64 = 4 << 20;

/// How long an archive is at most without its compression: three times an image that Lambda accepts (AWS Lambda developer guide,
/// "Lambda quotas": 10 GB).
const ARCHIVE_BYTES: u64 = 32 << 30;

/// How deep indices may be nested.
const DEPTH: usize = 4;

/// The files of an image by their names.
pub(super) enum Blobs {
    /// A directory.
    Layout(PathBuf),
    /// An archive, with offset and length of each file.
    Archive {
        path: PathBuf,
        files: BTreeMap<Vec<u8>, (u64, u64)>,
        /// What is at the path, if the archive had to be decompressed so that its parts can be read in any order.
        _decompressed: Option<NamedTempFile>,
    },
}

/// Names of files in the image.
type Layers = Vec<String>;

/// Where another part is (OCI Image Format Specification 1.1, "OCI Content Descriptors").
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    architecture: String,
    /// Of the architecture, such as `v8`.
    #[serde(default)]
    variant: String,
}

impl Platform {
    /// Whether it exists and runs Linux. Attestations are next to the images, for a platform that does not.
    fn is_linux(&self) -> bool {
        ["", "linux"].contains(&self.os.as_str()) && self.architecture != "unknown"
    }
}

/// An index or a manifest of an image (same, "OCI Image Index Specification" and "OCI Image Manifest Specification").
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// One image of `manifest.json` (Docker Image Specification 1.2, "Combined Image JSON + Filesystem Changeset Format").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Blobs {
    /// Lists an archive, or takes a layout directory as it is.
    pub(super) fn open(path: &Path, progress: &dyn Progress) -> io::Result<Self> {
        if path.is_dir() {
            return Ok(Self::Layout(path.to_owned()));
        }
        let path = path.canonicalize()?;
        let decompressed = decompressed(&path, progress)?;
        let path = decompressed.as_ref().map_or(path, |file| file.path().to_owned());
        let mut archive = tar::Archive::new(open::regular(&path)?);
        let mut files = BTreeMap::new();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            if files.len() >= stream::ENTRIES {
                return Err(io::Error::other("it has too many entries"));
            }
            match entry.header().entry_type() {
                tar::EntryType::Regular => {
                    files.insert(plain(&entry.path_bytes())?, (entry.raw_file_position(), entry.size()));
                }
                // docker save links layers that several images share.
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let from = plain(&entry.path_bytes())?;
                    let to = entry.link_name_bytes().unwrap_or_default().into_owned();
                    if let Some(place) = linked(&from, &to).and_then(|to| files.get(&to).copied()) {
                        files.insert(from, place);
                    }
                }
                _ => {}
            }
        }
        Ok(Self::Archive {
            path,
            files,
            _decompressed: decompressed,
        })
    }

    fn file(&self, name: &str) -> io::Result<io::Take<fs_err::File>> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is missing"));
        match self {
            Self::Layout(directory) => {
                let name = String::from_utf8(plain(name.as_bytes())?).map_err(io::Error::other)?;
                let file = open::regular(&directory.join(name))?;
                Ok(file.take(u64::MAX))
            }
            Self::Archive { path, files, .. } => {
                let (offset, length) = *files.get(&plain(name.as_bytes())?).ok_or_else(absent)?;
                let mut file = open::regular(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok(file.take(length))
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Layout(directory) => directory.join(name).is_file(),
            Self::Archive { files, .. } => files.contains_key(name.as_bytes()),
        }
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let mut bytes = Vec::new();
        let read = self
            .file(name)
            .and_then(|file| file.take(JSON_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| error.to_string())?;
        if bytes.len() as u64 > JSON_BYTES {
            return Err(format!("{name} is too long"));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
    }

    /// The names of the layers, the lowest first. What Docker writes for itself comes before the OCI index, which it adds.
    pub(super) fn layers(&self, arch: Arch) -> Result<Layers, String> {
        if self.has("manifest.json") && matches!(self, Self::Archive { .. }) {
            let saved: Vec<Saved> = self.json("manifest.json")?;
            return match <[Saved; 1]>::try_from(saved) {
                Ok([image]) => Ok(image.layers),
                Err(images) => {
                    let names: Vec<String> = images
                        .into_iter()
                        .flat_map(|image| image.repo_tags.unwrap_or_default())
                        .collect();
                    Err(format!("it has several images ({}); save one alone", names.join(", ")))
                }
            };
        }
        if !self.has("index.json") {
            return Err(format!(
                "it has neither manifest.json nor {LAYOUT}; give what `docker save` or an OCI layout writes, or an unpacked tree"
            ));
        }
        self.oci_layers("index.json", arch, DEPTH)
    }

    fn oci_layers(&self, name: &str, arch: Arch, depth: usize) -> Result<Layers, String> {
        let document: Document = self.json(name)?;
        if !document.layers.is_empty() {
            return document.layers.iter().map(blob).collect();
        }
        let images = document
            .manifests
            .iter()
            .filter(|image| image.platform.as_ref().is_none_or(Platform::is_linux));
        let is_for_arch = |image: &&Descriptor| {
            let platform = image.platform.as_ref();
            platform.is_some_and(|platform| platform.architecture == docker_name(arch))
        };
        let Some(image) = images.clone().find(is_for_arch).or(images.clone().next()) else {
            return Err(format!("{name} lists no image"));
        };
        if images
            .clone()
            .any(|other| other.platform == image.platform && other.digest != image.digest)
        {
            let digests: Vec<&str> = images.map(|image| image.digest.as_str()).collect();
            return Err(format!(
                "{name} lists several images ({}); save one alone",
                digests.join(", ")
            ));
        }
        if depth == 0 {
            return Err(format!("{name}: indices are nested too deep"));
        }
        self.oci_layers(&blob(image)?, arch, depth - 1)
    }

    /// The headers of a layer, in order.
    pub(super) fn read_layer(&self, layer: &str, progress: &dyn Progress) -> io::Result<Vec<Header>> {
        let mut headers = Vec::new();
        self.read_contents(layer, progress, |_, header, _| {
            headers.push(header);
            Ok(())
        })?;
        Ok(headers)
    }

    /// As [`read_entries`], for a layer by its name.
    pub(super) fn read_contents(
        &self,
        layer: &str,
        progress: &dyn Progress,
        each: impl FnMut(usize, Header, &mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        read_entries(self.file(layer)?, progress, each)
    }
}

/// An archive without its compression, in a temporary file; `None` if it has none.
fn decompressed(path: &Path, progress: &dyn Progress) -> io::Result<Option<NamedTempFile>> {
    let Some(mut stream) = stream::compressed(open::regular(path)?)? else {
        return Ok(None);
    };
    let mut file = NamedTempFile::new()?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = ARCHIVE_BYTES;
    loop {
        progress.check().map_err(io::Error::other)?;
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(Some(file));
        }
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than 32 GiB"))?;
        file.write_all(&buffer[..count])?;
    }
}

/// Where a link in the archive leads to.
fn linked(from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut components: Vec<&[u8]> = from.split(|byte| *byte == b'/').collect();
    components.pop();
    for component in to.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components.join(&b'/'))
}

/// The file of a part (OCI Image Layout Specification 1.1, "Blobs").
fn blob(descriptor: &Descriptor) -> Result<String, String> {
    if descriptor.media_type.contains("foreign") || descriptor.media_type.contains("nondistributable") {
        return Err(format!("the layer {} is not part of the image", descriptor.digest));
    }
    let (algorithm, hash) = descriptor.digest.split_once(':').unwrap_or_default();
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name(algorithm) || !is_name(hash) {
        return Err(format!("'{}' is not a digest", descriptor.digest));
    }
    Ok(format!("blobs/{algorithm}/{hash}"))
}

/// What image formats call an architecture (the names of Go's `GOARCH`).
fn docker_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::Arm64 => "arm64",
    }
}
