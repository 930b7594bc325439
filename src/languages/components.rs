//! Components: the parts of a tree that a person thinks in, such as a package of a language, the language itself, `lib` or
//! `bin`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{LANGUAGES, Language, Package};
use crate::size::Bytes;
use crate::tree::{Entry, Tree, TreePath};

/// Knows which component each path of a tree belongs to.
#[derive(Debug, Clone, Default)]
pub struct Components {
    /// The innermost directory that a path is in decides.
    directories: BTreeMap<TreePath, Component>,
    /// Files of packages that share directories with others, each with the directory of its package's metadata.
    files: BTreeMap<TreePath, TreePath>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Component {
    name: String,
    /// What all of it should share a layer with; `None` if each directory of it is for itself.
    group: Option<TreePath>,
}

/// The size of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentSize {
    /// The name: a package's, an interpreter's, else that of the top directory or file.
    pub name: String,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
}

impl Components {
    /// Finds the components of a tree.
    pub fn of(tree: &Tree) -> Self {
        Self::with(tree, LANGUAGES)
    }

    /// As [`Components::of`], for these languages alone.
    pub fn with(tree: &Tree, languages: &[&dyn Language]) -> Self {
        let mut directories = BTreeMap::new();
        for interpreter in languages.iter().flat_map(|language| language.interpreters(tree)) {
            let name = interpreter.name;
            directories.insert(interpreter.directory, Component { name, group: None });
        }
        let packages: Vec<_> = languages.iter().flat_map(|language| language.packages(tree)).collect();
        let component = |package: &Package| Component {
            name: package.name.clone(),
            group: Some(package.directory.clone()),
        };
        for package in &packages {
            directories.insert(package.directory.clone(), component(package));
        }
        let mut files = BTreeMap::new();
        for package in packages {
            let component = component(&package);
            for directory in package.owned {
                directories.entry(directory).or_insert_with(|| component.clone());
            }
            files.extend(package.listed.into_iter().map(|file| (file, package.directory.clone())));
        }
        Self { directories, files }
    }

    /// The component of a path.
    pub fn name<'a>(&'a self, path: &'a TreePath) -> &'a str {
        self.of_path(path)
            .map_or_else(|| path.names().next().unwrap_or_default(), |component| &component.name)
    }

    /// The directories of a component that are its alone, without those inside of others.
    pub fn directories<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a TreePath> {
        let is_it = move |directory: &str| self.directories.get(directory).is_some_and(|known| known.name == name);
        let own = self.directories.keys().filter(move |path| is_it(path.as_str()));
        own.filter(move |path| !path.splits().any(|(above, _)| is_it(above)))
    }

    fn of_path(&self, path: &TreePath) -> Option<&Component> {
        let distribution = self.files.get(path).and_then(|metadata| self.directories.get(metadata));
        distribution.or_else(|| path.splits().find_map(|(directory, _)| self.directories.get(directory)))
    }

    /// The package or interpreter that a path is a part of, by its directory; for a package whose files are in shared
    /// directories, that of its metadata.
    pub fn unit(&self, path: &TreePath) -> Option<&TreePath> {
        let listed = self
            .files
            .get(path)
            .and_then(|metadata| self.directories.get_key_value(metadata));
        let innermost = || {
            path.splits()
                .find_map(|(directory, _)| self.directories.get_key_value(directory))
        };
        let (directory, component) = listed.or_else(innermost)?;
        Some(component.group.as_ref().unwrap_or(directory))
    }

    /// Whether a path is a part of something that a package manager installed.
    pub fn is_in_package(&self, path: &TreePath) -> bool {
        self.of_path(path).is_some_and(|component| component.group.is_some())
    }

    /// What a path should share a layer with: a package is one group, a library is one with its links, and
    /// the rest of a directory is one.
    pub fn group(&self, path: &TreePath) -> String {
        if let Some(group) = self.of_path(path).and_then(|component| component.group.as_ref()) {
            return group.to_string();
        }
        let directory = path.parent().unwrap_or_else(TreePath::root);
        match path.file_name().split_once(".so") {
            Some((stem, rest)) if rest.is_empty() || rest.starts_with('.') => format!("{directory}/{stem}.so"),
            _ => directory.to_string(),
        }
    }

    /// The size of each component of a tree, the largest first.
    pub fn sizes(&self, tree: &Tree) -> Vec<ComponentSize> {
        let mut sizes: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if matches!(entry, Entry::Directory(_)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, File, Mode};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let content = if text.is_empty() {
                Content::Data
            } else {
                Content::Text((*text).into())
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
}
