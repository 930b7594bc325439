//! The manifest `layers.json`: the layers, where their contents came from, and what was removed. A data type that
//! [`pack`](crate::pack) writes and all others read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

pub(crate) mod directory;
mod layer_name;

use base64::Engine;
pub use layer_name::{LayerName, LayerNameError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::finding::Finding;
use crate::host::HostPackage;
use crate::open;
use crate::runtime::Arch;
use crate::size::Bytes;

/// The manifest's name in the output directory.
pub const MANIFEST_NAME: &str = "layers.json";

/// Version of the manifest's schema; it rises when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The layers in an output directory, and how they were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>"))]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename = "Manifest", bound = "E: schemars::JsonSchema + Serialize")
)]
pub struct Manifest<E = PackedEntry> {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The runtime that the layers were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// The largest zip that was allowed.
    #[serde(default)]
    pub max_bytes: Bytes,
    /// How they were meant to get to AWS.
    #[serde(default)]
    pub via: UploadRoute,
    /// How hard the contents were compressed.
    #[serde(default)]
    pub effort: Effort,
    /// The layers, in the order in which they are to be attached.
    pub layers: Vec<LayerSummary<E>>,
    /// Sums over all layers.
    #[serde(default)]
    pub totals: Totals,
    /// What each rule took, the largest first.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// Further layers, with what no recording used; `null` if it was not written.
    #[serde(default)]
    pub rest: Option<Rest<E>>,
    /// Libraries that were removed because the copies of `runtime` are found first.
    #[serde(default)]
    pub shadowed: Vec<ShadowedFile>,
    /// What came in that the tree does not have.
    #[serde(default)]
    pub added: Vec<AddedFile>,
    /// Environment variables that the function has to set for what came in to be found, with their values.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The licenses of what is in the layers, as far as they are known, sorted; `sbom` says where each comes from.
    #[serde(default)]
    pub licenses: Vec<LicenseUse>,
    /// Files whose content differs from the tree's.
    #[serde(default)]
    pub changed: Vec<ChangedFile>,
    /// Objects that were to be stripped and are as in the tree.
    #[serde(default)]
    pub not_stripped: Vec<UntouchedFile>,
    /// Files with the same content that are not links to one of them.
    #[serde(default)]
    pub not_linked: Vec<NotLinked>,
    /// Files that were compressed once more, at the highest effort, because that saved a layer.
    #[serde(default)]
    pub recompressed: Vec<Recompressed>,
    /// Layers of the previous manifest of which there is none of the same name any more. Only in the report of `pack`, not
    /// in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_layers: Vec<String>,
    /// Whether replays of the recordings on these layers are answered as recorded; `null` without a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What there is to say about the plan that one may not expect. Only in the report of `pack`, not in the file.
    #[serde(default, skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// What a manifest says of the layers as a whole. It is read without what is in them, which may be most of the memory that
/// a run takes.
#[derive(Debug, Clone, Deserialize)]
pub struct Outline {
    schema_version: u32,
    /// The runtime that the layers were packed for.
    pub runtime: String,
    /// The architecture that they were packed for.
    pub arch: Arch,
    /// How they were meant to get to AWS.
    #[serde(default)]
    pub via: UploadRoute,
    /// The layers.
    pub layers: Vec<OutlinedLayer>,
}

/// One layer in an [`Outline`].
#[derive(Debug, Clone, Deserialize)]
pub struct OutlinedLayer {
    /// The name of its zip in the output directory.
    pub file: String,
    /// SHA-256 in hexadecimal digits.
    #[serde(default)]
    pub sha256: String,
}

impl Outline {
    /// Reads it from a regular file.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let outline: Self = from_file(open::regular(path)?)?;
        match outline.schema_version {
            SCHEMA_VERSION => Ok(outline),
            other => Err(ManifestError::Version(other)),
        }
    }
}

/// How hard contents are compressed. A content is deflated only where that makes it smaller, whatever the effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Effort {
    /// libdeflate's level 5: smaller than `zip -9`, in a fraction of its time.
    Fast,
    /// As hard as pays: libdeflate's high levels on what shrinks, and a lower one on long ELF objects.
    #[default]
    Best,
    /// The smallest of libdeflate's highest levels and of zopfli, on what shrinks; without zopfli for long ELF objects.
    Max,
}

/// How layers get to AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum UploadRoute {
    /// In the request itself, which limits the zip.
    #[default]
    Direct,
    /// Through a bucket, for zips that are too large for a request.
    S3,
}

/// One layer: a zip and its contents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>"))]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename = "LayerSummary", bound = "E: schemars::JsonSchema + Serialize")
)]
pub struct LayerSummary<E = PackedEntry> {
    /// Its name, if the project gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<LayerName>,
    /// The name of its zip in the output directory.
    pub file: String,
    /// Its length.
    #[serde(default)]
    pub zipped_bytes: Bytes,
    /// The sum of its entries' lengths.
    #[serde(default)]
    pub unzipped_bytes: Bytes,
    /// How many entries it has.
    #[serde(default)]
    pub entries: usize,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The same in base64, as AWS shows it.
    pub code_sha256: String,
    /// The components in it, whole or in part.
    #[serde(default)]
    pub components: Vec<String>,
    /// What is in it, sorted by path.
    #[serde(default)]
    pub contents: Vec<E>,
    /// What became of the layer of this name in the previous manifest. Only in the report of `pack`, not in the file, which
    /// says what is there and not how it came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<LayerChange>,
}

/// A layer compared with that of the same name in the previous manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum LayerChange {
    /// There was none.
    New,
    /// Its bytes differ.
    Changed,
    /// It is the same to the byte, and need not be published again.
    Unchanged,
}

/// One entry of a zip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackedEntry {
    /// Its path in the layers; that of a directory, which is only an entry if it is empty, ends with `/`.
    pub path: String,
    /// The component that it belongs to.
    pub component: String,
    /// What it adds to the zip, headers included.
    pub zipped_bytes: Bytes,
    /// What it counts unzipped.
    pub unzipped_bytes: Bytes,
    /// CRC-32 of its content in hexadecimal digits; for a link, of its target.
    pub crc32: String,
}

/// Sums over all layers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// How many layers there are.
    pub layers: usize,
    /// Fewer layers than this are impossible for these contents.
    pub lower_bound: usize,
    /// Whether fewer layers are proven to be impossible.
    pub optimal: bool,
    /// How many layers there would be with zips as large as a request can carry, where that is fewer.
    #[serde(default)]
    pub layers_at_limit: Option<usize>,
    /// The lengths of all zips.
    pub zipped_bytes: Bytes,
    /// The lengths of all entries.
    pub unzipped_bytes: Bytes,
}

/// What one rule removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dropped {
    /// The rule's id.
    pub rule: String,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
    /// Their paths in the tree, and those of directories that went with all that was in them, which end with `/`; sorted.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// Result of replaying recordings on layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Proof {
    /// Whether every event is answered as recorded.
    pub ok: bool,
    /// How often the layers were packed and replayed.
    pub rounds: usize,
    /// Paths that no recording used and that are in the layers because a replay missed them, sorted.
    pub taken_back: Vec<String>,
}

/// Further layers, with what no recording used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>"))]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename = "Rest", bound = "E: schemars::JsonSchema + Serialize")
)]
pub struct Rest<E = PackedEntry> {
    /// The directory in which they are, as the user wrote it.
    pub directory: String,
    /// The layers.
    pub layers: Vec<LayerSummary<E>>,
}

/// A license, and what is under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LicenseUse {
    /// The SPDX expression; `null` if what is declared is not one and has no known name, or nothing is.
    pub expression: Option<String>,
    /// What the metadata of packages declare, if that is not an expression.
    pub declared: Option<String>,
    /// Names and versions of what is under it, sorted.
    pub components: Vec<String>,
}

/// A library that was removed because it is shadowed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShadowedFile {
    /// Its path in the tree.
    pub path: String,
    /// The name by which it would be needed.
    pub soname: String,
    /// The runtime's library that is loaded instead.
    pub by: String,
}

/// A file that was added to those of the tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AddedFile {
    /// Its path in the layers.
    pub path: String,
    /// Where it was found; this program's name for what it made itself.
    pub from: String,
    /// The name by which it is needed, if it is a library.
    pub soname: Option<String>,
    /// What needs it.
    pub needed_by: Vec<String>,
    /// The package of the machine that it comes from, if one owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<HostPackage>,
}

/// A file that was changed on its way into the layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangedFile {
    /// Its path.
    pub path: String,
    /// What changed it.
    pub by: String,
    /// Its length in the tree.
    pub before_bytes: Bytes,
    /// Its length in the layers.
    pub after_bytes: Bytes,
    /// What is different now, if that which changed it does not say it all.
    pub what: Option<String>,
    /// Why it has to be.
    pub why: Option<String>,
}

/// Files with the same content that are not links to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotLinked {
    /// Their paths.
    pub paths: Vec<String>,
    /// The length of each in the tree.
    pub bytes: Bytes,
    /// Why they stay.
    pub reason: String,
}

/// A file that was compressed once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Recompressed {
    /// Its path.
    pub path: String,
    /// Its length in the zip at the effort of the others.
    pub before_bytes: Bytes,
    /// Its length in the zip.
    pub after_bytes: Bytes,
}

/// Error of [`Manifest::read`].
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a manifest, or parts of it are missing.
    #[error("it is not a layers.json: {0}")]
    Form(#[from] serde_json::Error),
    /// It was written by another version of this program.
    #[error("its schema_version is {0}, and this program reads {SCHEMA_VERSION}")]
    Version(u32),
    /// A layer is in another directory.
    #[error("{0:?} is not the name of a file in the same directory")]
    Name(String),
    /// Two layers are one file.
    #[error("it lists {0} twice")]
    Twice(String),
}

impl ManifestError {
    /// What it says of the file at a path to someone who has been told the path.
    pub fn of(&self, path: &Path) -> String {
        match self {
            Self::Io(error) => open::reason(error, path),
            error => error.to_string(),
        }
    }
}

/// A file that was left as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UntouchedFile {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl LayerSummary {
    pub(crate) fn new(
        name: Option<LayerName>,
        file: String,
        zipped_bytes: Bytes,
        hash: &[u8; 32],
        contents: Vec<PackedEntry>,
    ) -> Self {
        let mut components: Vec<String> = contents.iter().map(|entry| entry.component.clone()).collect();
        components.sort_unstable();
        components.dedup();
        Self {
            name,
            file,
            zipped_bytes,
            unzipped_bytes: contents.iter().map(|entry| entry.unzipped_bytes).sum(),
            entries: contents.len(),
            sha256: base16ct::lower::encode_string(hash),
            code_sha256: base64::engine::general_purpose::STANDARD.encode(hash),
            components,
            contents,
            change: None,
        }
    }
}

impl LayerSummary {
    /// Whether this is the SHA-256 of the zip.
    pub(crate) fn has_hash(&self, hash: &[u8; 32]) -> bool {
        is_hash(&self.sha256, hash)
    }
}

impl OutlinedLayer {
    /// Whether this is the SHA-256 of the zip.
    pub(crate) fn has_hash(&self, hash: &[u8; 32]) -> bool {
        is_hash(&self.sha256, hash)
    }
}

fn is_hash(listed: &str, hash: &[u8; 32]) -> bool {
    base16ct::lower::encode_string(hash) == listed
}

/// The length of a regular file and its SHA-256.
pub(crate) fn file_hash(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = open::regular(path)?;
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
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads JSON piece by piece from an opened file.
fn from_file<T: DeserializeOwned>(file: fs_err::File) -> Result<T, ManifestError> {
    Ok(serde_json::from_reader(open::bounded(file)?)?)
}

impl Manifest {
    /// Reads a manifest, whoever wrote it: every layer is another file in the same directory. Nothing but a regular
    /// file is read.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        Self::parse(&open::read_regular(path)?)
    }

    /// The manifest that a file of these bytes is.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        Self::parse_as(json)
    }
}

impl<E: DeserializeOwned> Manifest<E> {
    /// Reads a manifest from what `open` opens without holding all of it: of a large tree it has tens of megabytes. `E` is what
    /// is held of each entry.
    pub fn stream(open: impl Fn() -> io::Result<fs_err::File>) -> Result<Self, ManifestError> {
        match from_file(open()?).and_then(Self::checked) {
            Ok(manifest) => Ok(manifest),
            // What is wrong with it, and at which place, is better known of all of it.
            Err(_) => Self::parse_as(&open::all_of(open()?)?),
        }
    }

    /// As [`Manifest::parse`], for what is to be held of each entry.
    pub fn parse_as(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct SchemaVersion {
            schema_version: u32,
        }
        // Other versions may have other fields.
        match serde_json::from_slice(json)? {
            SchemaVersion { schema_version } if schema_version != SCHEMA_VERSION => {
                Err(ManifestError::Version(schema_version))
            }
            SchemaVersion { .. } => Self::checked(serde_json::from_slice(json)?),
        }
    }

    fn checked(self) -> Result<Self, ManifestError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(ManifestError::Version(self.schema_version));
        }
        let is_plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        let mut names = BTreeSet::new();
        for LayerSummary { file, .. } in &self.layers {
            if !is_plain(file) {
                return Err(ManifestError::Name(file.clone()));
            }
            if !names.insert(file) {
                return Err(ManifestError::Twice(file.clone()));
            }
        }
        Ok(self)
    }
}

impl Manifest {
    /// The manifest as it is written.
    pub fn to_json(&self) -> String {
        // Numbers and texts alone: this cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Writes what [`Manifest::to_json`] gives, without holding all of it: that of a large tree has tens of megabytes.
    pub fn write_json(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        serde_json::to_writer_pretty(&mut out, self)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a manifest must have, for two layers.
    fn manifest(version: u32, files: [&str; 2], entry: &str) -> String {
        let layers = files.map(|file| {
            format!(r#"{{"file": "{file}", "sha256": "00", "code_sha256": "AA==", "contents": [{entry}]}}"#)
        });
        let layers = layers.join(",\n");
        format!(
            "{{\"schema_version\": {version}, \"runtime\": \"r\", \"arch\": \"x86_64\",\n\"layers\": [{layers}]}}\n"
        )
    }

    const ENTRY: &str = r#"{"path": "a", "component": "", "zipped_bytes": 1, "unzipped_bytes": 1, "crc32": "0"}"#;

    #[test]
    fn a_streamed_manifest_is_judged_as_one_that_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(MANIFEST_NAME);
        let whole = manifest(1, ["a.zip", "b.zip"], ENTRY);
        for (text, expected) in [
            (whole.clone(), None),
            (manifest(2, ["a.zip", "b.zip"], ENTRY), Some("schema_version is 2")),
            (
                "{\"schema_version\": 7, \"layers\": 1}".to_owned(),
                Some("schema_version is 7"),
            ),
            (
                manifest(1, ["a.zip", "../b.zip"], ENTRY),
                Some("\"../b.zip\" is not the name"),
            ),
            (manifest(1, ["a.zip", "a.zip"], ENTRY), Some("lists a.zip twice")),
            (
                manifest(1, ["a.zip", "b.zip"], "{\"path\": \"a\"}"),
                Some("missing field `component`"),
            ),
            (
                whole.replace("\"a\"", "1"),
                Some("invalid type: integer `1`, expected a string"),
            ),
            (
                whole.replace("\"runtime\": \"r\", ", ""),
                Some("missing field `runtime`"),
            ),
            // A part of it is missing: that comes before what is wrong in the rest.
            (
                whole.replace("\"a\"", "1").replace("]}\n", ""),
                Some("EOF while parsing"),
            ),
            (format!("{whole}x"), Some("trailing characters")),
            (String::new(), Some("EOF while parsing a value")),
        ] {
            fs_err::write(&path, &text).unwrap();
            let held = Manifest::parse(text.as_bytes()).err().map(|error| error.to_string());
            let streamed = Manifest::<PackedEntry>::stream(|| open::regular(&path)).err();
            assert_eq!(streamed.map(|error| error.to_string()), held, "{text}");
            assert_eq!(held.is_some(), expected.is_some(), "{text}");
            let message = held.unwrap_or_default();
            assert!(message.contains(expected.unwrap_or_default()), "{message}: {text}");
        }
    }
}
