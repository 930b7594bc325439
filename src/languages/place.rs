//! Puts modules where their runtime looks for them: a tree as it would be if its modules had been installed there. Nothing on
//! disk is touched.

use std::collections::BTreeMap;

use super::layout::{Layout, ModuleRoot, modules, of_runtime};
use crate::root::{Root, link_target};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::tree::{Content, Entry, Tree, TreePath};

/// Entries of the root of a tree that are not modules, even if modules are next to them: Lambda or other languages look into
/// these, and installers put other things there.
const NOT_MODULES: [&str; 16] = [
    "bootstrap",
    "bin",
    "sbin",
    "lib",
    "lib64",
    "libexec",
    "extensions",
    "python",
    "nodejs",
    "ruby",
    "java",
    "share",
    "etc",
    "include",
    "man",
    "dotnet",
];

/// A tree with its modules in place.
#[derive(Debug, Clone, Default)]
pub struct Placed {
    /// The tree.
    pub tree: Tree,
    /// Where the files are that were moved, by their new paths.
    pub origins: BTreeMap<TreePath, TreePath>,
    /// Lists of files with the new paths of what they list, by their own new paths.
    pub texts: BTreeMap<TreePath, String>,
    /// The directories whose modules were moved, each with where they went.
    pub moves: Vec<(TreePath, TreePath)>,
}

impl Placed {
    /// Where a file is on disk.
    pub fn origin<'p>(&'p self, path: &'p TreePath) -> &'p TreePath {
        self.origins.get(path).unwrap_or(path)
    }
}

/// Why modules cannot be put in place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The runtime has no language.
    #[error(
        "--place puts modules where the runtime of a language looks for them, and {0} brings no language; name one that does with --runtime"
    )]
    NoLanguage(String),
    /// Two files would be at one path.
    #[error(
        "cannot put {from} in its place: {to} is there already and is another file; leave one of them out with --drop"
    )]
    Occupied {
        /// The file.
        from: TreePath,
        /// Where it belongs.
        to: TreePath,
    },
}

/// Puts the modules of the runtime's language where that runtime looks for them.
pub fn place(tree: &Tree, runtime: &Runtime) -> Result<Placed, PlaceError> {
    let Some((language, layout, version)) = of_runtime(&runtime.name) else {
        return Err(PlaceError::NoLanguage(runtime.name.clone()));
    };
    let (_, elsewhere) = modules(language, layout, version, Root { tree, runtime });
    let moves = moves(&elsewhere, layout, version);
    let target = |path: &TreePath| moved(path, &moves);
    let mut placed = Placed {
        tree: Tree::default(),
        moves: moves.clone(),
        ..Placed::default()
    };
    // What stays goes first: what is moved must not take its place.
    let (staying, moving): (Vec<_>, Vec<_>) = tree.iter().partition(|(path, _)| target(path).is_none());
    for (path, entry) in staying.into_iter().chain(moving) {
        if matches!(entry, Entry::Directory(_)) && tree.below(path).next().is_some() {
            continue;
        }
        let to = target(path).unwrap_or_else(|| path.clone());
        let entry = match entry {
            Entry::Symlink(link) => Entry::Symlink(relinked(path, &to, link, &target)),
            Entry::File(file) if !moves.is_empty() => {
                let text = file.content.text().filter(|text| text.len() as u64 == file.bytes.0);
                let listed = text.and_then(|text| language.relisted(path, &to, text, &target));
                let mut file = file.clone();
                if let Some(text) = listed {
                    file.bytes = Bytes(text.len() as u64);
                    file.content = Content::Text(text.as_str().into());
                    placed.texts.insert(to.clone(), text);
                }
                Entry::File(file)
            }
            entry => entry.clone(),
        };
        match placed.tree.get(&to) {
            None => {}
            Some(there) if *there == entry && matches!(entry, Entry::Directory(_) | Entry::Symlink(_)) => continue,
            Some(_) => {
                return Err(PlaceError::Occupied { from: path.clone(), to });
            }
        }
        if to != *path {
            placed.origins.insert(to.clone(), path.clone());
        }
        placed.tree.insert(to, entry);
    }
    Ok(placed)
}

/// The directories to move, outermost first, each with its target.
fn moves(elsewhere: &[ModuleRoot], layout: &Layout, version: &str) -> Vec<(TreePath, TreePath)> {
    let Some(home) = layout.home(version) else {
        return Vec::new();
    };
    elsewhere
        .iter()
        .filter(|root| root.remedy.is_none())
        .map(|root| (root.directory.clone(), home.clone()))
        .collect()
}

/// Where a path is moved to; `None` if it stays.
fn moved(path: &TreePath, moves: &[(TreePath, TreePath)]) -> Option<TreePath> {
    // The innermost directory decides: a nested one has its own modules.
    let (directory, home) = moves
        .iter()
        .filter(|(directory, _)| path.below(directory).is_some_and(|below| !below.is_empty()))
        .max_by_key(|(directory, _)| directory.as_str().len())?;
    let below = path.below(directory)?;
    let first = below.split('/').next()?;
    if directory.is_root() && NOT_MODULES.contains(&first) {
        return None;
    }
    // Where modules are one directory too high, files beside them are those of a project.
    if !directory.is_root()
        && let Some(inner) = home.below(directory)
        && (first == below || inner.split('/').next() == Some(first))
    {
        return None;
    }
    home.join(below)
}

/// The target of a link that is moved from one path to another, or whose target is moved.
fn relinked(from: &TreePath, to: &TreePath, link: &str, target: &dyn Fn(&TreePath) -> Option<TreePath>) -> String {
    let Some(old) = TreePath::normal(&link_target(from, link)) else {
        return link.to_owned();
    };
    let new = target(&old).unwrap_or_else(|| old.clone());
    if link.starts_with('/') {
        return if new == old { link.to_owned() } else { new.on_lambda() };
    }
    let unchanged = TreePath::normal(&link_target(to, link));
    if unchanged.as_ref() == Some(&new) {
        return link.to_owned();
    }
    new.relative_to(&to.parent().unwrap_or_else(TreePath::root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Arch;
    use crate::tree::{File, Mode};

    fn tree(paths: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, link) in paths {
            let entry = if link.is_empty() {
                Entry::File(File {
                    bytes: Bytes(1),
                    mode: Mode::FILE,
                    content: Content::Data,
                })
            } else {
                Entry::Symlink((*link).to_owned())
            };
            tree.insert(TreePath::new(path).unwrap(), entry);
        }
        tree
    }

    fn placed(runtime: &str, paths: &[(&str, &str)]) -> Result<Vec<String>, PlaceError> {
        let runtime = Runtime::load(runtime, Arch::X86_64).unwrap();
        let placed = place(&tree(paths), &runtime)?;
        let entries = placed.tree.iter().filter_map(|(path, entry)| match entry {
            Entry::Directory(_) => None,
            Entry::File(_) => Some(path.to_string()),
            Entry::Symlink(target) => Some(format!("{path} -> {target}")),
        });
        Ok(entries.collect())
    }

    #[test]
    fn modules_go_where_the_runtime_looks_and_links_follow() {
        let found = placed(
            "python3.13",
            &[
                ("requests/__init__.py", ""),
                ("requests/link", "../six.py"),
                ("six.py", ""),
                ("bin/tool", "../six.py"),
                ("lib/libz.so.1", ""),
            ],
        );
        let expected = [
            "bin/tool -> ../python/six.py",
            "lib/libz.so.1",
            "python/requests/__init__.py",
            "python/requests/link -> ../six.py",
            "python/six.py",
        ];
        assert_eq!(found.unwrap(), expected);
        let found = placed(
            "nodejs22.x",
            &[
                ("node_modules/a/package.json", ""),
                ("node_modules/.bin/a", "../a/cli.js"),
                ("node_modules/a/node_modules/b/package.json", ""),
                ("shared", "/opt/node_modules/a"),
            ],
        );
        let expected = [
            "nodejs/node_modules/.bin/a -> ../a/cli.js",
            "nodejs/node_modules/a/node_modules/b/package.json",
            "nodejs/node_modules/a/package.json",
            "shared -> /opt/nodejs/node_modules/a",
        ];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn two_files_never_become_one() {
        let both = [("python/six.py", ""), ("lib/python3.13/site-packages/six.py", "")];
        assert!(matches!(placed("python3.13", &both), Err(PlaceError::Occupied { .. })));
        assert!(matches!(
            placed("provided.al2023", &both),
            Err(PlaceError::NoLanguage(_))
        ));
    }
}
