//! What is known of languages: a module for each, behind the one trait [`Language`].
//!
//! A module says as plain data what of a tree is its language's, how processes of it load native modules, and what can be
//! wrong with it. The rest of the program asks the list [`LANGUAGES`]; only what users know by a language's name, such as the
//! option `--r-packages`, names one. A further language is a file here, its `mod` line and its line in that list.

pub mod code_files;
pub mod components;
mod dotnet;
mod handlers;
mod interpreter;
mod java;
pub mod layout;
pub(crate) mod loader_settings;
mod lookup;
mod node;
mod package;
pub mod place;
pub mod process;
mod python;
mod r;
mod references;
mod ruby;
mod version;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

pub use handlers::{Bootstrap, ManagedRuntime, NoInterpreter};
pub use interpreter::{ForeignModule, Interpreter, InterpreterLibrary};
pub use package::{Metadata, Package, PackageSelection, PackageSelectionError, PackageSource};
pub use references::{Asked, Reference, SourceReader, openings};

use self::layout::ModuleRoot;
use crate::finding::Finding;
use crate::licenses::License;
use crate::root::Root;
use crate::tree::content::{CodeKind, Inspector, KeptFile};
use crate::tree::{GeneratedFile, Tree, TreePath};
use lookup::{absolute, continued, fitting, names_in, with_all, with_names};

/// Every language that is known.
pub const LANGUAGES: &[&dyn Language] = &[
    &r::R,
    &python::Python,
    &node::Node,
    &ruby::Ruby,
    &java::Java,
    &dotnet::DotNet,
];

/// The environment variables of a process.
pub type Environment = BTreeMap<String, String>;

/// Gives the content of a file of the tree and its modification time in seconds, as far as 32 bits hold it.
pub type ReadSource<'a> = dyn Fn(&TreePath) -> Option<(Vec<u8>, u32)> + 'a;

/// What is known of one language. A method left out says that there is nothing of the kind.
pub trait Language: Sync {
    /// Its name in data files.
    fn name(&self) -> &'static str;

    /// Files of which a scan keeps more than their kind, because an answer below depends on it.
    fn kept_files(&self) -> &'static [KeptFile] {
        &[]
    }

    /// Interpreters of this language in the tree, each with the standard library that it brings, sorted by path.
    fn interpreters(&self, _tree: &Tree) -> Vec<Interpreter> {
        Vec::new()
    }

    /// What package managers of this language have installed in the tree, sorted by path.
    fn packages(&self, _tree: &Tree) -> Vec<Package> {
        Vec::new()
    }

    /// What a package says of itself. `text` gives the text of a file for which [`Language::is_metadata`] holds, or of a kept
    /// one. `None` if its metadata cannot be read.
    fn metadata(&self, _package: &Package, _text: &dyn Fn(&TreePath) -> Option<String>) -> Option<Metadata> {
        None
    }

    /// What a package requires of others of its language: their names, each with what is asked of its version, in the words of the
    /// package's metadata; nothing is asked if that is empty.
    fn requirements(&self, _package: &Package, _tree: &Tree) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether a version meets such a requirement. One that is not understood is not met.
    fn satisfies(&self, requirement: &str, _version: &str) -> bool {
        requirement.is_empty()
    }

    /// Whether a version is known to be the same as another one or later.
    fn is_not_older(&self, version: &str, than: &str) -> bool {
        version::holds(version, ">=", than)
    }

    /// Whether a file says what a package is, where that is not told by [`Language::kept_files`].
    fn is_metadata(&self, _path: &TreePath) -> bool {
        false
    }

    /// The version and license of an interpreter of this language that is in a tree.
    fn about_interpreter(
        &self,
        _interpreter: &Interpreter,
        _text: &dyn Fn(&TreePath) -> Option<String>,
    ) -> (Option<String>, License) {
        (None, License::default())
    }

    /// Commands that a package manager made for packages, each with the file of the package that it goes with. They are no
    /// use of the package by themselves.
    fn commands(&self, _root: Root<'_>) -> Vec<(TreePath, TreePath)> {
        Vec::new()
    }

    /// How its source code is told, and what a scan reads in it.
    fn code(&self) -> Option<CodeKind> {
        None
    }

    /// A reader of source code in this language that is in a tree.
    fn source_reader<'a>(&self, _tree: &'a Tree, _asked: Asked) -> Option<Box<dyn SourceReader + 'a>> {
        None
    }

    /// Objects that the language opens by their place in the tree, whichever interpreter runs.
    fn native_modules(&self, _tree: &Tree) -> BTreeSet<TreePath> {
        BTreeSet::new()
    }

    /// The interpreter that is in a library of this name; `None` for any other library.
    fn interpreter_library(&self, _soname: &str) -> Option<InterpreterLibrary> {
        None
    }

    /// Native modules without which the language works: they are there for something that no function does.
    fn optional_modules(&self, _tree: &Tree) -> BTreeSet<TreePath> {
        BTreeSet::new()
    }

    /// Directories of the tree from which modules are loaded, or would be if a runtime looked there, sorted by path.
    fn module_roots(&self, _tree: &Tree) -> Vec<ModuleRoot> {
        Vec::new()
    }

    /// The versions of the language that native modules of the tree were built for, as runtimes have them in their names.
    fn versions(&self, _tree: &Tree) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// Native modules that a runtime of this version of the language does not load, because they were built for another one, or
    /// for a platform which their bytes do not tell.
    fn foreign_modules(&self, _root: Root<'_>, _version: &str) -> Vec<ForeignModule> {
        Vec::new()
    }

    /// Whether a path is a link that a package manager makes to a command of a package, which no function starts.
    fn is_command_link(&self, _path: &TreePath) -> bool {
        false
    }

    /// The directories of the packages of these names and of all that they need; `None` where users cannot choose like that.
    fn select(
        &self,
        _packages: &[Package],
        _names: &[String],
    ) -> Option<Result<BTreeSet<TreePath>, PackageSelectionError>> {
        None
    }

    /// Whether a path is where the language looks for a module or a package, by its name alone.
    fn is_module(&self, _path: &TreePath) -> bool {
        false
    }

    /// Whether a file is compiled code that may open libraries by name, by its path.
    fn is_compiled(&self, _path: &TreePath) -> bool {
        false
    }

    /// The names of the files of libraries that compiled code may open, the ones that only may be meant among them.
    fn opened_by_compiled(&self, _content: &[u8]) -> Vec<String> {
        Vec::new()
    }

    /// Kinds of directories in which rules can be anchored.
    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[]
    }

    /// Scripts and programs of the tree by which the language is started. They must be executable, and the language itself
    /// reports those that are not.
    fn start_files(&self, _tree: &Tree) -> BTreeSet<TreePath> {
        BTreeSet::new()
    }

    /// Whether a start of the function comes through a file at this path, if there is one.
    fn is_on_start_path(&self, _path: &TreePath) -> bool {
        false
    }

    /// What a file has to hold in a layer, if that is not what it holds in the tree: files of a layer have another time.
    fn content_in_layer(&self, _path: &TreePath, _content: &[u8], _source: &ReadSource<'_>) -> Option<Vec<u8>> {
        None
    }

    /// How its source is compiled in advance.
    fn compiler(&self) -> Option<Compiler> {
        None
    }

    /// Directories of packages that people copy by themselves, such as into another library: no file in one may lead out of it.
    fn whole_packages(&self, _tree: &Tree) -> Vec<TreePath> {
        Vec::new()
    }

    /// Sets of files of a tree that may have a compression of their own inside, which a better one can take the place of: each in
    /// the order in which [`Language::recompressed`] takes their contents.
    fn recompressible(&self, _tree: &Tree) -> Vec<Vec<TreePath>> {
        Vec::new()
    }

    /// The contents of such a set with a better compression inside, in the same order: what the language reads out of them is
    /// the same to the byte, and has been compared. `None` if they are not understood, if nothing is gained, or once `stopped`
    /// says so.
    fn recompressed(
        &self,
        _contents: &[Vec<u8>],
        _thoroughness: Thoroughness,
        _stopped: &dyn Fn() -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        None
    }

    /// About how long the contents of such a set then are, without that work; `None` if they would stay as they are.
    fn recompressed_lengths(&self, _contents: &[Vec<u8>]) -> Option<Vec<u64>> {
        None
    }

    /// Whether a path is in a package of this language, as far as that can be told without the lists of package managers,
    /// which are not in every layer.
    fn is_in_package(&self, _path: &TreePath, _tree: &Tree) -> bool {
        false
    }

    /// The text of a file that lists others by their paths, once it and they are moved; `None` for any other file, and for a
    /// list that stays as it is. `target` is where a path is moved to, if it is.
    fn relisted(
        &self,
        _from: &TreePath,
        _to: &TreePath,
        _text: &str,
        _target: &dyn Fn(&TreePath) -> Option<TreePath>,
    ) -> Option<String> {
        None
    }

    /// What keeps the language from working on a runtime, apart from libraries.
    fn findings(&self, _root: Root<'_>) -> Vec<Finding> {
        Vec::new()
    }

    /// What can be done about some of these findings when layers are packed.
    fn repairs(&self, _root: Root<'_>) -> Vec<Repair> {
        Vec::new()
    }

    /// How handlers are started by the runtime of this name, if it is one of this language; `None` if it is not.
    fn managed_runtime(&self, _name: &str) -> Option<ManagedRuntime> {
        None
    }

    /// What to do where layers with this language have no bootstrap, as the end of a sentence that asks for one; `None` where
    /// the tree has none of this language.
    fn bootstrap_advice(&self, _tree: &Tree) -> Option<&'static str> {
        None
    }

    /// Files from which interpreters in the tree read variables of their environment when they start, whether they are
    /// there or not.
    fn variable_files(&self, _tree: &Tree) -> Vec<VariableFile> {
        Vec::new()
    }

    /// The names that the manifest has for these repairs.
    fn fix_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// How handlers in this language are started on a runtime without a language; `None` if this program has nothing for
    /// that. `asked` is the directory of the interpreter, if the user names it.
    fn bootstrap(&self, _tree: &Tree, _asked: Option<&str>) -> Option<Result<Bootstrap, NoInterpreter>> {
        None
    }
}

/// How the source of a language is compiled in advance by its interpreter.
#[derive(Debug, Clone, Copy)]
pub struct Compiler {
    /// Arguments before the script.
    pub arguments: &'static [&'static str],
    /// Reads a JSON list of sources from standard input, each with its path on Lambda and with the file to write.
    pub script: &'static str,
    /// Where a version of the language looks for what was compiled of a source; `None` for a file that is not a source.
    pub place: fn(&TreePath, &str) -> Option<TreePath>,
    /// Whether what was compiled is of a source with this content and this time, or needs none to be believed.
    pub is_current: fn(&[u8], &[u8], u32) -> bool,
}

/// How handlers are started by the runtime of this name.
pub fn managed_runtime(name: &str) -> Option<ManagedRuntime> {
    LANGUAGES.iter().find_map(|language| language.managed_runtime(name))
}

/// What the languages of a tree advise where there is no bootstrap.
pub fn bootstrap_advice(tree: &Tree) -> Vec<&'static str> {
    let advice = LANGUAGES.iter().filter_map(|language| language.bootstrap_advice(tree));
    advice.collect()
}

/// How much time a better compression may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// About as much as the compression that it replaces.
    Quick,
    /// As much as it needs to make it smallest.
    Smallest,
}

/// The directories of packages of all built-in languages that no file may lead out of.
pub fn whole_packages(tree: &Tree) -> BTreeSet<TreePath> {
    LANGUAGES
        .iter()
        .flat_map(|language| language.whole_packages(tree))
        .collect()
}

/// The sets of files of a tree that languages can recompress, each with its language.
pub fn recompressible(tree: &Tree) -> Vec<(&'static dyn Language, Vec<TreePath>)> {
    let sets = LANGUAGES
        .iter()
        .map(|language| (*language, language.recompressible(tree)));
    sets.flat_map(|(language, sets)| sets.into_iter().map(move |set| (language, set)))
        .collect()
}

/// A kind of directory in which rules can be anchored.
#[derive(Debug)]
pub struct LanguageAnchor {
    /// Its name in rule files.
    pub name: &'static str,
    /// What the directories are, for people.
    pub title: &'static str,
    /// The directories of a tree.
    pub directories: fn(&Tree) -> BTreeSet<TreePath>,
    /// Whether nothing on a runtime can use what rules with this anchor match, whatever names it.
    pub is_of_no_use: bool,
    /// The only files that rules with this anchor match; `None` for no such limit.
    pub files: Option<fn(Root<'_>) -> BTreeSet<TreePath>>,
}

/// Names tell anchors apart.
impl PartialEq for LanguageAnchor {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for LanguageAnchor {}

impl PartialOrd for LanguageAnchor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LanguageAnchor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

/// What packing can do about something that does not work on a runtime: one file gets another text, and files come in that
/// this text relies on.
#[derive(Debug, Clone)]
pub struct Repair {
    /// The name that the manifest has for it.
    pub by: &'static str,
    /// The file that changes.
    pub path: TreePath,
    /// Its new text.
    pub text: String,
    /// Files that come in if they are not there.
    pub added: Vec<GeneratedFile>,
    /// What needs the added files.
    pub needed_by: TreePath,
    /// What says that it is repaired.
    pub finding: Finding,
}

/// A file from which an interpreter reads variables of its environment.
#[derive(Debug, Clone)]
pub struct VariableFile {
    /// Its path.
    pub path: TreePath,
    /// The line that sets a variable to a value, unless it is set.
    pub line: fn(&str, &str) -> String,
}

/// Keeps of files what the built-in languages ask for.
pub fn inspector() -> &'static Inspector {
    static INSPECTOR: LazyLock<Inspector> = LazyLock::new(|| inspector_for(LANGUAGES));
    &INSPECTOR
}

/// An inspector that keeps of files what these languages ask for.
pub fn inspector_for(languages: &[&dyn Language]) -> Inspector {
    let kept = languages.iter().flat_map(|language| language.kept_files()).copied();
    Inspector::new(kept).with_code(languages.iter().filter_map(|language| language.code()))
}

/// The anchors of all built-in languages.
pub fn anchors() -> impl Iterator<Item = &'static LanguageAnchor> {
    LANGUAGES.iter().flat_map(|language| language.anchors())
}

/// What packing can do for a tree on a runtime, by all built-in languages.
pub fn repairs(root: Root<'_>) -> Vec<Repair> {
    LANGUAGES.iter().flat_map(|language| language.repairs(root)).collect()
}

/// Where interpreters of all built-in languages read variables of their environment.
pub fn variable_files(tree: &Tree) -> Vec<VariableFile> {
    let files = LANGUAGES.iter().flat_map(|language| language.variable_files(tree));
    files.collect()
}

/// The names of these repairs.
pub fn fix_names() -> impl Iterator<Item = &'static str> {
    let names = LANGUAGES.iter().flat_map(|language| language.fix_names());
    names.copied()
}

impl fmt::Debug for dyn Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Language")
    }
}

#[cfg(test)]
mod tests;
