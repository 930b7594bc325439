//! R's own ways: where R lies in a tree, how it sets the library path, and which packages need which.

pub mod description;
pub mod lazyload;
mod needs;
pub mod rscript;
pub mod which;

use std::collections::BTreeMap;

pub use needs::{SelectionError, loaded_by_home, loaded_by_package, select};

use crate::shell;
use crate::tree::{Tree, TreePath};

/// The folder that R calls `R_HOME`, found by its files, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RHome {
    /// The folder.
    pub path: TreePath,
    ldpaths: Option<String>,
}

/// An installed R package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RPackage {
    /// Its name: that of its folder.
    pub name: String,
    /// Its folder.
    pub path: TreePath,
    /// The packages without which it does not load: Depends and Imports, R itself left out.
    pub needs: Vec<String>,
}

impl RHome {
    /// Every R in the tree: a folder that has package base in `library` and R's start script or program in `bin`.
    pub fn all(tree: &Tree) -> Vec<Self> {
        tree.files()
            .filter(|(path, _)| path.file_name() == "DESCRIPTION")
            .filter_map(|(path, _)| {
                let home = path.as_str().strip_suffix("library/base/DESCRIPTION")?;
                let home = match home.strip_suffix('/') {
                    None if home.is_empty() => TreePath::root(),
                    None => return None,
                    Some(home) => TreePath::new(home)?,
                };
                let has = |below: &str| home.join(below).is_some_and(|path| tree.contains(&path));
                (has("bin/R") || has("bin/exec/R")).then(|| Self {
                    ldpaths: home
                        .join("etc/ldpaths")
                        .and_then(|path| tree.text(&path))
                        .map(ToOwned::to_owned),
                    path: home,
                })
            })
            .collect()
    }

    /// The environment of an R process: `etc/ldpaths`, which `bin/R` sources, puts R's own folders first in
    /// `LD_LIBRARY_PATH`.
    pub fn environment(&self, inherited: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut environment = inherited.clone();
        environment.insert("R_HOME".to_owned(), self.path.on_lambda());
        environment.insert("R_ARCH".to_owned(), String::new());
        if let Some(ldpaths) = &self.ldpaths {
            shell::source(ldpaths, &mut environment);
        }
        environment
    }

    /// What R loads as plugins: its own modules, and the shared objects of every package in the tree.
    pub fn plugins(&self, tree: &Tree) -> Vec<TreePath> {
        tree.objects()
            .map(|(path, _)| path)
            .filter(|path| {
                self.path
                    .join("modules")
                    .is_some_and(|modules| path.below(&modules).is_some())
                    || package_of_plugin(path, tree).is_some()
            })
            .cloned()
            .collect()
    }

    /// Whether an object runs with this R's environment: R's program and the libraries beside it.
    pub fn runs(&self, path: &TreePath) -> bool {
        ["bin/exec", "lib"]
            .iter()
            .filter_map(|folder| self.path.join(folder))
            .any(|folder| path.below(&folder).is_some())
    }
}

/// The folder of the package that a shared object in `PACKAGE/libs` belongs to.
fn package_of_plugin(path: &TreePath, tree: &Tree) -> Option<TreePath> {
    path.ancestors()
        .take(2)
        .find(|folder| folder.file_name() == "libs")
        .and_then(|libs| libs.parent())
        .filter(|package| is_package(package, tree))
}

fn is_package(folder: &TreePath, tree: &Tree) -> bool {
    // Only an installed package has `Built`, as R CMD INSTALL writes it (Writing R Extensions, section 1.1.1).
    folder
        .join("DESCRIPTION")
        .and_then(|path| tree.text(&path))
        .is_some_and(|text| description::field(text, "Built").is_some())
}

/// Every installed R package of the tree, sorted by path.
pub fn packages(tree: &Tree) -> Vec<RPackage> {
    tree.files()
        .filter(|(path, _)| path.file_name() == "DESCRIPTION")
        .filter_map(|(path, _)| {
            let folder = path.parent().filter(|folder| is_package(folder, tree))?;
            Some(RPackage {
                name: folder.file_name().to_owned(),
                needs: description::needs(tree.text(path)?),
                path: folder,
            })
        })
        .collect()
}
