//! Packages that were installed so that their source stays where it is edited: nothing of it is in the tree but its path.

use std::collections::BTreeMap;

use super::{METADATA_DIRECTORY, module_roots};
use crate::finding::{Code, Finding};
use crate::root::Root;
use crate::tree::TreePath;

/// Where installers write from where a distribution came (PEP 610).
pub(super) const ORIGIN: &str = "direct_url.json";
/// How the names of files begin and end by which setuptools finds the source ("Development Mode"), and older versions of it.
const FINDERS: [(&str, &str); 3] = [
    ("__editable__", ".pth"),
    ("__editable__", "_finder.py"),
    ("", ".egg-link"),
];

/// One finding for each such distribution.
pub(super) fn findings(root: Root<'_>) -> Vec<Finding> {
    let tree = root.tree;
    let mut found: BTreeMap<String, &TreePath> = BTreeMap::new();
    for (path, _) in tree.files() {
        let name = path.file_name();
        let by_origin = || {
            let metadata = path.parent().filter(|_| name == ORIGIN)?;
            let stem = metadata.file_name().strip_suffix(METADATA_DIRECTORY)?.to_owned();
            tree.text(path).is_some_and(is_editable).then_some(stem)
        };
        let by_finder = || {
            let (begin, end) = FINDERS
                .iter()
                .find(|(begin, end)| name.starts_with(begin) && name.ends_with(end))?;
            let stem = name.strip_prefix(begin)?.strip_suffix(end)?;
            Some(stem.trim_matches(['_', '.']).to_owned())
        };
        if let Some(stem) = by_origin().or_else(by_finder) {
            let package = stem.split('-').next().unwrap_or_default().replace('.', "_");
            found.entry(package).or_insert(path);
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let roots = module_roots(tree);
    let is_there = |package: &String| {
        let names = [package.clone(), format!("{package}.py")];
        let mut paths = roots
            .iter()
            .flat_map(|root| names.iter().filter_map(|name| root.directory.join(name)));
        paths.any(|path| tree.contains(&path))
    };
    let absent = found.into_iter().filter(|(package, _)| !is_there(package));
    absent
        .map(|(package, path)| {
            let words = [("package", package.as_str()), ("runtime", &root.runtime.name)];
            Finding::new(Code::EditableInstall, &words).at(path.shown())
        })
        .collect()
}

/// Whether an origin is a directory whose source is edited in place.
fn is_editable(origin: &str) -> bool {
    let origin: Option<serde_json::Value> = serde_json::from_str(origin).ok();
    origin.is_some_and(|origin| origin["dir_info"]["editable"] == true)
}
