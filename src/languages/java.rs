//! Java: archives on the class path.

use std::collections::BTreeMap;

use super::Language;
use super::layout::ModuleRoot;
use crate::tree::{Tree, TreePath};

/// How the name of an archive ends.
const ARCHIVE: &str = ".jar";

/// Java.
#[derive(Debug)]
pub struct Java;

impl Language for Java {
    fn name(&self) -> &'static str {
        "java"
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        let mut roots: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        let archives = tree.files().map(|(path, _)| path);
        for path in archives.filter(|path| path.file_name().ends_with(ARCHIVE)) {
            if let Some(directory) = path.parent() {
                roots.entry(directory).or_insert_with(|| path.clone());
            }
        }
        roots
            .into_iter()
            .map(|(directory, example)| ModuleRoot {
                directory,
                is_certain: true,
                example,
            })
            .collect()
    }
}
