//! Libraries of the machine that builds: where a library comes from that neither the tree nor the runtime has.

mod data;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::Glob;

use crate::companions::Place;
use crate::elf::{self, Kind, Object};
use crate::runtime::Arch;
use crate::size::Bytes;

/// Where the loader of this machine looks by default, on Debian and on Fedora's kin (ld.so(8)).
const DEFAULT_DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

pub use data::DataFile;

/// How deep `include` lines of ld.so.conf may nest.
const MAX_INCLUDES: usize = 8;

/// A library found on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLibrary {
    /// The path by which it was found.
    pub path: PathBuf,
    /// What the loader reads of it.
    pub object: Object,
    /// Its length.
    pub bytes: Bytes,
}

/// Finds libraries by the name under which they are needed.
pub trait Libraries: Sync {
    /// The library of that name for that architecture; `None` if there is none.
    fn find(&self, soname: &str, arch: Arch) -> Option<HostLibrary>;

    /// The contents of a file that was found; `None` if it cannot be read any more.
    fn read(&self, path: &Path) -> Option<Vec<u8>>;

    /// What lies at a place next to a library that was found, sorted; empty if nothing does.
    fn data(&self, library: &Path, place: Place<'_>) -> Vec<DataFile>;
}

/// No library at all.
#[derive(Debug, Clone, Copy)]
pub struct NoLibraries;

impl Libraries for NoLibraries {
    fn find(&self, _: &str, _: Arch) -> Option<HostLibrary> {
        None
    }

    fn read(&self, _: &Path) -> Option<Vec<u8>> {
        None
    }

    fn data(&self, _: &Path, _: Place<'_>) -> Vec<DataFile> {
        Vec::new()
    }
}

/// The directories that this machine's loader searches: those the user named, those of /etc/ld.so.conf, the defaults.
#[derive(Debug, Clone)]
pub struct HostDirectories {
    directories: Vec<PathBuf>,
}

impl HostDirectories {
    /// The directories in the order in which they are searched; `first` come before all others.
    pub fn new(first: &[PathBuf]) -> Self {
        let mut directories = first.to_vec();
        read_configuration(Path::new("/etc/ld.so.conf"), 0, &mut directories);
        directories.extend(DEFAULT_DIRECTORIES.map(PathBuf::from));
        let mut seen = BTreeSet::new();
        directories.retain(|directory| seen.insert(directory.clone()));
        Self { directories }
    }
}

impl Libraries for HostDirectories {
    fn find(&self, soname: &str, arch: Arch) -> Option<HostLibrary> {
        if soname.contains('/') {
            return None;
        }
        self.directories.iter().find_map(|directory| {
            let path = directory.join(soname);
            let bytes = fs_err::read(&path).ok()?;
            let object = elf::parse(&bytes.as_slice()).ok()??;
            let fits =
                object.machine == arch.machine() && (object.kind == Kind::SharedLibrary || object.soname.is_some());
            fits.then_some(HostLibrary {
                path,
                object,
                bytes: Bytes(bytes.len() as u64),
            })
        })
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        fs_err::read(path).ok()
    }

    fn data(&self, library: &Path, place: Place<'_>) -> Vec<DataFile> {
        data::files(library, place)
    }
}

/// Reads a file of ldconfig(8): a directory a line, and `include GLOB`.
fn read_configuration(file: &Path, depth: usize, directories: &mut Vec<PathBuf>) {
    let Ok(text) = fs_err::read_to_string(file) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            if depth < MAX_INCLUDES {
                for included in matching_files(&file.with_file_name(pattern.trim())) {
                    read_configuration(&included, depth + 1, directories);
                }
            }
        } else if line.starts_with('/') {
            directories.push(PathBuf::from(line));
        }
    }
}

/// The files that a glob in the last name of a path matches, sorted.
fn matching_files(pattern: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|n| n.to_str())) else {
        return Vec::new();
    };
    let (Ok(glob), Ok(entries)) = (Glob::new(name), fs_err::read_dir(directory)) else {
        return Vec::new();
    };
    let glob = glob.compile_matcher();
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| glob.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}
