//! Components: the parts of a tree that a person thinks in, such as an R package, R itself, a Python distribution, a package
//! of Node's, `lib` or `bin`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Tree, TreePath};
use crate::languages::r::{self, RHome};
use crate::size::Bytes;

/// The component of what lies in R's home and in no package.
const R_ITSELF: &str = "R";

/// The file in which a Python distribution lists its files.
const RECORD: &str = "RECORD";

/// Knows which component each path of a tree belongs to.
#[derive(Debug, Clone, Default)]
pub struct Components {
    /// The innermost folder that a path lies in decides.
    folders: BTreeMap<TreePath, Component>,
    /// Files of Python distributions, each with the folder of its distribution's metadata: several may write to one folder.
    files: BTreeMap<TreePath, TreePath>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Component {
    name: String,
    /// What all of it should share a layer with; `None` where each folder of it is for itself.
    group: Option<TreePath>,
}

/// The size of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentSize {
    /// The name: an R package's, `R` for R itself, a Python distribution's, a Node package's, else that of the top folder
    /// or file.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
}

impl Components {
    /// Finds the components of a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut folders = BTreeMap::new();
        for home in RHome::all(tree) {
            let name = R_ITSELF.to_owned();
            folders.insert(home.path, Component { name, group: None });
        }
        for package in r::packages(tree) {
            let group = Some(package.path.clone());
            let name = package.name;
            folders.insert(package.path, Component { name, group });
        }
        for (path, name) in node_packages(tree) {
            let group = Some(path.clone());
            folders.insert(path, Component { name, group });
        }
        let files = python_distributions(tree, &mut folders);
        Self { folders, files }
    }

    /// The component of a path.
    pub fn name<'a>(&'a self, path: &'a TreePath) -> &'a str {
        self.of_path(path)
            .map_or_else(|| path.names().next().unwrap_or_default(), |component| &component.name)
    }

    fn of_path(&self, path: &TreePath) -> Option<&Component> {
        let distribution = self.files.get(path).and_then(|metadata| self.folders.get(metadata));
        distribution.or_else(|| path.splits().find_map(|(folder, _)| self.folders.get(folder)))
    }

    /// What a path should share a layer with: a package or distribution is one group, a library is one with its links, and
    /// the rest of a folder is one.
    pub fn group(&self, path: &TreePath) -> String {
        if let Some(group) = self.of_path(path).and_then(|component| component.group.as_ref()) {
            return group.to_string();
        }
        let folder = path.parent().unwrap_or_else(TreePath::root);
        match path.file_name().split_once(".so") {
            Some((stem, rest)) if rest.is_empty() || rest.starts_with('.') => format!("{folder}/{stem}.so"),
            _ => folder.to_string(),
        }
    }

    /// The size of each component of a tree, the largest first.
    pub fn sizes(&self, tree: &Tree) -> Vec<ComponentSize> {
        let mut sizes: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if matches!(entry, super::Entry::Directory(_)) {
                continue;
            }
            let (files, bytes) = sizes.entry(self.name(path)).or_default();
            *files += 1;
            *bytes += entry.unzipped();
        }
        let mut sizes: Vec<ComponentSize> = sizes
            .into_iter()
            .map(|(name, (files, bytes))| ComponentSize {
                name: name.to_owned(),
                files,
                bytes,
            })
            .collect();
        sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        sizes
    }
}

/// The packages in `node_modules`, by their folders (Node.js documentation, "Loading from node_modules folders").
fn node_packages(tree: &Tree) -> impl Iterator<Item = (TreePath, String)> {
    tree.files()
        .filter(|(path, _)| path.file_name() == "package.json")
        .filter_map(|(path, _)| {
            let folder = path.parent()?;
            let above = folder.parent()?;
            if above.file_name() == "node_modules" {
                let name = folder.file_name().to_owned();
                return Some((folder, name));
            }
            let is_scoped = above.file_name().starts_with('@') && above.parent()?.file_name() == "node_modules";
            let name = format!("{}/{}", above.file_name(), folder.file_name());
            is_scoped.then_some((folder, name))
        })
}

/// Adds Python's distributions by the folder of their metadata, and their top folders where these are of one distribution
/// alone; gives the files that they list (Binary distribution format, "The .dist-info directory": RECORD).
fn python_distributions(tree: &Tree, folders: &mut BTreeMap<TreePath, Component>) -> BTreeMap<TreePath, TreePath> {
    let mut files = BTreeMap::new();
    // A folder into which several distributions write belongs to none.
    let mut tops: BTreeMap<TreePath, Option<TreePath>> = BTreeMap::new();
    for (path, _) in tree.files().filter(|(path, _)| path.file_name() == RECORD) {
        let (Some(metadata), Some(text)) = (path.parent(), tree.text(path)) else {
            continue;
        };
        let (Some(stem), Some(site)) = (metadata.file_name().strip_suffix(".dist-info"), metadata.parent()) else {
            continue;
        };
        let name = stem.split_once('-').map_or(stem, |(name, _)| name).to_owned();
        for listed in text.lines().map(listed_path) {
            let Some(file) = site.join(&listed).filter(|file| tree.contains(file)) else {
                continue;
            };
            if let Some((top, _)) = listed.split_once('/')
                && let Some(top) = site.join(top)
            {
                let owner = tops.entry(top).or_insert_with(|| Some(metadata.clone()));
                if owner.as_ref() != Some(&metadata) {
                    *owner = None;
                }
            }
            files.insert(file, metadata.clone());
        }
        let group = Some(metadata.clone());
        folders.insert(metadata, Component { name, group });
    }
    for (top, owner) in tops {
        if let Some(component) = owner.and_then(|owner| folders.get(&owner).cloned()) {
            folders.entry(top).or_insert(component);
        }
    }
    files
}

/// The path in a line of RECORD, which is CSV: a path with a comma or a quote in it is quoted (RFC 4180).
fn listed_path(line: &str) -> String {
    match line.strip_prefix('"') {
        None => line.split(',').next().unwrap_or_default().to_owned(),
        Some(quoted) => {
            // Two quotes stand for one of the path, one alone ends it.
            let pairs = quoted.replace("\"\"", "\u{0}");
            pairs.split('"').next().unwrap_or_default().replace('\u{0}', "\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Entry, File, Mode};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let content = if text.is_empty() {
                Content::Data
            } else {
                Content::Text((*text).to_owned())
            };
            let file = File {
                bytes: Bytes(1),
                mode: Mode::new(0o644),
                content,
            };
            tree.insert(TreePath::new(path).unwrap(), Entry::File(file));
        }
        tree
    }

    #[test]
    fn distributions_and_packages_are_components_and_groups() {
        let tree = tree(&[
            ("python/numpy/core/x.py", ""),
            ("python/numpy/core/cache.pyc", ""),
            ("python/numpy.libs/liby.so", ""),
            (
                "python/numpy-1.26.4.dist-info/RECORD",
                "numpy/core/x.py,sha256=x,1\nnumpy.libs/liby.so,,\n../../bin/f2py,,\n",
            ),
            ("python/google/a.py", ""),
            ("python/google/b.py", ""),
            ("python/google/c.py", ""),
            ("python/a-1.dist-info/RECORD", "google/a.py,,\n"),
            ("python/b-2.dist-info/RECORD", "\"google/b.py\",,\n"),
            ("python/six.py", ""),
            ("python/six-1.dist-info/RECORD", "six.py,,\nsix-1.dist-info/RECORD,,\n"),
            ("nodejs/node_modules/x/package.json", ""),
            ("nodejs/node_modules/x/node_modules/@s/y/package.json", ""),
            ("nodejs/node_modules/x/node_modules/@s/y/a.js", ""),
            ("lib/libz.so", ""),
            ("lib/libz.so.1", ""),
            ("lib/data", ""),
        ]);
        let components = Components::of(&tree);
        for (path, name, group) in [
            ("python/numpy/core/x.py", "numpy", "python/numpy-1.26.4.dist-info"),
            ("python/numpy/core/cache.pyc", "numpy", "python/numpy-1.26.4.dist-info"),
            ("python/numpy.libs/liby.so", "numpy", "python/numpy-1.26.4.dist-info"),
            (
                "python/numpy-1.26.4.dist-info/RECORD",
                "numpy",
                "python/numpy-1.26.4.dist-info",
            ),
            ("python/google/a.py", "a", "python/a-1.dist-info"),
            ("python/google/b.py", "b", "python/b-2.dist-info"),
            ("python/google/c.py", "python", "python/google"),
            ("python/six.py", "six", "python/six-1.dist-info"),
            ("nodejs/node_modules/x/package.json", "x", "nodejs/node_modules/x"),
            (
                "nodejs/node_modules/x/node_modules/@s/y/a.js",
                "@s/y",
                "nodejs/node_modules/x/node_modules/@s/y",
            ),
            ("lib/libz.so", "lib", "lib/libz.so"),
            ("lib/libz.so.1", "lib", "lib/libz.so"),
            ("lib/data", "lib", "lib"),
        ] {
            let path = TreePath::new(path).unwrap();
            assert_eq!(
                (components.name(&path), components.group(&path).as_str()),
                (name, group),
                "{path}"
            );
        }
    }

    #[test]
    fn paths_of_a_record_are_read() {
        for (line, path) in [
            ("a/b.py,sha256=x,1", "a/b.py"),
            ("a,,", "a"),
            ("\"a,b \"\"c\"\"\",sha256=x,1", "a,b \"c\""),
            ("\"", ""),
            ("", ""),
        ] {
            assert_eq!(listed_path(line), path, "{line}");
        }
    }
}
