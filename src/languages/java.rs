//! Java: archives on the class path.

use super::Language;
use super::layout::ModuleRoot;
use crate::tree::Tree;

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
        let files = tree.files().map(|(path, _)| path);
        let archives = files.filter(|path| path.file_name().ends_with(ARCHIVE));
        ModuleRoot::certain(archives.filter_map(|path| Some((path.parent()?, path.clone()))))
    }
}
