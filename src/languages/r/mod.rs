//! R: where it is in a tree, how it sets the library path, which packages need which, and what it lacks on Lambda.

mod bootstrap;
mod code;
mod description;
mod findings;
mod index;
mod lazyload;
mod metadata;
mod needs;
mod recompress;
mod rscript;
mod which;

use std::collections::BTreeSet;

use super::{
    Asked, Bootstrap, Interpreter, InterpreterLibrary, Language, LanguageAnchor, Metadata, NoInterpreter, Package,
    PackageSelectionError, Repair, SourceReader, Thoroughness, VariableFile, version,
};
use crate::finding::Finding;
use crate::licenses::License;
use crate::root::Root;
use crate::tree::content::{CodeKind, Keep, KeptFile, TEXT_LIMIT};
use crate::tree::{Tree, TreePath};

/// The database of package base has less than a fifth of this, in bytes.
const DATABASE_LIMIT: usize = 8 << 20;

/// The file that says what a package is and needs (Writing R Extensions, section 1.1.1).
const DESCRIPTION: &str = "DESCRIPTION";
/// What describes a package besides: its exports, and what R has computed of both (R Internals, section 1.4).
const METADATA: [&str; 2] = ["NAMESPACE", "Meta"];

const fn text(name: &'static str) -> KeptFile {
    KeptFile {
        name,
        limit: TEXT_LIMIT,
        keep: Keep::Text,
    }
}

/// `ldpaths` and `Renviron` hold R's environment (R Installation and Administration, section 2.8 and 8), `DESCRIPTION` the
/// packages that a package needs, `NAMESPACE` its libraries (Writing R Extensions, section 1.5). The system profile,
/// `Rprofile`, may hold the way round a missing `which`; see [`which`]. The start script `R` is read whole.
/// The file of an installation in `etc` that sets variables for all of its processes.
const SITE_ENVIRONMENT: &str = "Renviron.site";

const KEPT: &[KeptFile] = &[
    text("ldpaths"),
    text("Renviron"),
    text(SITE_ENVIRONMENT),
    text(DESCRIPTION),
    text("NAMESPACE"),
    text("R"),
    text("Rprofile"),
    KeptFile {
        name: lazyload::BASE_DATABASE,
        limit: DATABASE_LIMIT,
        keep: Keep::Fact(lazyload::which_command),
    },
    KeptFile {
        name: rscript::NAME,
        limit: 0,
        keep: Keep::ObjectFact(rscript::home),
    },
];

/// R.
#[derive(Debug)]
pub struct R;

impl Language for R {
    fn name(&self) -> &'static str {
        "r"
    }

    fn code(&self) -> Option<CodeKind> {
        Some(CodeKind {
            endings: code::ENDINGS,
            interpreter: code::INTERPRETER,
            opens: crate::source::r::opens,
        })
    }

    fn kept_files(&self) -> &'static [KeptFile] {
        KEPT
    }

    fn select(
        &self,
        packages: &[Package],
        names: &[String],
    ) -> Option<Result<BTreeSet<TreePath>, PackageSelectionError>> {
        Some(needs::select(packages, names))
    }

    fn interpreters(&self, tree: &Tree) -> Vec<Interpreter> {
        homes(tree)
            .into_iter()
            .map(|home| {
                let at = |below: &str| home.join(below);
                Interpreter {
                    name: "R".to_owned(),
                    start: at("bin/R"),
                    program: at("bin/exec/R").filter(|path| tree.object(path).is_some()),
                    module_loader: at("lib/libR.so"),
                    object_directories: ["bin/exec", "lib"].into_iter().filter_map(at).collect(),
                    variables: vec![("R_HOME", home.on_lambda()), ("R_ARCH", String::new())],
                    // It puts R's own directories first in LD_LIBRARY_PATH; bin/R sources it.
                    settings: at("etc/ldpaths"),
                    own_native_modules: native_modules(&home, tree),
                    loaded: needs::loaded_by_home(&home, tree),
                    directory: home,
                }
            })
            .collect()
    }

    fn interpreter_library(&self, soname: &str) -> Option<InterpreterLibrary> {
        (soname == "libR.so").then(|| InterpreterLibrary {
            title: "R".to_owned(),
            version: None,
            is_loaded: false,
        })
    }

    fn optional_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let homes = homes(tree).into_iter();
        homes.flat_map(|home| needs::optional_in_home(&home, tree)).collect()
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        let manifests = tree.files().map(|(path, _)| path);
        manifests
            .filter(|path| path.file_name() == DESCRIPTION)
            .filter_map(|manifest| {
                let directory = manifest.parent().filter(|directory| is_package(directory, tree))?;
                let mut package = Package::new("r", directory.file_name().to_owned(), directory, manifest.clone());
                package.requires = description::needs(tree.text(manifest)?);
                package.loaded = needs::loaded_by_package(&package.directory, tree);
                package
                    .metadata
                    .extend(METADATA.iter().filter_map(|name| package.directory.join(name)));
                Some(package)
            })
            .collect()
    }

    fn metadata(&self, package: &Package, text: &dyn Fn(&TreePath) -> Option<String>) -> Option<Metadata> {
        Some(metadata::metadata(&package.name, &text(&package.manifest)?))
    }

    fn requirements(&self, package: &Package, tree: &Tree) -> Vec<(String, String)> {
        tree.text(&package.manifest)
            .map(description::requirements)
            .unwrap_or_default()
    }

    /// Writing R Extensions, section 1.1.3.
    fn satisfies(&self, requirement: &str, version: &str) -> bool {
        let (relation, wanted) = version::relation(requirement);
        requirement.is_empty() || version::holds(version, relation, wanted)
    }

    /// The version is that of its package base.
    fn about_interpreter(
        &self,
        interpreter: &Interpreter,
        text: &dyn Fn(&TreePath) -> Option<String>,
    ) -> (Option<String>, License) {
        let base = interpreter.directory.join("library/base");
        let description = base.and_then(|base| text(&base.join(DESCRIPTION)?));
        let version = description.and_then(|text| description::field(&text, "Version"));
        (version, License::declared(metadata::OF_R))
    }

    fn source_reader<'a>(&self, tree: &'a Tree, _: Asked) -> Option<Box<dyn SourceReader + 'a>> {
        Some(Box::new(code::Scripts::of(tree)))
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[
            LanguageAnchor {
                name: "r-home",
                title: "each R_HOME",
                directories: |tree| homes(tree).into_iter().collect(),
                is_of_no_use: false,
                files: None,
            },
            LanguageAnchor {
                name: "r-package",
                title: "each installed R package",
                directories: |tree| R.packages(tree).into_iter().map(|package| package.directory).collect(),
                is_of_no_use: false,
                files: None,
            },
        ]
    }

    fn start_files(&self, tree: &Tree) -> BTreeSet<TreePath> {
        findings::start_files(tree)
    }

    fn is_on_start_path(&self, path: &TreePath) -> bool {
        path.as_str() == "bin/R" || path.as_str().ends_with("/bin/R")
    }

    fn whole_packages(&self, tree: &Tree) -> Vec<TreePath> {
        self.packages(tree)
            .into_iter()
            .map(|package| package.directory)
            .collect()
    }

    fn recompressible(&self, tree: &Tree) -> Vec<Vec<TreePath>> {
        recompress::databases(tree)
    }

    fn recompressed(
        &self,
        contents: &[Vec<u8>],
        thoroughness: Thoroughness,
        stopped: &dyn Fn() -> bool,
    ) -> Option<Vec<Vec<u8>>> {
        let [database, index] = contents else { return None };
        recompress::recompressed(database, index, thoroughness, stopped).map(Vec::from)
    }

    fn recompressed_lengths(&self, contents: &[Vec<u8>]) -> Option<Vec<u64>> {
        let [database, index] = contents else { return None };
        let length = recompress::recompressed_length(database, index)?;
        // Its numbers change and its length hardly does.
        Some(vec![length, index.len() as u64])
    }

    fn findings(&self, root: Root<'_>) -> Vec<Finding> {
        findings::findings(root)
    }

    fn repairs(&self, root: Root<'_>) -> Vec<Repair> {
        which::repairs(root)
    }

    fn bootstrap_advice(&self, tree: &Tree) -> Option<&'static str> {
        (!homes(tree).is_empty()).then_some("`lambdar-prune pack --with-bootstrap` adds one for R")
    }

    fn variable_files(&self, tree: &Tree) -> Vec<VariableFile> {
        // ?Startup: "Lines in a site environment file", with the syntax of the shell for what is set already.
        let line = |name: &str, value: &str| format!("{name}=${{{name}-{value}}}\n");
        let files = homes(tree)
            .into_iter()
            .filter_map(|home| home.join("etc")?.join(SITE_ENVIRONMENT));
        files.map(|path| VariableFile { path, line }).collect()
    }

    fn fix_names(&self) -> &'static [&'static str] {
        &[which::R_WHICH]
    }

    fn bootstrap(&self, tree: &Tree, asked: Option<&str>) -> Option<Result<Bootstrap, NoInterpreter>> {
        Some(bootstrap::bootstrap(tree, asked))
    }
}

/// Every directory that R calls `R_HOME`, found by its files, wherever it is: it has package base in `library` and R's start
/// script or program in `bin`.
fn homes(tree: &Tree) -> Vec<TreePath> {
    let manifests = tree.files().map(|(path, _)| path);
    manifests
        .filter(|path| path.file_name() == DESCRIPTION)
        .filter_map(|path| {
            let home = path.as_str().strip_suffix("library/base/DESCRIPTION")?;
            let home = match home.strip_suffix('/') {
                None if home.is_empty() => TreePath::root(),
                None => return None,
                Some(home) => TreePath::new(home)?,
            };
            let has = |below: &str| home.join(below).is_some_and(|path| tree.contains(&path));
            (has("bin/R") || has("bin/exec/R")).then_some(home)
        })
        .collect()
}

/// What an R opens with dlopen: its own modules, and the shared objects of every package in the tree.
fn native_modules(home: &TreePath, tree: &Tree) -> Vec<TreePath> {
    let modules = home.join("modules");
    let is_own = |path: &TreePath| modules.as_ref().is_some_and(|modules| path.below(modules).is_some());
    let objects = tree.objects().map(|(path, _)| path);
    objects
        .filter(|path| is_own(path) || is_of_package(path, tree))
        .cloned()
        .collect()
}

/// Whether a shared object is in `PACKAGE/libs` or one directory below.
fn is_of_package(object: &TreePath, tree: &Tree) -> bool {
    let mut directories = object.ancestors().take(2);
    directories
        .find(|directory| directory.file_name() == "libs")
        .and_then(|libs| libs.parent())
        .is_some_and(|package| is_package(&package, tree))
}

fn is_package(directory: &TreePath, tree: &Tree) -> bool {
    // Only an installed package has `Built`, as R CMD INSTALL writes it (Writing R Extensions, section 1.1.1).
    directory
        .join(DESCRIPTION)
        .and_then(|path| tree.text(&path))
        .is_some_and(|text| description::field(text, "Built").is_some())
}
