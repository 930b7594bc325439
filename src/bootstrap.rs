//! The bootstrap that makes a runtime of an interpreter in the tree: written into the tree, or brought into a plan. Each
//! language knows the files of its own.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::languages::{Bootstrap, LANGUAGES, NoInterpreter, inspector};
use crate::tree::{GeneratedFile, Tree, TreePath};

/// Why there is no bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There is nothing for it to start, or it is not said what of several.
    #[error(transparent)]
    NoInterpreter(#[from] NoInterpreter),
    /// Files that are not ours are where the bootstrap would be written.
    #[error("{0} is there already and is another file; --force writes over it")]
    Exists(String),
    /// The tree that is packed has a bootstrap of its own.
    #[error(
        "the tree has a {path} of its own; leave out --with-bootstrap to pack that one, or leave it out with --drop {path}"
    )]
    InTree {
        /// The path.
        path: TreePath,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The bootstrap for an interpreter in the tree: the only one, or the one in the directory that was asked for, which is
/// relative to the tree or is in `/opt`.
pub fn find(tree: &Tree, asked: Option<&str>) -> Result<Bootstrap, BootstrapError> {
    let mut found = LANGUAGES.iter().filter_map(|language| language.bootstrap(tree, asked));
    let none = || {
        Err(NoInterpreter(
            "there is nothing in the tree for a bootstrap to start".to_owned(),
        ))
    };
    Ok(found.next().unwrap_or_else(none)?)
}

/// The files of the bootstrap that a tree lacks. One that is there already, because it was written there, is left as it is.
pub fn missing_files(tree: &Tree, asked: Option<&str>) -> Result<Vec<GeneratedFile>, BootstrapError> {
    let mut missing = Vec::new();
    for file in find(tree, asked)?.files {
        match tree.get(&file.path) {
            None => missing.push(file),
            // The text is known of the start script alone.
            Some(there)
                if there.unzipped() == file.entry(inspector()).unzipped() && tree.file(&file.path).is_some() =>
            {
                if tree.text(&file.path).is_some_and(|text| text != file.text) {
                    return Err(BootstrapError::InTree { path: file.path });
                }
            }
            Some(_) => return Err(BootstrapError::InTree { path: file.path }),
        }
    }
    Ok(missing)
}

/// Writes files into a tree on disk and says of each whether that was necessary. Nothing is written if a file that differs
/// is in the way and `force` is not given.
pub fn write(root: &Path, files: &[GeneratedFile], force: bool) -> Result<Vec<bool>, BootstrapError> {
    let mut necessary = Vec::new();
    let mut in_the_way = Vec::new();
    for file in files {
        let at = root.join(file.path.as_str());
        let found = state(&at, file)?;
        if found == State::Other && !force {
            in_the_way.push(at.display().to_string());
        }
        necessary.push(found != State::Same);
    }
    if !in_the_way.is_empty() {
        return Err(BootstrapError::Exists(in_the_way.join(", ")));
    }
    for (file, _) in files.iter().zip(&necessary).filter(|(_, necessary)| **necessary) {
        write_one(&root.join(file.path.as_str()), file)?;
    }
    Ok(necessary)
}

#[derive(PartialEq, Eq)]
enum State {
    Missing,
    Same,
    Other,
}

fn state(at: &Path, file: &GeneratedFile) -> Result<State, BootstrapError> {
    let metadata = match fs_err::symlink_metadata(at) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Missing),
        metadata => metadata?,
    };
    let same = metadata.is_file()
        && metadata.permissions().mode() & 0o7777 == file.mode.bits()
        && fs_err::read(at)? == file.text.as_bytes();
    Ok(if same { State::Same } else { State::Other })
}

/// Writes next to the place and renames, so that nobody ever starts half a script and no link is written through.
fn write_one(at: &Path, file: &GeneratedFile) -> Result<(), BootstrapError> {
    let directory = at.parent().unwrap_or(at);
    fs_err::create_dir_all(directory)?;
    let failed =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("cannot write {}: {error}", at.display()));
    let mut new = tempfile::Builder::new()
        .prefix(".lambdar-prune-")
        .tempfile_in(directory)
        .map_err(failed)?;
    new.write_all(file.text.as_bytes()).map_err(failed)?;
    new.as_file()
        .set_permissions(std::fs::Permissions::from_mode(file.mode.bits()))
        .map_err(failed)?;
    new.persist(at).map_err(|error| failed(error.error))?;
    Ok(())
}
