//! What Python modules refer to in a tree: the modules that they import, and files next to them.

use std::collections::{BTreeMap, BTreeSet};

use super::byte_code::CACHE;
use super::{SOURCE, is_extension_module, module_directories};
use crate::languages::references::Remembered;
use crate::languages::{Asked, Reference, SourceReader, absolute, continued, fitting, names_in, with_all, with_names};
use crate::shell;
use crate::source::python::{Import, ReadModule, References, may_list, references};
use crate::source::{ANYTHING, Listed, Place, Start};
use crate::tree::{Entry, File, Tree, TreePath};

/// How files of modules end (importlib.machinery).
const MODULES: [&str; 3] = [".py", ".so", ".pyc"];
/// The file that is run when a package is imported.
const PACKAGE: &str = "__init__";
/// A part of the name of every Python.
const PYTHON: &str = "python";
/// How files end that extend the search path for modules (Python documentation, `site`).
const PATHS: &str = ".pth";
/// How files of settings end.
const SETTINGS: [&str; 7] = [".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".conf"];
/// Settings of the tools that build and test a package, which nothing reads where it runs (Packaging user guide, "Writing your
/// pyproject.toml"; documentation of setuptools, tox, pytest and mypy, "Configuration").
const FOR_DEVELOPERS: [&str; 5] = ["pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", "mypy.ini"];
/// Longer names of modules and files are not looked for, in bytes.
const LONGEST_NAME: usize = 200;
/// The file that lists the entry points of a distribution, and how the directories that have it end.
const ENTRY_POINTS: &str = "entry_points.txt";
const METADATA: [&str; 2] = [".dist-info", ".egg-info"];
/// The groups of entry points that installers make commands of.
const COMMANDS: [&str; 2] = ["[console_scripts]", "[gui_scripts]"];

/// Reads the Python modules of one tree.
pub(super) struct Modules<'a> {
    tree: &'a Tree,
    /// Directories in which absolute imports are looked for.
    roots: BTreeSet<TreePath>,
    /// The names of what is in these, without what follows a dot.
    tops: BTreeSet<&'a str>,
    read: Remembered<ReadModule>,
}

impl<'a> Modules<'a> {
    pub(super) fn of(tree: &'a Tree, asked: Asked) -> Self {
        let mut roots = module_directories(tree);
        // The standard library is above the directory for what is installed.
        let above: Vec<TreePath> = roots.iter().filter_map(TreePath::parent).collect();
        roots.extend(above);
        let of_root = |path: &'a TreePath| {
            let is_top = path.parent().is_some_and(|above| roots.contains(&above));
            is_top.then(|| path.file_name().split('.').next()).flatten()
        };
        let tops = tree.iter().filter_map(|(path, _)| of_root(path)).collect();
        let read = Remembered::new(asked);
        Self {
            tree,
            roots,
            tops,
            read,
        }
    }

    /// The files that are run when the module of this name in a directory is imported.
    fn module(&self, directory: &TreePath, name: &str) -> Vec<TreePath> {
        let Some(path) = directory.join(name) else {
            return Vec::new();
        };
        let inside = path.join(PACKAGE);
        let stems = [Some(path), inside].into_iter().flatten();
        stems.flat_map(|stem| self.with_stem(&stem)).collect()
    }

    /// The files of modules that have this path, but for what comes behind a dot.
    fn with_stem(&self, stem: &TreePath) -> Vec<TreePath> {
        let begin = format!("{}.", stem.as_str());
        let found = self.tree.beginning_with(&begin).map(|(path, _)| path);
        found
            .filter(|path| MODULES.iter().any(|ending| path.as_str().ends_with(ending)))
            .filter(|path| !path.as_str()[begin.len()..].contains('/'))
            .cloned()
            .collect()
    }

    /// The files that an import runs, from the outermost package inwards, as seen from a directory.
    fn imported(&self, directory: &TreePath, import: &Import) -> Vec<TreePath> {
        let mut files = Vec::new();
        let mut here = directory.clone();
        for name in import.module.split('.').filter(|name| !name.is_empty()) {
            files.extend(self.module(&here, name));
            match here.join(name) {
                Some(inner) => here = inner,
                None => return files,
            }
        }
        for name in &import.names {
            files.extend(self.module(&here, name));
        }
        files
    }

    /// The directories that an import may start from.
    fn starts(&self, module: &TreePath, import: &Import) -> Vec<TreePath> {
        if import.level > 0 {
            return module.ancestors().nth(import.level - 1).into_iter().collect();
        }
        // A script's own directory is searched first; what else is, only a run tells.
        module.parent().into_iter().chain(self.roots.iter().cloned()).collect()
    }

    /// The files that the module of a dotted name runs, such as `package.tests` or `.tests`, as far as it is more than one
    /// name that a file may have as well; nothing if there is no such module.
    fn named(&self, module: &TreePath, text: &str) -> Vec<TreePath> {
        if text.contains(ANYTHING) {
            return self.fitting_modules(module, text);
        }
        // `package.module:object`, as entry points are written.
        let text = text.split_once(':').map_or(text, |(module, _)| module);
        let name = text.trim_start_matches('.');
        if is_identifier(text) {
            let beside = Import {
                level: 1,
                module: text.to_owned(),
                names: Vec::new(),
                line: 0,
            };
            return self
                .starts(module, &beside)
                .iter()
                .flat_map(|start| self.imported(start, &beside))
                .collect();
        }
        if text.len() > LONGEST_NAME || !text.contains('.') || !name.split('.').all(is_identifier) {
            return Vec::new();
        }
        let level = text.len() - name.len();
        let first = name.split('.').next().unwrap_or_default();
        let is_beside = || {
            let beside = module.parent().and_then(|own| own.join(first));
            beside.is_some_and(|path| self.tree.contains(&path))
        };
        if level == 0 && !self.tops.contains(first) && !is_beside() {
            return Vec::new();
        }
        let least = if level > 0 { 1 } else { 2 };
        let begin: Vec<&str> = name.split('.').take(least).collect();
        let whole = Import {
            level,
            module: name.to_owned(),
            names: Vec::new(),
            line: 0,
        };
        let starts = self.starts(module, &whole).into_iter();
        starts
            .filter(|start| {
                let above = begin[..begin.len() - 1]
                    .iter()
                    .try_fold(start.clone(), |path, name| path.join(name));
                above.is_some_and(|above| !self.module(&above, begin[begin.len() - 1]).is_empty())
            })
            .flat_map(|start| self.imported(&start, &whole))
            .collect()
    }

    /// The files that modules run of whose dotted name a part is computed: `package.tests.*`, or `*.tests.*` where the name
    /// of the package itself is. Nothing where no more than the package is written out: what of it is meant, nobody knows.
    fn fitting_modules(&self, module: &TreePath, text: &str) -> Vec<TreePath> {
        let name = text.trim_start_matches('.');
        let is_of_name = |c: char| c.is_alphanumeric() || c == '_' || ANYTHING.contains(c);
        let mut parts: Vec<&str> = name.split('.').collect();
        let is_dotted = text.contains('.')
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.chars().all(is_of_name));
        if text.len() > LONGEST_NAME || !is_dotted {
            return Vec::new();
        }
        let mut level = text.len() - name.len();
        if level == 0 && parts[0] == ANYTHING {
            parts.remove(0);
            level = 1;
        }
        let is_written = |part: &&&str| part.contains(char::is_alphanumeric);
        let least = if level > 0 { 1 } else { 2 };
        if parts.iter().filter(is_written).count() < least {
            return Vec::new();
        }
        let import = Import {
            level,
            module: String::new(),
            names: Vec::new(),
            line: 0,
        };
        // Each directory with the files that are run on the way to it.
        let starts = self.starts(module, &import).into_iter();
        let mut here: BTreeMap<TreePath, Vec<TreePath>> = starts.map(|start| (start, Vec::new())).collect();
        for part in parts {
            let mut inner = BTreeMap::new();
            for (directory, on_the_way) in &here {
                for name in self.names_fitting(directory, part) {
                    let found = self.module(directory, &name);
                    let inside = directory.join(&name);
                    // A directory without the file of a package is one all the same (PEP 420).
                    if let Some(path) = inside.filter(|path| !found.is_empty() || self.tree.contains(path)) {
                        inner.insert(path, [&on_the_way[..], &found[..]].concat());
                    }
                }
            }
            here = inner;
        }
        here.into_values().flatten().collect()
    }

    /// The names of modules in a directory that fit a part of a dotted name, which may go on with an ending.
    fn names_fitting(&self, directory: &TreePath, part: &str) -> BTreeSet<String> {
        if !part.contains(ANYTHING) {
            return BTreeSet::from([part.to_owned()]);
        }
        let pattern = format!("{}{ANYTHING}", part.trim_end_matches(ANYTHING));
        let found = fitting(self.tree, directory, &pattern);
        let names = found.iter().filter_map(|path| path.file_name().split('.').next());
        names
            .filter(|name| *name != CACHE && is_identifier(name))
            .filter(|name| part.ends_with(ANYTHING) || name.ends_with(behind(part)))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// What a path may mean that is written in a module: from its own directory, from its package's, or from those of the
    /// packages that it names.
    fn written(&self, module: &TreePath, text: &str, named: &BTreeSet<TreePath>) -> Vec<TreePath> {
        if let Some(found) = absolute(self.tree, text) {
            return found;
        }
        let text = text.trim_start_matches([ANYTHING, "/"].concat().as_str());
        let is_beside = text.starts_with("./");
        let text = text.trim_start_matches("./").trim_matches('/');
        let is_path = (is_beside || text.contains('/') || text.contains('.')) && text.contains(char::is_alphanumeric);
        // Whole directories at any depth are what is left out somewhere; caches nobody opens by their paths.
        let is_cache = text.split('/').any(|name| name == CACHE) || text.ends_with("**");
        if !is_path || is_cache || text.len() > LONGEST_NAME {
            return Vec::new();
        }
        let own = module.parent();
        if let Some(at) = text.find(ANYTHING) {
            let (directory, ending) = match text[..at].rfind('/') {
                Some(slash) => (&text[..slash], &text[slash + 1..]),
                None => ("", text),
            };
            let starts = own.into_iter().chain(named.iter().cloned());
            let directories = starts.filter_map(|start| match directory {
                "" => Some(start),
                directory => start.join(directory),
            });
            return directories
                .flat_map(|directory| fitting(self.tree, &directory, ending))
                .collect();
        }
        let package = self.roots.iter().filter_map(|root| {
            let below = module.below(root)?;
            root.join(below.split('/').next()?)
        });
        let starts: BTreeSet<TreePath> = own.into_iter().chain(package).chain(named.iter().cloned()).collect();
        let paths = starts.iter().filter_map(|start| start.join(text));
        paths.filter(|path| self.tree.contains(path)).collect()
    }

    /// What a path means that the code of a module puts together from its own place, and what is in it as far as that is listed.
    fn placed(&self, module: &TreePath, place: &Place) -> Vec<TreePath> {
        let beginnings = match &place.start {
            Start::File => vec![module.clone()],
            Start::Module(name) => {
                let below = name.trim_start_matches('.').replace('.', "/");
                let starts = module.parent().into_iter().chain(self.roots.iter().cloned());
                let paths = starts.filter_map(|start| start.join(&below));
                paths.filter(|path| self.tree.contains(path)).collect()
            }
        };
        let paths = beginnings
            .iter()
            .flat_map(|start| continued(self.tree, start, &place.rest));
        paths.flat_map(|path| self.with_listed(path, place.listed)).collect()
    }

    fn with_listed(&self, path: TreePath, listed: Listed) -> Vec<TreePath> {
        let is_module = |inside: &TreePath| MODULES.iter().any(|ending| inside.as_str().ends_with(ending));
        match listed {
            // Only named, such a directory is what a test runner is started with.
            Listed::Nothing if is_of_tests(path.file_name()) && self.tree.file(&path).is_none() => Vec::new(),
            Listed::Nothing => vec![path],
            Listed::Names => with_names(self.tree, path),
            Listed::Modules => {
                let names = names_in(self.tree, &path).into_iter();
                let packages = names.clone().filter_map(|name| name.join(PACKAGE));
                let packages: Vec<TreePath> = packages.flat_map(|stem| self.with_stem(&stem)).collect();
                names.filter(is_module).chain(packages).collect()
            }
            Listed::AllModules | Listed::AllTests => {
                // Whoever imports all modules leaves out tests, which import what is installed for tests alone.
                let is_wanted = |inside: &&TreePath| {
                    let below = inside.below(&path).unwrap_or_default();
                    is_module(inside) && (listed == Listed::AllTests || !below.split('/').any(is_of_tests))
                };
                let below = self.tree.below(&path).map(|(path, _)| path);
                below.filter(is_wanted).cloned().collect()
            }
            Listed::Everything => with_all(self.tree, path),
        }
    }

    /// The modules in the groups of entry points of a distribution, but for those of its commands, which are no use of it by
    /// themselves (Packaging user guide, "Entry points specification").
    fn of_entry_points(&self, path: &TreePath, text: &str) -> Vec<Reference> {
        let mut is_command = false;
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                is_command = COMMANDS.contains(&line);
            } else if let Some((_, object)) = line.split_once('=').filter(|_| !is_command) {
                let module = object.split([':', '[']).next().unwrap_or_default().trim();
                let import = Import {
                    level: 0,
                    module: module.to_owned(),
                    names: Vec::new(),
                    line: number + 1,
                };
                found.extend(self.of_import(path, &import, line));
            }
        }
        found
    }

    /// The modules that a shell script has Python run, with `-m`.
    fn of_shell_script(&self, path: &TreePath, text: &str) -> Vec<Reference> {
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(PYTHON)) {
            let words: Vec<&str> = line
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']))
                .collect();
            for pair in words.windows(2).filter(|pair| pair[0] == "-m") {
                let import = Import {
                    level: 0,
                    module: pair[1].to_owned(),
                    names: Vec::new(),
                    line: number + 1,
                };
                found.extend(self.of_import(path, &import, &pair.join(" ")));
            }
        }
        found
    }

    /// The directories that a file of paths puts on the search path (Python documentation, `site`).
    fn of_paths(&self, path: &TreePath, text: &str) -> Vec<Reference> {
        let Some(own) = path.parent() else { return Vec::new() };
        let lines = text.lines().enumerate();
        let directories =
            lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#') && !is_import_line(line));
        directories
            .flat_map(|(number, line)| {
                let below = continued(self.tree, &own, &format!("/{}", line.trim()));
                let paths = below.into_iter().flat_map(|directory| with_all(self.tree, directory));
                paths.map(move |to| Reference {
                    to,
                    is_import: false,
                    text: line.trim().to_owned(),
                    line: Some(number + 1),
                })
            })
            .collect()
    }

    /// Whether a file beside modules may hold settings, which name modules by their dotted names.
    fn is_settings(&self, path: &TreePath) -> bool {
        SETTINGS.iter().any(|ending| path.file_name().ends_with(ending))
            && !FOR_DEVELOPERS.contains(&path.file_name())
            && self.roots.iter().any(|root| path.below(root).is_some())
    }

    /// The modules whose dotted names a file has in it: code that was compiled, or that reads its settings, imports them by these.
    fn of_names(&self, path: &TreePath, content: &[u8]) -> Vec<Reference> {
        let names: BTreeSet<&str> = dotted_names(content).collect();
        let found = names.into_iter().flat_map(|name| {
            let files: BTreeSet<TreePath> = self.named(path, name).into_iter().collect();
            files.into_iter().map(move |to| Reference {
                to,
                is_import: true,
                text: name.to_owned(),
                line: None,
            })
        });
        found.collect()
    }

    /// What an import refers to, as it is written.
    fn of_import(&self, path: &TreePath, import: &Import, written: &str) -> Vec<Reference> {
        let starts = self.starts(path, import).into_iter();
        let files: BTreeSet<TreePath> = starts.flat_map(|start| self.imported(&start, import)).collect();
        let reference = |to| Reference {
            to,
            is_import: true,
            text: written.to_owned(),
            line: Some(import.line),
        };
        files.into_iter().map(reference).collect()
    }
}

impl SourceReader for Modules<'_> {
    fn is_source(&self, path: &TreePath, file: &File) -> bool {
        let is_script = |text: &str| {
            let first = text.lines().next().unwrap_or_default();
            first.starts_with("#!") && first.contains(PYTHON) || is_shell_script(text) && text.contains(PYTHON)
        };
        path.file_name().strip_suffix(SOURCE).is_some()
            || is_entry_points(path)
            || is_extension_module(path)
            || self.is_settings(path)
            || path.file_name().strip_suffix(PATHS).is_some()
            || file.content.text().is_some_and(is_script)
    }

    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str> {
        let name = path.file_name();
        if matches!(self.tree.get(path), Some(Entry::Directory(_))) {
            return (name != "__pycache__").then_some(name);
        }
        match name.split_once('.') {
            Some((stem, _)) if MODULES.iter().any(|ending| name.ends_with(ending)) => Some(stem),
            _ => Some(name),
        }
    }

    fn stands_for_directory(&self, path: &TreePath) -> bool {
        path.file_name().split('.').next() == Some(PACKAGE)
    }

    fn may_list(&self, content: &[u8]) -> bool {
        may_list(content)
    }

    fn references(&self, path: &TreePath, content: &[u8], is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference> {
        if is_entry_points(path) {
            return self.of_entry_points(path, &String::from_utf8_lossy(content));
        }
        if is_extension_module(path) || self.is_settings(path) {
            return self.of_names(path, content);
        }
        let text = &*String::from_utf8_lossy(content);
        let of_paths = match path.file_name().strip_suffix(PATHS) {
            Some(_) => self.of_paths(path, text),
            None => Vec::new(),
        };
        if is_shell_script(text) && path.file_name().strip_suffix(SOURCE).is_none() {
            return self.of_shell_script(path, text);
        }
        let References {
            imports,
            literals,
            places,
        } = self.read.with(path, |read| references(text, is_wanted, read));
        let mut found = of_paths;
        for import in &imports {
            let dots = ".".repeat(import.level);
            let names = import.names.join(", ");
            let written = match (import.level, import.names.is_empty()) {
                (0, true) => format!("import {}", import.module),
                _ => format!("from {dots}{} import {names}", import.module),
            };
            found.extend(self.of_import(path, import, &written));
        }
        for literal in &literals {
            let files: BTreeSet<TreePath> = self.named(path, &literal.text).into_iter().collect();
            found.extend(files.into_iter().map(|to| Reference {
                to,
                is_import: true,
                text: literal.text.clone(),
                line: Some(literal.line),
            }));
        }
        for place in &places {
            let paths = self.placed(path, place).into_iter();
            let is_import = matches!(place.listed, Listed::Modules | Listed::AllModules | Listed::AllTests);
            found.extend(paths.map(|to| Reference::by_place(to, is_import, place)));
        }
        let packages = imported_packages(path, &found);
        for literal in &literals {
            let paths = self.written(path, &literal.text, &packages).into_iter();
            found.extend(paths.map(|to| Reference {
                to,
                is_import: false,
                text: literal.text.clone(),
                line: Some(literal.line),
            }));
        }
        found
    }
}

/// The outermost packages among what a module imports: data is read from packages by their names. Those above the module are
/// asked for it anyway.
fn imported_packages(module: &TreePath, found: &[Reference]) -> BTreeSet<TreePath> {
    let is_package = |reference: &&Reference| reference.to.file_name().split('.').next() == Some(PACKAGE);
    let packages = found
        .iter()
        .filter(is_package)
        .filter_map(|reference| reference.to.parent());
    let packages: BTreeSet<TreePath> = packages.filter(|package| module.below(package).is_none()).collect();
    let outer: BTreeSet<TreePath> = packages.iter().filter_map(TreePath::parent).collect();
    packages
        .into_iter()
        .filter(|package| !outer.contains(package))
        .collect()
}

/// Whether a line of a file of paths is run instead.
fn is_import_line(line: &str) -> bool {
    ["import ", "import\t"].iter().any(|begin| line.starts_with(begin))
}

/// Whether a name in a path is one by which tests and what pytest loads with them are known (pytest's documentation, "Conventions
/// for Python test discovery").
fn is_of_tests(name: &str) -> bool {
    ["test", "tests", "conftest.py"].contains(&name)
}

/// What in a content, which may be that of a program, is the dotted name of a module, of ASCII characters alone. It is looked at
/// only around dots: of the bytes of programs, few are any.
fn dotted_names(content: &[u8]) -> impl Iterator<Item = &str> {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let mut behind = 0;
    let names = memchr::memchr_iter(b'.', content).filter_map(move |dot| {
        let before = content[..dot].get(behind..)?;
        let start = before
            .iter()
            .rposition(|byte| !is_of_name(byte))
            .map_or(behind, |at| behind + at + 1);
        let after = content[dot..].iter().position(|byte| !is_of_name(byte));
        behind = after.map_or(content.len(), |length| dot + length);
        std::str::from_utf8(&content[start..behind]).ok()
    });
    names.filter(|name| name.len() <= LONGEST_NAME && name.trim_start_matches('.').split('.').all(is_identifier))
}

/// Whether a text is a name as modules have them.
fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_') && letters.all(|c| c.is_alphanumeric() || c == '_')
}

/// What of a pattern is behind the last part that is computed.
fn behind(pattern: &str) -> &str {
    pattern.rsplit(ANYTHING).next().unwrap_or_default()
}

fn is_shell_script(text: &str) -> bool {
    text.starts_with("#!") && shell::is_for_shell(text)
}

/// Whether a file lists the entry points of a distribution.
fn is_entry_points(path: &TreePath) -> bool {
    let is_of_metadata = |above: TreePath| METADATA.iter().any(|ending| above.file_name().ends_with(ending));
    path.file_name() == ENTRY_POINTS && path.parent().is_some_and(is_of_metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_are_those_between_all_other_characters() {
        // As plain splitting finds them.
        let split = |text: &str| -> Vec<String> {
            let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
            let is_dotted = |name: &&str| {
                let begun = name.trim_start_matches('.');
                name.contains('.') && begun.split('.').all(is_identifier) && name.len() <= LONGEST_NAME
            };
            names.filter(is_dotted).map(ToOwned::to_owned).collect()
        };
        let long = format!("a.{}", "b".repeat(LONGEST_NAME));
        let mut all = Vec::new();
        for content in [
            &b"numpy.linalg.lapack\0.core\xffa.b\x80c.d.\n..e.f 1.2 v1.2 g.h1 .. . i..j \xc3\xa4.k k.\xc3\xa4 l.m"[..],
            b"a.b",
            b".",
            b"",
            b"plain",
            long.as_bytes(),
        ] {
            let found: Vec<&str> = dotted_names(content).collect();
            assert_eq!(found, split(&String::from_utf8_lossy(content)));
            all.extend(found);
        }
        assert_eq!(
            all,
            [
                "numpy.linalg.lapack",
                ".core",
                "a.b",
                "..e.f",
                "g.h1",
                ".k",
                "l.m",
                "a.b"
            ]
        );
    }
}
