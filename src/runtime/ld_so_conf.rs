//! The directories that ldconfig(8) puts into the loader's cache.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet};

/// How deep `include` lines may nest.
const MAX_INCLUDES: usize = 8;

/// The directories that `/etc/ld.so.conf` of a root names, as the loader there sees them, in its order.
pub fn configured_directories(root: &Path) -> Vec<String> {
    let mut directories = Vec::new();
    read_configuration(root, "/etc/ld.so.conf", 0, &mut directories);
    directories
}

/// Reads a file of ldconfig(8): a directory per line, and `include GLOB`.
fn read_configuration(root: &Path, file: &str, depth: usize, directories: &mut Vec<String>) {
    let Ok(text) = fs_err::read_to_string(root.join(file.trim_start_matches('/'))) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
            let pattern = pattern.trim();
            let pattern = match pattern.strip_prefix('/') {
                Some(_) => pattern.to_owned(),
                None => format!("{directory}/{pattern}"),
            };
            if depth < MAX_INCLUDES {
                for included in matching_files(&root.join(pattern.trim_start_matches('/'))) {
                    if let Ok(included) = included.strip_prefix(root) {
                        let included = format!("/{}", included.display());
                        read_configuration(root, &included, depth + 1, directories);
                    }
                }
            }
        } else if line.starts_with('/') {
            directories.push(line.trim_end_matches('/').to_owned());
        }
    }
}

/// The files that a glob in the last name of a path matches, sorted.
fn matching_files(pattern: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|n| n.to_str())) else {
        return Vec::new();
    };
    // Unlike a matcher of one glob, a set does not panic on one that is too long.
    let glob = Glob::new(name).and_then(|glob| GlobSet::builder().add(glob).build());
    let (Ok(glob), Ok(entries)) = (glob, fs_err::read_dir(directory)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| glob.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}
