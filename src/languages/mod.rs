//! What is known of languages: a module for each, behind the one trait [`Language`].
//!
//! A module says as plain data what of a tree is its language's, how processes of it load native modules, and what can be
//! wrong with it. The rest of the program asks the list [`LANGUAGES`]; only what users know by a language's name, such as the
//! option `--r-packages`, names one. A further language is a file here, its `mod` line and its line in that list.

pub mod code_files;
pub mod components;
mod dotnet;
mod java;
pub mod layout;
pub(crate) mod loader_settings;
mod node;
pub mod place;
pub mod process;
mod python;
mod r;
mod ruby;
mod version;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet};

use self::layout::ModuleRoot;
use crate::finding::Finding;
use crate::licenses::License;
use crate::root::Root;
use crate::shell;
use crate::source::{Literal, Opening, Place};
use crate::tree::content::{CodeKind, Inspector, KeptFile};
use crate::tree::{Content, File, GeneratedFile, Tree, TreePath};

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
    fn source_reader<'a>(&self, _tree: &'a Tree) -> Option<Box<dyn SourceReader + 'a>> {
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

/// How a runtime that AWS provides for a language starts handlers, as far as it can be done with another interpreter of the
/// same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedRuntime {
    /// The version that the interpreter has to have, as its own program reports it.
    pub version: String,
    /// Names of the interpreter's program, the most precise one first.
    pub programs: Vec<String>,
    /// Arguments with which it prints a JSON object: `version`, its own `program` and, if it has one, the directory of its
    /// standard library as `library`.
    pub report: &'static [&'static str],
    /// Directories of the standard library that are left out: what is installed there is not the runtime's.
    pub left_out: &'static [&'static str],
    /// Where the standard library is in /var/lang.
    pub library: Option<String>,
    /// The client of the Runtime API: its file name in /var/runtime, and its text.
    pub client: (&'static str, &'static str),
    /// A module of the standard library that every process of the interpreter loads first, where it is noted which files a
    /// function uses: its file name and its text. A language needs one if it looks for something without asking for it.
    pub module_if_traced: Option<(&'static str, &'static str)>,
    /// Variables that the runtime's own start script sets.
    pub variables: Vec<(&'static str, String)>,
    /// How to get such an interpreter.
    pub how_to_get: String,
    /// What the runtime has besides and this does not.
    pub lacks: Option<&'static str>,
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

/// Reads source code of one language in one tree.
pub trait SourceReader: Sync {
    /// Whether a file is such source code.
    fn is_source(&self, path: &TreePath, file: &File) -> bool;

    /// How source code would name a path: if it has nothing of the kind, it does not refer to it. `None` for what no code
    /// refers to.
    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str>;

    /// Whether code names the directory of a file when it means the file, which is what the directory is loaded by.
    fn stands_for_directory(&self, _path: &TreePath) -> bool {
        false
    }

    /// Whether code names what is in a directory without the directory: modules are looked for there.
    fn is_searched(&self, _directory: &TreePath) -> bool {
        false
    }

    /// Whether source code may list directories, the names in which it need not have, with what is in them.
    fn may_list(&self, _content: &[u8]) -> bool {
        false
    }

    /// What the code at a path refers to in the tree. Parts of the code for which `is_wanted` does not hold may be passed over.
    fn references(&self, path: &TreePath, text: &str, is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference>;
}

/// What source code refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// A file or directory of the tree.
    pub to: TreePath,
    /// Whether the language loads it as code; otherwise the code has its path.
    pub is_import: bool,
    /// What is written.
    pub text: String,
    /// The line, counted from 1; `None` in what is not a text.
    pub line: Option<usize>,
}

impl Reference {
    /// What a literal in code refers to.
    fn by_literal(to: TreePath, is_import: bool, literal: &Literal) -> Self {
        Self {
            to,
            is_import,
            text: literal.text.clone(),
            line: Some(literal.line),
        }
    }

    /// What a path refers to that code puts together from its own place.
    fn by_place(to: TreePath, is_import: bool, place: &Place) -> Self {
        Self {
            to,
            is_import,
            text: place.text.clone(),
            line: Some(place.line),
        }
    }
}

/// An interpreter that is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its name as a component: that of the language.
    pub name: String,
    /// The directory that holds it and its standard library.
    pub directory: TreePath,
    /// The file that starts it. Where that is kept, so is what the interpreter opens to start.
    pub start: Option<TreePath>,
    /// Its program, if that is an ELF object of the tree.
    pub program: Option<TreePath>,
    /// The library that opens native modules; the program itself if it is `None`.
    pub module_loader: Option<TreePath>,
    /// Directories whose objects run with its environment.
    pub object_directories: Vec<TreePath>,
    /// Variables that its processes have whatever they inherit.
    pub variables: Vec<(&'static str, String)>,
    /// The shell script that it sources when it starts, which may set more of them.
    pub settings: Option<TreePath>,
    /// The native modules that its processes alone open.
    pub own_native_modules: Vec<TreePath>,
    /// The files that it opens to start.
    pub loaded: Vec<TreePath>,
}

impl Interpreter {
    /// The environment of its processes.
    pub fn environment(&self, tree: &Tree, inherited: &Environment) -> Environment {
        let mut environment = inherited.clone();
        for (name, value) in &self.variables {
            environment.insert((*name).to_owned(), value.clone());
        }
        if let Some(script) = self.settings.as_ref().and_then(|path| tree.text(path)) {
            shell::source(script, &mut environment);
        }
        environment
    }

    /// Whether an object runs with this environment.
    pub fn runs(&self, object: &TreePath) -> bool {
        let mut directories = self.object_directories.iter();
        directories.any(|directory| object.below(directory).is_some())
    }
}

/// What a package manager has installed in a tree as one unit: an R package, a Python distribution, a Node package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The language that it is for; names are unique in one language alone.
    pub language: &'static str,
    /// Its name.
    pub name: String,
    /// Its directory; if its files are in shared directories, that of its metadata.
    pub directory: TreePath,
    /// The file without which it is not installed.
    pub manifest: TreePath,
    /// Further directories that are its alone.
    pub owned: Vec<TreePath>,
    /// Its files outside of `directory`, if a list names them.
    pub listed: Vec<TreePath>,
    /// The names of packages of its language without which it does not load.
    pub requires: Vec<String>,
    /// Its own files without which it does not load.
    pub loaded: Vec<TreePath>,
    /// Files and directories that say what it is and who may use it: they stay with whatever stays of it.
    pub metadata: Vec<TreePath>,
}

impl Package {
    /// A package whose directory holds all its files.
    pub fn new(language: &'static str, name: String, directory: TreePath, manifest: TreePath) -> Self {
        Self {
            language,
            name,
            directory,
            metadata: vec![manifest.clone()],
            manifest,
            owned: Vec::new(),
            listed: Vec::new(),
            requires: Vec::new(),
            loaded: Vec::new(),
        }
    }
}

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, as it writes it.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its license.
    pub license: License,
    /// Where it comes from, as a package URL without the version has it (purl-spec, types).
    pub source: PackageSource,
    /// Bills of materials that it brings, by their paths.
    pub bills: Vec<TreePath>,
}

/// Type, namespace and name of a package URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// The type, such as `pypi`.
    pub kind: &'static str,
    /// The namespace, if the type has one.
    pub namespace: Option<String>,
    /// The name as packages of the type are compared.
    pub name: String,
}

/// An interpreter in a library. What is linked to one works in the processes of that one alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpreterLibrary {
    /// What it is, for people.
    pub title: String,
    /// The version of the language, as runtimes have it in their names.
    pub version: Option<String>,
    /// Whether every process of the language's runtimes has loaded a library of this name, wherever it is.
    pub is_loaded: bool,
}

/// A native module that was built for another version of its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignModule {
    /// The module.
    pub path: TreePath,
    /// What it was built for, for people.
    pub built_for: String,
    /// That as a version of the language, as runtimes have it in their names.
    pub version: Option<String>,
    /// Whether something that the runtime does load can take its place.
    pub has_fallback: bool,
}

/// Packages of a language that users name, to keep them with all that they need and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSelection {
    /// The name of the language in [`LANGUAGES`].
    pub language: &'static str,
    /// The names of the packages.
    pub names: Vec<String>,
}

impl PackageSelection {
    /// What the option is called.
    pub fn key(&self) -> String {
        format!("{}-packages", self.language)
    }

    /// The directories of the language's packages in a tree: those that stay, and the others.
    pub fn of(&self, tree: &Tree) -> Result<[BTreeSet<TreePath>; 2], PackageSelectionError> {
        let language = LANGUAGES.iter().find(|language| language.name() == self.language);
        let all = language.map(|language| language.packages(tree)).unwrap_or_default();
        let selected = language.and_then(|language| language.select(&all, &self.names));
        let selected = selected.unwrap_or(Err(PackageSelectionError::NoPackages))?;
        let directories = all.into_iter().map(|package| package.directory);
        let others = directories.filter(|path| !selected.contains(path)).collect();
        Ok([selected, others])
    }
}

/// Why packages cannot be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageSelectionError {
    /// There is nothing to select from.
    #[error("there is no installed R package in the tree")]
    NoPackages,
    /// A name that no package has.
    #[error("the tree has no R package '{name}'{near} (it has {known})")]
    Unknown {
        /// The name.
        name: String,
        /// The name that was most likely meant, as part of a sentence.
        near: String,
        /// Every package.
        known: String,
    },
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

/// Files that make a runtime of an interpreter in the tree.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The directory of the interpreter.
    pub home: TreePath,
    /// The files, the start script first.
    pub files: Vec<GeneratedFile>,
}

/// Why there is no interpreter for a bootstrap to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoInterpreter(pub String);

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

/// The libraries that a file opens by name, if it is source code.
pub fn openings<'f>(path: &TreePath, file: &'f File) -> Cow<'f, [Opening]> {
    match &file.content {
        Content::Code(openings) => Cow::Borrowed(openings),
        Content::Text(text) => {
            let mut kinds = LANGUAGES.iter().filter_map(|language| language.code());
            let is_of =
                |kind: &CodeKind| kind.runs(text) || kind.endings.iter().any(|end| path.as_str().ends_with(end));
            Cow::Owned(kinds.find(is_of).map(|kind| (kind.opens)(text)).unwrap_or_default())
        }
        _ => Cow::Borrowed(&[]),
    }
}

/// What lies below a directory and fits a pattern in which `*` stands for what is not known of a name, and `**` goes down into
/// directories. One that has directories and no letter fits nothing.
fn fitting(tree: &Tree, directory: &TreePath, pattern: &str) -> Vec<TreePath> {
    if pattern.contains('/') && !pattern.contains(char::is_alphanumeric) {
        return Vec::new();
    }
    let pattern = pattern.split('*').map(globset::escape).collect::<Vec<_>>().join("*");
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    // Unlike a matcher of one glob, a set does not panic on one that is too long.
    let Ok(pattern) = glob.and_then(|glob| GlobSet::builder().add(glob).build()) else {
        return Vec::new();
    };
    let below = tree.below(directory).map(|(path, _)| path);
    below
        .filter(|path| path.below(directory).is_some_and(|name| pattern.is_match(name)))
        .cloned()
        .collect()
}

/// What a path leads to that is continued with a text, in which `*` stands for what is not known of it.
fn continued(tree: &Tree, start: &TreePath, rest: &str) -> Vec<TreePath> {
    let written = format!("{}{}", start.on_lambda(), rest.replace('?', "*"));
    if !written.contains('*') {
        let path = TreePath::normal(&written);
        return path.filter(|path| tree.contains(path)).into_iter().collect();
    }
    let known = written.split('*').next().unwrap_or_default();
    let (directory, _) = known.rsplit_once('/').unwrap_or_default();
    let pattern = written[directory.len()..].trim_start_matches('/');
    let directory = TreePath::normal(directory).filter(|_| !pattern.contains("/../"));
    directory.map_or_else(Vec::new, |directory| fitting(tree, &directory, pattern))
}

/// What is in a directory, but not below.
fn names_in(tree: &Tree, directory: &TreePath) -> Vec<TreePath> {
    let below = tree.below(directory).map(|(path, _)| path);
    below
        .filter(|path| path.below(directory).is_some_and(|name| !name.contains('/')))
        .cloned()
        .collect()
}

/// A path, and what is in it.
fn with_names(tree: &Tree, path: TreePath) -> Vec<TreePath> {
    let names = names_in(tree, &path);
    std::iter::once(path).chain(names).collect()
}

/// A path, and everything below.
fn with_all(tree: &Tree, path: TreePath) -> Vec<TreePath> {
    let below: Vec<TreePath> = tree.below(&path).map(|(path, _)| path.clone()).collect();
    std::iter::once(path).chain(below).collect()
}

/// What an absolute path means that code puts together, with `*` for what is not known of it; `None` for one that is not below
/// /opt, or is /opt itself.
fn absolute(tree: &Tree, written: &str) -> Option<Vec<TreePath>> {
    let (path, pattern) = match written.find('*') {
        Some(at) => written.split_at(written[..at].rfind('/')?),
        None => (written, ""),
    };
    let path = TreePath::normal(path).filter(|path| !path.is_root())?;
    Some(match pattern.strip_prefix('/') {
        Some(pattern) => fitting(tree, &path, pattern),
        None => tree.contains(&path).then_some(path).into_iter().collect(),
    })
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
