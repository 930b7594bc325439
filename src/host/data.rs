//! Files of this machine that are next to a library: below its prefix, or below its own directory.

use std::path::{Path, PathBuf};

use globset::Glob;
use walkdir::WalkDir;

use crate::companions::CompanionPath;
use crate::languages::inspector;
use crate::size::Bytes;
use crate::tree::{Entry, File, Mode};

/// How deep directories of data are.
const DEEPEST: usize = 16;
/// More files than any library has next to it.
const MOST: usize = 20_000;

/// A file that is next to a library.
#[derive(Debug)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where it belongs in a layer: below the root, by names.
    pub place: String,
    /// What it is.
    pub entry: Entry,
}

/// The files of a place of a library, sorted.
pub(super) fn files(library: &Path, place: CompanionPath<'_>) -> Vec<DataFile> {
    let Some(own) = library.parent() else { return Vec::new() };
    let (bases, below, to) = match place {
        CompanionPath::OwnDirectory(below) => (vec![own.to_owned()], below, "lib/"),
        CompanionPath::Prefix(below) => (prefixes(own, below), below, ""),
    };
    for base in bases {
        let found = matching(&base, below);
        if !found.is_empty() {
            let mut files: Vec<DataFile> = found
                .iter()
                .flat_map(|top| {
                    WalkDir::new(top)
                        .follow_links(true)
                        .max_depth(DEEPEST)
                        .sort_by_file_name()
                })
                .flatten()
                .filter(|entry| entry.file_type().is_file())
                .take(MOST)
                .filter_map(|entry| data_file(entry.into_path(), &base, to))
                .collect();
            files.sort_by(|a, b| a.place.cmp(&b.place));
            return files;
        }
    }
    Vec::new()
}

/// The directories below which the data of a library in this directory may be: the prefix is what holds `lib`.
fn prefixes(own: &Path, below: &str) -> Vec<PathBuf> {
    let is_lib = |directory: &&Path| {
        let name = directory.file_name().and_then(|name| name.to_str());
        matches!(name, Some("lib" | "lib32" | "lib64"))
    };
    let prefix = own.ancestors().find(is_lib).and_then(Path::parent).unwrap_or(own);
    let mut prefixes = vec![prefix.to_owned()];
    // On merged systems /lib is /usr/lib; and what configures /usr/lib is in /etc.
    prefixes.push(prefix.join("usr"));
    if below.starts_with("etc/") && prefix.file_name().is_some_and(|name| name == "usr") {
        prefixes.extend(prefix.parent().map(Path::to_owned));
    }
    prefixes
}

/// What is below a directory by names that may be globs.
fn matching(base: &Path, below: &str) -> Vec<PathBuf> {
    let mut found = vec![base.to_owned()];
    for name in below.split('/') {
        let Ok(glob) = Glob::new(name) else { return Vec::new() };
        let glob = glob.compile_matcher();
        let entries = |directory: &PathBuf| {
            let mut paths: Vec<PathBuf> = match fs_err::read_dir(directory) {
                Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
                Err(_) => Vec::new(),
            };
            paths.retain(|path| path.file_name().is_some_and(|name| glob.is_match(name)));
            paths.sort();
            paths
        };
        found = found.iter().flat_map(entries).collect();
    }
    found
}

fn data_file(path: PathBuf, base: &Path, to: &str) -> Option<DataFile> {
    let place = format!("{to}{}", path.strip_prefix(base).ok()?.to_str()?);
    let bytes = fs_err::read(&path).ok()?;
    let content = inspector().inspect(path.file_name()?.to_str()?, &bytes);
    let entry = Entry::File(File {
        bytes: Bytes(bytes.len() as u64),
        mode: if content.object().is_some() {
            Mode::EXECUTABLE
        } else {
            Mode::FILE
        },
        content,
    });
    Some(DataFile { path, place, entry })
}
