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
const MOST: usize = 100_000;

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

/// The files and links of a place of a library, sorted; none where there are too many to be the data of a library. `resolve` says
/// which file a path of the system of the library leads to.
pub(super) fn files(
    library: &Path,
    place: CompanionPath<'_>,
    resolve: &dyn Fn(&Path) -> Option<PathBuf>,
) -> Vec<DataFile> {
    let Some(own) = library.parent() else { return Vec::new() };
    let (bases, below, to) = match place {
        CompanionPath::OwnDirectory(below) => (vec![own.to_owned()], below, "lib/"),
        CompanionPath::Prefix(below) => (prefixes(own, below), below, ""),
    };
    let found = bases.into_iter().find_map(|base| {
        let tops = matching(&base, below);
        (!tops.is_empty()).then_some((base, tops))
    });
    let Some((base, tops)) = found else { return Vec::new() };
    let mut paths = Vec::new();
    for top in &tops {
        collect(top, DEEPEST, resolve, &mut paths);
    }
    if paths.len() > MOST {
        return Vec::new();
    }
    let files = paths.into_iter().filter_map(|path| data_file(path, &base, to));
    let mut files: Vec<DataFile> = files.collect();
    files.sort_by(|a, b| a.place.cmp(&b.place));
    files
}

/// A file below a place, or a link that stays below it.
struct Found {
    /// Where it is below the place.
    named: PathBuf,
    /// The file whose content it has, or the target of the link.
    kind: FoundKind,
}

enum FoundKind {
    CopyOf(PathBuf),
    LinkTo(String),
}

/// Finds what is below a directory, or the file itself. Links out of `top` are followed, as what they lead to does not come along by itself.
fn collect(top: &Path, depth: usize, resolve: &dyn Fn(&Path) -> Option<PathBuf>, found: &mut Vec<Found>) {
    if top.is_symlink() {
        // What a place is named as is not in it.
        if let Some(target) = resolve(top) {
            follow(top, top, &target, depth, resolve, found);
        }
        return;
    }
    let walk = WalkDir::new(top).max_depth(depth).sort_by_file_name();
    for entry in walk.into_iter().flatten() {
        if found.len() > MOST {
            return;
        }
        let named = entry.path().to_owned();
        if entry.file_type().is_file() {
            let kind = FoundKind::CopyOf(named.clone());
            found.push(Found { named, kind });
        } else if entry.path_is_symlink() {
            if let Some(target) = link_below(top, &named) {
                let kind = FoundKind::LinkTo(target);
                found.push(Found { named, kind });
            } else if let Some(target) = resolve(&named) {
                follow(
                    top,
                    &named,
                    &target,
                    depth.saturating_sub(entry.depth() + 1),
                    resolve,
                    found,
                );
            }
        }
    }
}

/// Finds what a link out of the place leads to, under the name of the link.
fn follow(
    top: &Path,
    named: &Path,
    target: &Path,
    depth: usize,
    resolve: &dyn Fn(&Path) -> Option<PathBuf>,
    found: &mut Vec<Found>,
) {
    if target.is_file() {
        let (named, kind) = (named.to_owned(), FoundKind::CopyOf(target.to_owned()));
        found.push(Found { named, kind });
    } else if target.is_dir() && depth > 0 && !top.starts_with(target) {
        let mut below = Vec::new();
        collect(target, depth, resolve, &mut below);
        found.extend(below.into_iter().filter_map(|entry| {
            let named = named.join(entry.named.strip_prefix(target).ok()?);
            Some(Found {
                named,
                kind: entry.kind,
            })
        }));
    }
}

/// The target of a link, if it is relative and leads to something in this directory or below it.
fn link_below(top: &Path, link: &Path) -> Option<String> {
    let target = fs_err::read_link(link).ok().filter(|target| target.is_relative())?;
    let leads_to = link.canonicalize().ok()?;
    let stays = leads_to.starts_with(top.canonicalize().ok()?);
    stays.then(|| target.to_str().map(ToOwned::to_owned))?
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

fn data_file(found: Found, base: &Path, to: &str) -> Option<DataFile> {
    let place = format!("{to}{}", found.named.strip_prefix(base).ok()?.to_str()?);
    let path = match found.kind {
        FoundKind::CopyOf(path) => path,
        FoundKind::LinkTo(target) => {
            let entry = Entry::Symlink(target);
            return Some(DataFile {
                path: found.named,
                place,
                entry,
            });
        }
    };
    let bytes = fs_err::read(&path).ok()?;
    let content = inspector().inspect(found.named.file_name()?.to_str()?, &bytes);
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_stay_below_a_place_are_links_and_others_are_followed() {
        let machine = tempfile::tempdir().unwrap();
        let at = |below: &str| machine.path().join(below);
        for (file, text) in [
            ("usr/lib/liba.so.1", ""),
            ("usr/share/a/data/one", "1"),
            ("usr/share/b/two", "22"),
            ("etc/three", "333"),
            ("usr/share/c/four", "4444"),
        ] {
            fs_err::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs_err::write(at(file), text).unwrap();
        }
        for (link, target) in [
            ("usr/share/a/again", "data"),
            ("usr/share/a/data/first", "one"),
            ("usr/share/a/other", "../b"),
            ("usr/share/a/up", ".."),
            ("usr/share/a/gone", "nowhere"),
            // A path of the machine that it is a root of.
            ("usr/share/a/data/third", "/etc/three"),
            ("usr/share/d", "c"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let resolve = |path: &Path| {
            let target = fs_err::read_link(path).ok()?;
            let target = match target.strip_prefix("/") {
                Ok(below) => machine.path().join(below),
                Err(_) => path.parent()?.join(target),
            };
            target.canonicalize().ok()
        };
        let found = |place| -> Vec<(String, String)> {
            files(&at("usr/lib/liba.so.1"), CompanionPath::Prefix(place), &resolve)
                .into_iter()
                .map(|file| match file.entry {
                    Entry::Symlink(target) => (file.place, target),
                    _ => (file.place, fs_err::read_to_string(file.path).unwrap()),
                })
                .collect()
        };
        let expected = |entries: &[(&str, &str)]| -> Vec<(String, String)> {
            entries
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect()
        };
        assert_eq!(
            found("share/a"),
            expected(&[
                ("share/a/again", "data"),
                ("share/a/data/first", "one"),
                ("share/a/data/one", "1"),
                ("share/a/data/third", "333"),
                ("share/a/other/two", "22"),
            ])
        );
        assert_eq!(found("share/d"), expected(&[("share/d/four", "4444")]));
    }
}
