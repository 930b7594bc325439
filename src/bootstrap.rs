//! The bootstrap that makes a runtime of an R: what Lambda starts, and the code in R that answers events. The files
//! themselves lie in `rules/bootstrap`.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::languages::r::RHome;
use crate::plan::{MadeFile, Plan};
use crate::tree::{Mode, Tree, TreePath};

/// The file that Lambda starts (AWS Lambda developer guide, "Building a custom runtime"); the two others are ours.
const FILES: [(&str, Mode, &str); 3] = [
    (
        "bootstrap",
        Mode::EXECUTABLE,
        include_str!("../rules/bootstrap/bootstrap"),
    ),
    (
        "lambdar/runtime.R",
        Mode::FILE,
        include_str!("../rules/bootstrap/runtime.R"),
    ),
    (
        "lambdar/script.R",
        Mode::FILE,
        include_str!("../rules/bootstrap/script.R"),
    ),
];

/// Why there is no bootstrap.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There is nothing for it to start.
    #[error(
        "there is no R in the tree: a bootstrap is written for a folder that has bin/R and library/base/DESCRIPTION, as \
         `make install` of R leaves it; is R built elsewhere?"
    )]
    NoR,
    /// There is more than one R, and no word on which.
    #[error("the tree has several Rs, in {0}; choose one with --r-home")]
    SeveralR(String),
    /// The R that was asked for is none.
    #[error("there is no R in {asked} of the tree; it has one in {known}")]
    NotThere {
        /// The folder as it was given.
        asked: String,
        /// Where there is one.
        known: String,
    },
    /// Files that are not ours lie where the bootstrap is to be written.
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

/// The R for which the bootstrap is: the only one, or the one in the folder that was asked for, which is relative to the
/// tree or lies in `/opt`.
pub fn home(tree: &Tree, asked: Option<&str>) -> Result<TreePath, BootstrapError> {
    let homes: Vec<TreePath> = RHome::all(tree)
        .into_iter()
        .map(|home| home.path)
        .filter(|home| start_script(home).is_some_and(|script| tree.contains(&script)))
        .collect();
    let known = || homes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(first) = homes.first() else {
        return Err(BootstrapError::NoR);
    };
    let Some(asked) = asked else {
        return match homes.len() {
            1 => Ok(first.clone()),
            _ => Err(BootstrapError::SeveralR(known())),
        };
    };
    let folder = asked.trim_end_matches('/').trim_start_matches("./");
    let wanted = match folder {
        "" | "." => Some(TreePath::root()),
        _ => TreePath::from_lambda(folder).or_else(|| TreePath::new(folder)),
    };
    wanted
        .filter(|wanted| homes.contains(wanted))
        .ok_or_else(|| BootstrapError::NotThere {
            asked: asked.to_owned(),
            known: known(),
        })
}

fn start_script(home: &TreePath) -> Option<TreePath> {
    home.join("bin/R")
}

/// The files that make a runtime of the R in this folder, sorted by path.
pub fn files(home: &TreePath) -> Vec<MadeFile> {
    let r = start_script(home).map(|script| script.on_lambda()).unwrap_or_default();
    FILES
        .into_iter()
        .filter_map(|(path, mode, text)| {
            Some(MadeFile {
                path: TreePath::new(path)?,
                mode,
                text: text
                    .replace("@R@", &quoted(&r))
                    .replace("@VERSION@", env!("CARGO_PKG_VERSION")),
            })
        })
        .collect()
}

/// A word of a shell script that stands for exactly this text (POSIX.1-2017, section 2.2.2).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Brings the bootstrap into a plan. One that is in the tree already, because it was written there, is left as it is.
pub fn add(plan: &mut Plan, asked: Option<&str>) -> Result<(), BootstrapError> {
    let mut missing = Vec::new();
    for file in files(&home(&plan.kept, asked)?) {
        match plan.kept.get(&file.path) {
            None => missing.push(file),
            // The text is known of the start script alone.
            Some(there) if there.unzipped() == file.entry().unzipped() && plan.kept.file(&file.path).is_some() => {
                if plan.kept.text(&file.path).is_some_and(|text| text != file.text) {
                    return Err(BootstrapError::InTree { path: file.path });
                }
            }
            Some(_) => return Err(BootstrapError::InTree { path: file.path }),
        }
    }
    for file in missing {
        plan.add(&file, Vec::new());
    }
    Ok(())
}

/// Writes files into a tree on disk and says of each whether that was necessary. Nothing is written if a file that differs
/// is in the way and `force` is not given.
pub fn write(root: &Path, files: &[MadeFile], force: bool) -> Result<Vec<bool>, BootstrapError> {
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

fn state(at: &Path, file: &MadeFile) -> Result<State, BootstrapError> {
    let metadata = match fs_err::symlink_metadata(at) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Missing),
        metadata => metadata?,
    };
    let same = metadata.is_file()
        && metadata.permissions().mode() & 0o7777 == file.mode.bits()
        && fs_err::read(at)? == file.text.as_bytes();
    Ok(if same { State::Same } else { State::Other })
}

/// Writes beside the place and renames, so that nobody ever starts half a script and no link is written through.
fn write_one(at: &Path, file: &MadeFile) -> Result<(), BootstrapError> {
    let folder = at.parent().unwrap_or(at);
    fs_err::create_dir_all(folder)?;
    let failed =
        |error: std::io::Error| std::io::Error::new(error.kind(), format!("cannot write {}: {error}", at.display()));
    let mut new = tempfile::Builder::new()
        .prefix(".lambdar-prune-")
        .tempfile_in(folder)
        .map_err(failed)?;
    new.write_all(file.text.as_bytes()).map_err(failed)?;
    new.as_file()
        .set_permissions(std::fs::Permissions::from_mode(file.mode.bits()))
        .map_err(failed)?;
    new.persist(at).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    fn tree(files: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in files {
            let file = MadeFile {
                path: TreePath::new(path).unwrap(),
                mode: Mode::EXECUTABLE,
                text: String::new(),
            };
            tree.insert(file.path.clone(), file.entry());
        }
        tree
    }

    #[test]
    fn the_r_is_found_or_asked_for() {
        let one = tree(&["R/lib/R/bin/R", "R/lib/R/library/base/DESCRIPTION"]);
        let several = tree(&[
            "a/bin/R",
            "a/library/base/DESCRIPTION",
            "b/bin/R",
            "b/library/base/DESCRIPTION",
            // Not one that can be started by its script.
            "c/bin/exec/R",
            "c/library/base/DESCRIPTION",
        ]);
        let found = |tree: &Tree, asked| home(tree, asked).map(|home| home.to_string());
        assert_eq!(found(&one, None).unwrap(), "R/lib/R");
        for asked in ["R/lib/R", "R/lib/R/", "./R/lib/R", "/opt/R/lib/R"] {
            assert_eq!(found(&one, Some(asked)).unwrap(), "R/lib/R");
        }
        assert_eq!(found(&several, Some("b")).unwrap(), "b");
        let message = |tree, asked| found(tree, asked).unwrap_err().to_string();
        assert_eq!(
            message(&several, None),
            "the tree has several Rs, in a, b; choose one with --r-home"
        );
        assert_eq!(
            message(&several, Some("c")),
            "there is no R in c of the tree; it has one in a, b"
        );
        assert!(message(&tree(&["bin/python3"]), None).starts_with("there is no R in the tree"));
        let at_top = tree(&["bin/R", "library/base/DESCRIPTION"]);
        assert_eq!(home(&at_top, Some(".")).unwrap(), TreePath::root());
        assert_eq!(home(&at_top, Some("/opt")).unwrap(), TreePath::root());
    }

    #[test]
    fn the_start_script_is_filled_in_and_needs_what_every_runtime_has() {
        let files = files(&TreePath::new("it's R").unwrap());
        let bootstrap = &files[0];
        assert!(bootstrap.text.starts_with("#!/bin/sh\n") && !bootstrap.text.contains(['\r', '@']));
        assert!(
            bootstrap.text.contains(r"R='/opt/it'\''s R/bin/R'"),
            "{}",
            bootstrap.text
        );
        assert_eq!(
            shell::commands(&bootstrap.text).into_iter().collect::<Vec<_>>(),
            ["curl"]
        );
        for file in &files {
            assert!(file.text.is_ascii(), "{} is read in any locale", file.path);
        }
    }
}
