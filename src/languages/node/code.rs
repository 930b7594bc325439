//! What Node modules and manifests refer to in a tree.

use serde_json::Value;

use super::{MANIFEST, MODULES};
use crate::languages::references::Remembered;
use crate::languages::{Asked, Reference, SourceReader, absolute, continued, fitting, with_all, with_names};
use crate::source::javascript::{References, may_list, may_refer, references};
use crate::source::{ANYTHING, Listed, Place, Start};
use crate::tree::{Entry, File, Tree, TreePath};

/// How files of modules end, and in which order Node looks for them (Node.js documentation, "Modules: CommonJS modules"); the
/// others it only takes by their full names.
const ENDINGS: [&str; 5] = [".js", ".json", ".node", ".mjs", ".cjs"];

/// How conditions of `exports` begin under which nothing is run (TypeScript handbook, "Modules - Reference").
const TYPES: &str = "types";
/// The file by which a directory is loaded, without its ending.
const INDEX: &str = "index";

/// Keys of a manifest that name files which are run.
const ENTRIES: [&str; 5] = ["main", "module", "exports", "imports", "bin"];

/// Reads the modules and manifests of one tree.
pub(super) struct Modules<'a> {
    tree: &'a Tree,
    read: Remembered<Option<References>>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(tree: &'a Tree, asked: Asked) -> Self {
        let read = Remembered::new(asked);
        Self { tree, read }
    }

    /// The file that Node takes for a path (Node.js documentation, "Modules: CommonJS modules", LOAD_AS_FILE and
    /// LOAD_AS_DIRECTORY), with the manifest that leads to it.
    fn load(&self, path: &TreePath) -> Vec<TreePath> {
        let named = |ending: &str| path.sibling(&format!("{}{ending}", path.file_name()));
        let files = std::iter::once(path.clone()).chain(ENDINGS.iter().filter_map(|ending| named(ending)));
        if let Some(file) = files.into_iter().find(|path| self.is_file(path)) {
            return vec![file];
        }
        let mut found = Vec::new();
        let manifest = path.join(MANIFEST).filter(|manifest| self.tree.contains(manifest));
        if let Some(manifest) = manifest {
            let text = self
                .tree
                .text(&manifest)
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            let main = text.and_then(|value| value.get("main")?.as_str().and_then(|main| joined(path, main)));
            found.push(manifest);
            if let Some(main) = main.filter(|main| main != path) {
                let named = ENDINGS
                    .iter()
                    .filter_map(|ending| main.sibling(&format!("{}{ending}", main.file_name())));
                let files = std::iter::once(main.clone()).chain(named);
                found.extend(files.into_iter().find(|path| self.is_file(path)));
                found.extend(self.index(&main));
            }
        }
        found.extend(self.index(path));
        found
    }

    fn index(&self, directory: &TreePath) -> Option<TreePath> {
        let mut files = ENDINGS
            .iter()
            .filter_map(|ending| directory.join(&format!("{INDEX}{ending}")));
        files.find(|path| self.is_file(path))
    }

    fn is_file(&self, path: &TreePath) -> bool {
        matches!(self.tree.get(path), Some(Entry::File(_) | Entry::Symlink(_)))
    }

    /// What a request means: a path from the module, or a package in the nearest directory of packages that has it.
    fn requested(&self, module: &TreePath, request: &str) -> Vec<TreePath> {
        let Some(directory) = module.parent() else {
            return Vec::new();
        };
        if request.contains(ANYTHING) {
            let is_module = |path: &TreePath| ENDINGS.iter().any(|ending| path.as_str().ends_with(ending));
            let mut found = self.fitting(module, request);
            found.retain(is_module);
            return found;
        }
        if request.starts_with('.') {
            return joined(&directory, request)
                .map(|path| self.load(&path))
                .unwrap_or_default();
        }
        let parts = if request.starts_with('@') { 2 } else { 1 };
        let name = request.splitn(parts + 1, '/').take(parts).collect::<Vec<_>>().join("/");
        let mut above = std::iter::once(directory.clone()).chain(directory.ancestors());
        let package = above.find_map(|directory| {
            let package = directory.join(MODULES)?.join(&name)?;
            self.tree.contains(&package).then_some(package)
        });
        let Some(package) = package else { return Vec::new() };
        let mut found = vec![package.clone()];
        match request[name.len()..].strip_prefix('/') {
            None => found.extend(self.load(&package)),
            Some(below) => {
                found.extend(package.join(MANIFEST));
                found.extend(joined(&package, below).map(|path| self.load(&path)).unwrap_or_default());
            }
        }
        found
    }

    /// What fits a pattern of paths from a module, which may leave the ending out.
    fn fitting(&self, module: &TreePath, written: &str) -> Vec<TreePath> {
        let at = written.find(ANYTHING).unwrap_or(written.len());
        let (directory, names) = match written[..at].rfind('/') {
            Some(slash) => (&written[..slash], &written[slash + 1..]),
            None => return Vec::new(),
        };
        let directory = module.parent().and_then(|own| joined(&own, directory));
        let Some(directory) = directory.filter(|_| written.starts_with('.')) else {
            return Vec::new();
        };
        let endings = std::iter::once("").chain(ENDINGS);
        endings
            .flat_map(|ending| fitting(self.tree, &directory, &format!("{names}{ending}")))
            .collect()
    }

    /// What a path from a module means, as far as it is there.
    fn written(&self, module: &TreePath, written: &str) -> Vec<TreePath> {
        if let Some(found) = absolute(self.tree, written) {
            return found;
        }
        if written.contains(ANYTHING) {
            return self.fitting(module, written);
        }
        let Some(path) = module.parent().and_then(|own| joined(&own, written)) else {
            return Vec::new();
        };
        let mut found = self.load(&path);
        if self.tree.contains(&path) && !found.contains(&path) {
            found.push(path);
        }
        found
    }

    /// What a path means that a module puts together from its own place, and what is in it as far as that is listed.
    fn placed(&self, module: &TreePath, place: &Place) -> Vec<TreePath> {
        let start = match &place.start {
            Start::File => Some(module.clone()),
            Start::Module(request) => self.requested(module, request).pop(),
        };
        let paths = start.iter().flat_map(|start| continued(self.tree, start, &place.rest));
        let with_listed = |path: TreePath| match place.listed {
            Listed::Nothing => vec![path],
            Listed::Names | Listed::Modules | Listed::AllModules | Listed::AllTests => with_names(self.tree, path),
            Listed::Everything => with_all(self.tree, path),
        };
        paths.flat_map(with_listed).collect()
    }

    /// The files that a manifest names as entries of its package.
    fn of_manifest(&self, path: &TreePath, text: &str) -> Vec<Reference> {
        let (Ok(manifest), Some(directory)) = (serde_json::from_str::<Value>(text), path.parent()) else {
            return Vec::new();
        };
        let mut references = Vec::new();
        for key in ENTRIES {
            let mut pending: Vec<&Value> = manifest.get(key).into_iter().collect();
            while let Some(value) = pending.pop() {
                match value {
                    Value::Object(map) => {
                        let run = map.iter().filter(|(condition, _)| !condition.starts_with(TYPES));
                        pending.extend(run.map(|(_, value)| value));
                    }
                    Value::Array(list) => pending.extend(list),
                    Value::String(target) => {
                        let files = if target.contains(ANYTHING) {
                            continued(self.tree, &directory, &format!("/{target}"))
                        } else {
                            joined(&directory, target)
                                .map(|path| self.load(&path))
                                .unwrap_or_default()
                        };
                        references.extend(files.into_iter().map(|to| Reference {
                            to,
                            is_import: true,
                            text: format!("\"{key}\": \"{target}\""),
                            line: text.find(target).map(|at| 1 + text[..at].matches('\n').count()),
                        }));
                    }
                    _ => {}
                }
            }
        }
        references
    }
}

impl SourceReader for Modules<'_> {
    fn is_source(&self, path: &TreePath, file: &File) -> bool {
        let name = path.file_name();
        let script = || file.content.text().and_then(|text| text.lines().next());
        let is_module = [".js", ".cjs", ".mjs"].iter().any(|ending| name.ends_with(ending));
        is_module || name == MANIFEST || script().is_some_and(|line| line.starts_with("#!") && line.contains("node"))
    }

    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str> {
        let name = path.file_name();
        // Source maps are named in a comment of every file.
        if name.strip_suffix(".map").is_some() {
            return None;
        }
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        Some(stem.unwrap_or(name))
    }

    fn stands_for_directory(&self, path: &TreePath) -> bool {
        let name = path.file_name();
        name == MANIFEST || name.strip_prefix(INDEX).is_some_and(|ending| ENDINGS.contains(&ending))
    }

    fn may_list(&self, content: &[u8]) -> bool {
        may_list(content)
    }

    fn references(&self, path: &TreePath, content: &[u8], is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference> {
        let text = &*String::from_utf8_lossy(content);
        if path.file_name() == MANIFEST {
            return self.of_manifest(path, text);
        }
        if !may_refer(text, is_wanted) && !may_list(text.as_bytes()) {
            return Vec::new();
        }
        let References {
            requests,
            paths,
            places,
        } = self.read.with(path, |read| match read {
            None => references(text),
            Some(read) => read.get_or_insert_with(|| references(text)).clone(),
        });
        let placed = places.iter().flat_map(|place| {
            let found = self.placed(path, place).into_iter();
            found.map(move |to| Reference::by_place(to, false, place))
        });
        let requested = requests.iter().flat_map(|request| {
            let files = self.requested(path, &request.text).into_iter();
            files.map(move |to| (to, true, request))
        });
        let written = paths.iter().flat_map(|written| {
            let found = self.written(path, &written.text).into_iter();
            found.map(move |to| (to, false, written))
        });
        requested
            .chain(written)
            .map(|(to, is_import, literal)| Reference::by_literal(to, is_import, literal))
            .chain(placed)
            .collect()
    }
}

/// A path with a relative one behind it, which may climb; `None` if it climbs out of the tree.
fn joined(directory: &TreePath, relative: &str) -> Option<TreePath> {
    let mut path = directory.clone();
    for name in relative.split('/') {
        path = match name {
            "" | "." => path,
            ".." => path.parent()?,
            name => path.join(name)?,
        };
    }
    Some(path)
}
