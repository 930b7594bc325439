//! Uses of libraries that code opens by a name which only the tree has, as far as the name is not written as the file's: what a
//! language makes of `z` is `libz.so`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, FindUses, Sought, SoughtKind, Source, Use, UseKind, Used};
use crate::languages::{LANGUAGES, openings};
use crate::source::LibraryName;
use crate::tree::{Entry, TreePath};

/// Finds libraries and links to them by the names under which code opens them.
pub struct OpenedLibraries {
    libraries: BTreeMap<String, Vec<TreePath>>,
}

impl OpenedLibraries {
    /// Makes ready to look for these; `None` if the runtime has all of the names.
    pub fn of(sought: &BTreeSet<Sought>) -> Option<Self> {
        let mut libraries: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
        let is_own = |sought: &&Sought| sought.kind == SoughtKind::Library { is_provided: false };
        for Sought { path, .. } in sought.iter().filter(is_own) {
            let known = libraries.entry(path.file_name().to_owned()).or_default();
            known.push(path.clone());
        }
        (!libraries.is_empty()).then_some(Self { libraries })
    }
}

impl FindUses for OpenedLibraries {
    fn reads(&self, path: &TreePath, _: &Entry) -> bool {
        LANGUAGES.iter().any(|language| language.is_compiled(path))
    }

    fn uses(&self, source: &Source<'_>) -> Vec<Use> {
        let Entry::File(file) = source.entry else {
            return Vec::new();
        };
        let mut names: BTreeSet<String> = BTreeSet::new();
        for opening in openings(source.path, file).iter() {
            names.extend(opening.names.iter().filter_map(|name| match name {
                LibraryName::File(name) => Some(name.clone()),
                LibraryName::Link(_) => None,
            }));
        }
        let compiled = LANGUAGES.iter().filter(|language| language.is_compiled(source.path));
        if let Some(content) = source.content {
            names.extend(compiled.flat_map(|language| language.opened_by_compiled(content)));
        }
        let found = names.iter().filter_map(|name| Some((name, self.libraries.get(name)?)));
        found
            .flat_map(|(name, paths)| {
                paths
                    .iter()
                    .map(move |path| source.uses(Used::Path(path.clone()), UseKind::Opened, Evidence::of(name)))
            })
            .collect()
    }
}
