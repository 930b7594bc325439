//! Python: distributions as pip installs them, and extension modules.

mod byte_code;
mod code;
mod editable;
mod metadata;
mod wheel;

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Layout, ModuleRoot, of_runtime};
use super::{
    Asked, Compiler, ForeignModule, InterpreterLibrary, Language, LanguageAnchor, ManagedRuntime, Metadata, Package,
    ReadSource, SourceReader, version,
};
use crate::finding::Finding;
use crate::root::Root;
use crate::runtime::Arch;
use crate::tree::content::{CodeKind, Keep, KeptFile, TEXT_LIMIT};
use crate::tree::{File, Tree, TreePath};

use code::Modules;

/// The file in which a distribution lists its files (Recording installed projects, "The RECORD file").
const RECORD: &str = "RECORD";
/// What makes a directory the metadata of a distribution (Recording installed projects, "The METADATA file").
const METADATA: &str = "METADATA";
/// Where installers put the scripts of distributions (sysconfig, path `scripts`).
const COMMANDS: &str = "bin";
/// Where a distribution has its bills of materials, in its metadata (PEP 770).
const BILLS: &str = "sboms";
/// How the name of one ends.
const BILL: &str = ".json";
/// How the name of such a directory ends.
const METADATA_DIRECTORY: &str = ".dist-info";

const fn text(name: &'static str) -> KeptFile {
    KeptFile {
        name,
        limit: TEXT_LIMIT,
        keep: Keep::Text,
    }
}

/// Prints what [`ManagedRuntime::report`] asks for.
const REPORT: &str = "import json, os, sys; print(json.dumps({'version': '%d.%d' % sys.version_info[:2], 'program': \
                      os.path.realpath(sys.executable), 'library': os.path.dirname(os.__file__)}))";

/// Python.
#[derive(Debug)]
pub struct Python;

impl Language for Python {
    fn managed_runtime(&self, name: &str) -> Option<ManagedRuntime> {
        let version = name
            .strip_prefix("python")
            .filter(|version| version.starts_with("3."))?;
        Some(ManagedRuntime {
            version: version.to_owned(),
            programs: vec![format!("python{version}"), "python3".to_owned(), "python".to_owned()],
            report: &["-I", "-c", REPORT],
            left_out: &["site-packages", "dist-packages", "test"],
            library: Some(format!("lib/python{version}")),
            client: ("client.py", include_str!("../../rules/clients/client.py")),
            module_if_traced: Some(("sitecustomize.py", include_str!("../../rules/clients/asking.py"))),
            variables: Vec::new(),
            how_to_get: format!(
                "install it, for instance with `pyenv install {version}` or `uv python install {version}`"
            ),
            lacks: Some("boto3 and botocore"),
        })
    }

    fn name(&self) -> &'static str {
        "python"
    }

    fn code(&self) -> Option<CodeKind> {
        Some(CodeKind {
            endings: &[".py"],
            interpreter: "python",
            opens: crate::source::python::opens,
        })
    }

    fn kept_files(&self) -> &'static [KeptFile] {
        const KEPT: &[KeptFile] = &[
            text(RECORD),
            text(METADATA),
            text(wheel::WHEEL),
            text(editable::ORIGIN),
            byte_code::KEPT,
        ];
        KEPT
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        distributions(tree)
    }

    fn findings(&self, root: Root<'_>) -> Vec<Finding> {
        editable::findings(root)
    }

    fn requirements(&self, package: &Package, tree: &Tree) -> Vec<(String, String)> {
        let metadata = package.directory.join(METADATA);
        metadata
            .and_then(|path| tree.text(&path))
            .map(versions_required)
            .unwrap_or_default()
    }

    /// Version specifiers (PyPA specifications), all of which have to hold.
    fn satisfies(&self, requirement: &str, version: &str) -> bool {
        let mut parts = requirement.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.all(|part| {
            let (relation, wanted) = version::relation(part);
            let release = version::numbers(wanted.trim_end_matches(".*"));
            match (relation, release) {
                ("==", Some(release)) if wanted.ends_with(".*") => {
                    version::is_below_next(version, &release, release.len().saturating_sub(1))
                }
                ("!=", Some(release)) if wanted.ends_with(".*") => {
                    !version::is_below_next(version, &release, release.len().saturating_sub(1))
                }
                ("~=", Some(release)) if release.len() > 1 => {
                    version::holds(version, ">=", wanted)
                        && version::is_below_next(version, &release, release.len() - 2)
                }
                _ => holds(version, relation, wanted),
            }
        })
    }

    fn metadata(&self, package: &Package, text: &dyn Fn(&TreePath) -> Option<String>) -> Option<Metadata> {
        let described = text(&package.directory.join(METADATA)?)?;
        let mut metadata = metadata::metadata(&package.name, &described);
        metadata.bills = package.listed.iter().filter(|path| is_bill(path)).cloned().collect();
        Some(metadata)
    }

    fn is_metadata(&self, path: &TreePath) -> bool {
        is_bill(path)
    }

    fn source_reader<'a>(&self, tree: &'a Tree, asked: Asked) -> Option<Box<dyn SourceReader + 'a>> {
        Some(Box::new(Modules::of(tree, asked)))
    }

    fn commands(&self, root: Root<'_>) -> Vec<(TreePath, TreePath)> {
        let mut commands = Vec::new();
        for package in distributions(root.tree) {
            let is_command =
                |path: &&TreePath| path.parent().is_some_and(|directory| directory.file_name() == COMMANDS);
            let listed = package.listed.iter().filter(is_command).cloned();
            let commands_of = listed.chain(scripts_of_target(&package, root.tree));
            commands.extend(commands_of.map(|command| (command, package.manifest.clone())));
        }
        commands
    }

    fn native_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let objects = tree.objects().map(|(path, _)| path);
        objects.filter(|path| is_extension_module(path)).cloned().collect()
    }

    fn interpreter_library(&self, soname: &str) -> Option<InterpreterLibrary> {
        interpreter_library(soname)
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        module_roots(tree)
    }

    fn is_module(&self, path: &TreePath) -> bool {
        let name = path.file_name();
        let is_in_modules = path.names().any(|name| ROOT_NAMES.contains(&name));
        is_in_modules && (name.ends_with(SOURCE) || is_extension_module(path))
    }

    fn versions(&self, tree: &Tree) -> BTreeSet<String> {
        let modules = tree.files().filter_map(|(path, _)| tagged(path));
        let of_modules: BTreeSet<String> = modules.filter_map(|(_, tag)| version_of(tag)).collect();
        if !of_modules.is_empty() {
            return of_modules;
        }
        // Installers compile what they install.
        let caches = tree.files().filter_map(|(path, _)| byte_code::source_of(path));
        let tags = caches.filter_map(|(_, tag)| tag.strip_prefix("cpython-"));
        tags.filter_map(version_of).collect()
    }

    fn foreign_modules(&self, root: Root<'_>, version: &str) -> Vec<ForeignModule> {
        let mut found = misnamed_modules(root, version);
        let known: BTreeSet<TreePath> = found.iter().map(|module| module.path.clone()).collect();
        let of_wheels = misbuilt_modules(root, version).into_iter();
        found.extend(of_wheels.filter(|module| !known.contains(&module.path)));
        let layout = Layout::of(self);
        found.extend(
            layout
                .into_iter()
                .flat_map(|layout| byte_code::foreign(root.tree, layout, version)),
        );
        found
    }

    fn is_in_package(&self, path: &TreePath, tree: &Tree) -> bool {
        let mut packages = path.ancestors().filter_map(|above| above.join(PACKAGE));
        packages.any(|marker| tree.contains(&marker))
    }

    fn relisted(
        &self,
        from: &TreePath,
        to: &TreePath,
        text: &str,
        target: &dyn Fn(&TreePath) -> Option<TreePath>,
    ) -> Option<String> {
        if from.file_name() != RECORD {
            return None;
        }
        let site = |record: &TreePath| record.parent()?.parent();
        let (old, new) = (site(from)?, site(to)?);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        let mut is_changed = false;
        for row in reader.records() {
            let row = row.ok()?;
            let listed = row.get(0)?;
            let moved = TreePath::normal(&format!("{}/{listed}", old.on_lambda()))
                .map(|path| target(&path).unwrap_or(path).relative_to(&new))
                .filter(|_| !listed.starts_with('/'))
                .unwrap_or_else(|| listed.to_owned());
            is_changed |= moved != listed;
            writer
                .write_record(std::iter::once(moved.as_str()).chain(row.iter().skip(1)))
                .ok()?;
        }
        let text = String::from_utf8(writer.into_inner().ok()?).ok()?;
        is_changed.then_some(text)
    }

    fn compiler(&self) -> Option<Compiler> {
        Some(Compiler {
            arguments: &["-I", "-S", "-c"],
            script: include_str!("../../rules/compile/compile.py"),
            place: byte_code::cache_of,
            is_current: byte_code::is_current,
        })
    }

    fn content_in_layer(&self, path: &TreePath, content: &[u8], source: &ReadSource<'_>) -> Option<Vec<u8>> {
        if is_record(path) {
            return metadata::without_digests(content);
        }
        let (source_path, _) = byte_code::source_of(path)?;
        let (source, modified) = source(&source_path)?;
        byte_code::unchecked(content, &source, modified)
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[
            LanguageAnchor {
                name: "site-packages",
                title: "each directory of installed Python modules",
                directories: module_directories,
                is_of_no_use: false,
                files: None,
            },
            LanguageAnchor {
                name: "unread-byte-code",
                title: "the root of the tree, among the byte code caches that the runtime's Python does not read",
                directories: |_| BTreeSet::from([TreePath::root()]),
                is_of_no_use: true,
                files: Some(unread_caches),
            },
        ]
    }
}

/// The interpreter in a library such as `libpython3.12.so.1.0`, with letters for other builds behind the version (configure.ac of
/// CPython, `INSTSONAME` and `LDVERSION`); `libpython3.so` fits all that keep to the stable interface.
fn interpreter_library(soname: &str) -> Option<InterpreterLibrary> {
    let (version, _) = soname.strip_prefix("libpython")?.split_once(".so")?;
    let (major, minor) = version.split_once('.')?;
    let digits = minor.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_usual = digits == minor || minor.strip_suffix('m') == Some(digits);
    (is_number(major) && is_number(digits)).then(|| InterpreterLibrary {
        title: format!("CPython {version}"),
        version: is_usual.then(|| format!("{major}.{digits}")),
        is_loaded: false,
    })
}

/// Whether a file lists those of a distribution.
fn is_record(path: &TreePath) -> bool {
    let is_metadata = |above: TreePath| above.file_name().strip_suffix(METADATA_DIRECTORY).is_some();
    path.file_name() == RECORD && path.parent().is_some_and(is_metadata)
}

/// Whether a file is a bill of materials that a distribution brings (PEP 770).
fn is_bill(path: &TreePath) -> bool {
    let directory = path.parent().filter(|directory| directory.file_name() == BILLS);
    let above = directory.and_then(|directory| directory.parent());
    path.file_name().ends_with(BILL) && above.is_some_and(|above| above.file_name().ends_with(METADATA_DIRECTORY))
}

/// The directories that modules are installed into: by their names, and those that `pip install --target` wrote to, which
/// hold a distribution's metadata (PEP 376, PEP 427).
fn module_directories(tree: &Tree) -> BTreeSet<TreePath> {
    let targets = tree
        .files()
        .filter(|(path, _)| path.file_name() == METADATA)
        .filter_map(|(path, _)| path.parent())
        .filter(|directory| directory.file_name().ends_with(METADATA_DIRECTORY))
        .filter_map(|directory| directory.parent());
    tree.directories_named(&["site-packages", "dist-packages"])
        .chain(targets)
        .collect()
}

/// A module that Python imports: by the tag in its name (PEP 3149, PEP 384), or by its place.
fn is_extension_module(path: &TreePath) -> bool {
    let name = path.file_name();
    name.strip_suffix(".so").is_some_and(|stem| {
        stem.contains(".cpython-")
            || stem.strip_suffix(".abi3").is_some()
            || path.names().any(|name| name == "lib-dynload")
    })
}

/// The name of an extension module and the tag of the CPython that imports it, such as `313` or `313t`, if its name has one
/// (PEP 3149).
fn tagged(path: &TreePath) -> Option<(&str, &str)> {
    let (stem, rest) = path.file_name().strip_suffix(".so")?.split_once(".cpython-")?;
    let tag = rest.split('-').next()?;
    tag.starts_with(|c: char| c.is_ascii_digit()).then_some((stem, tag))
}

/// The platform in the name of an extension module that Python looks for on Linux with glibc (PEP 3149).
fn platform_tag(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64-linux-gnu",
        Arch::Arm64 => "aarch64-linux-gnu",
    }
}

/// Extension modules whose names say that they are for another Python or another platform, where Python finds nothing else
/// next to them that it can load.
fn misnamed_modules(root: Root<'_>, version: &str) -> Vec<ForeignModule> {
    let tree = root.tree;
    let wanted = version.replace('.', "");
    let full = format!("cpython-{wanted}-{}.so", platform_tag(root.runtime.arch));
    let is_found =
        |rest: &str| rest == full || rest == format!("cpython-{wanted}.so") || ["so", "abi3.so"].contains(&rest);
    let modules = tree.files().filter_map(|(path, _)| Some((path, tagged(path)?)));
    let of_others = tree
        .files()
        .filter_map(|(path, file)| of_other_python(path, file, tree));
    modules
        .filter_map(|(path, (stem, tag))| {
            let own = path.file_name().strip_prefix(stem)?.strip_prefix('.')?;
            let directory = path.parent()?;
            let prefix = format!("{stem}.");
            let beside = tree.below(&directory).filter_map(|(other, _)| {
                let name = other.below(&directory)?;
                name.strip_prefix(&prefix).filter(|rest| !rest.contains('/'))
            });
            if is_found(own) {
                return None;
            }
            let beside: BTreeSet<&str> = beside.collect();
            if beside.iter().any(|rest| is_found(rest)) {
                return None;
            }
            let platform = own
                .strip_suffix(".so")?
                .split_once('-')?
                .1
                .split_once('-')
                .map(|(_, platform)| platform);
            let (built_for, version) = match (tag == wanted, platform) {
                (true, Some(platform)) => (platform.to_owned(), None),
                _ => (
                    format!("CPython {}", version_of(tag).unwrap_or_else(|| tag.to_owned())),
                    version_of(tag),
                ),
            };
            Some(ForeignModule {
                path: path.clone(),
                built_for,
                version,
                has_fallback: beside.contains("py"),
            })
        })
        .chain(of_others)
        .collect()
}

/// Other implementations of Python, by how the tags of extension modules for them begin (PEP 425, PEP 3149).
const OTHER_PYTHONS: [(&str, &str); 2] = [("pypy", "PyPy"), ("graalpy", "GraalPy")];

/// An extension module for another implementation of Python or, by what it defines, for Python 2, where nothing of the same name is
/// next to it: with that, code has a choice.
fn of_other_python(path: &TreePath, file: &File, tree: &Tree) -> Option<ForeignModule> {
    let name = path.file_name().strip_suffix(".so")?;
    let (stem, rest) = name.split_once('.').unwrap_or((name, ""));
    let by_tag = OTHER_PYTHONS.iter().find(|(begin, _)| rest.starts_with(begin));
    let built_for = if let Some((_, name)) = by_tag {
        (*name).to_owned()
    } else {
        let symbols = file.content.object()?.symbols.as_ref()?;
        let has = |begin: &str| symbols.has(&format!("{begin}{stem}"));
        let is_module = rest.is_empty() && !path.file_name().starts_with("lib") && has("init") && !has("PyInit_");
        is_module.then(|| "Python 2".to_owned())?
    };
    let beginning = path.sibling(&format!("{stem}."))?;
    let mut beside = tree.beginning_with(beginning.as_str()).map(|(other, _)| other);
    let has_fallback = beside.any(|other| other.as_str().strip_suffix(SOURCE).is_some());
    let mut beside = tree.beginning_with(beginning.as_str()).map(|(other, _)| other);
    let has_right_one = beside.any(|other| other != path && other.as_str().strip_suffix(".so").is_some());
    (!has_right_one).then(|| ForeignModule {
        path: path.clone(),
        built_for,
        version: None,
        has_fallback,
    })
}

/// Extension modules whose names say nothing, of distributions that were built for another Python or another platform.
fn misbuilt_modules(root: Root<'_>, version: &str) -> Vec<ForeignModule> {
    let tree = root.tree;
    let machine = root.runtime.arch.machine();
    let listed: BTreeMap<TreePath, Vec<TreePath>> = distributions(tree)
        .into_iter()
        .map(|package| (package.directory, package.listed))
        .collect();
    let mut found = Vec::new();
    for (path, file) in tree.files().filter(|(path, _)| path.file_name() == wheel::WHEEL) {
        let misfit = file
            .content
            .text()
            .and_then(|text| wheel::misfit(text, version, root.runtime.arch));
        let (Some(metadata), Some(misfit)) = (path.parent(), misfit) else {
            continue;
        };
        let files = listed
            .get(&metadata)
            .cloned()
            .unwrap_or_else(|| unlisted(&metadata, tree));
        let (built_for, version, is_of_python) = match misfit {
            wheel::Misfit::Python(built_for, version) => (built_for, version, true),
            wheel::Misfit::Platform(built_for) => (built_for, None, false),
            wheel::Misfit::Source => {
                found.extend(for_python_2(files));
                continue;
            }
        };
        for path in files {
            let Some(object) = tree.object(&path).filter(|object| object.machine == machine) else {
                continue;
            };
            // What has a version in its name is judged by that; what no Python imports fits any.
            let stem = path.file_name().split('.').next().unwrap_or_default();
            let is_plain = path.file_name().strip_suffix(".so") == Some(stem);
            // The name of one for the stable interface does not say from which version on.
            let is_stable = path.file_name().strip_suffix(".abi3.so") == Some(stem);
            let is_module = object
                .symbols
                .as_ref()
                .is_some_and(|symbols| symbols.has(&format!("PyInit_{stem}")));
            if !is_of_python || (is_plain || is_stable) && is_module {
                found.push(ForeignModule {
                    path,
                    built_for: built_for.clone(),
                    version: version.clone(),
                    has_fallback: false,
                });
            }
        }
    }
    found
}

/// A distribution of source code for Python 2, of which parts may work all the same.
fn for_python_2(files: Vec<TreePath>) -> Option<ForeignModule> {
    let mut modules = files
        .into_iter()
        .filter(|path| path.file_name().strip_suffix(SOURCE).is_some());
    Some(ForeignModule {
        path: modules.next()?,
        built_for: "Python 2".to_owned(),
        version: None,
        has_fallback: true,
    })
}

/// The files of a distribution that does not list any: those in the directory of its name.
fn unlisted(metadata: &TreePath, tree: &Tree) -> Vec<TreePath> {
    let stem = metadata
        .file_name()
        .strip_suffix(METADATA_DIRECTORY)
        .unwrap_or_default();
    let name = normalized(stem.split('-').next().unwrap_or_default());
    let Some(site) = metadata.parent().filter(|_| !name.is_empty()) else {
        return Vec::new();
    };
    let files = tree.below(&site).map(|(path, _)| path);
    files
        .filter(|path| {
            let top = path.below(&site).and_then(|below| below.split(['/', '.']).next());
            top.is_some_and(|top| normalized(top) == name)
        })
        .cloned()
        .collect()
}

/// The version of Python that a tag such as `313` is for; `None` for another kind of build, such as the free-threaded `313t`.
fn version_of(tag: &str) -> Option<String> {
    let minor = tag.strip_prefix('3')?;
    (!minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("3.{minor}"))
}

/// The byte code caches that no Python reads: those of other versions than the runtime's or, if it has none, than those of the
/// interpreters in the tree; those of optimized code; and those without their source.
fn unread_caches(root: Root<'_>) -> BTreeSet<TreePath> {
    let tree = root.tree;
    let versions: BTreeSet<String> = match of_runtime(&root.runtime.name) {
        Some((language, _, version)) if language.name() == Python.name() => BTreeSet::from([version.to_owned()]),
        _ => tree.files().filter_map(|(path, _)| interpreter_version(path)).collect(),
    };
    let tags: BTreeSet<String> = versions
        .iter()
        .map(|version| format!("cpython-{}", version.replace('.', "")))
        .collect();
    let is_read = |path: &TreePath| {
        byte_code::source_of(path).is_some_and(|(source, tag)| tags.contains(tag) && tree.contains(&source))
    };
    let caches = tree.files().map(|(path, _)| path);
    caches
        .filter(|path| path.parent().is_some_and(|above| above.file_name() == byte_code::CACHE) && !is_read(path))
        .cloned()
        .collect()
}

/// The version of an interpreter whose standard library holds this file as its first module.
fn interpreter_version(path: &TreePath) -> Option<String> {
    let directory = path.parent().filter(|_| path.file_name() == STANDARD_MODULE)?;
    directory.file_name().strip_prefix("python").map(ToOwned::to_owned)
}

/// A module of the standard library, by which the directory of that is known.
const STANDARD_MODULE: &str = "os.py";

/// The file that makes a directory a package (The Python Language Reference, section 5.2.1).
const PACKAGE: &str = "__init__.py";

/// In an egg, the directory with its metadata, and the file that every one has (setuptools, "The Internal Structure of Python Eggs").
const EGG: &str = "EGG-INFO";
const EGG_METADATA: &str = "PKG-INFO";

/// How the name of a module ends.
const SOURCE: &str = ".py";

/// Directories that are roots by their names.
const ROOT_NAMES: [&str; 3] = ["site-packages", "dist-packages", "python"];

/// Directories with packages, with distributions or, if they are roots by name, with single modules. What is inside of a
/// package is its own matter, and so is the standard library of an interpreter with what is installed in it.
fn module_roots(tree: &Tree) -> Vec<ModuleRoot> {
    let has = |directory: &TreePath, name: &str| directory.join(name).is_some_and(|path| tree.contains(&path));
    let is_package = |directory: &TreePath| has(directory, PACKAGE);
    let mut roots: BTreeMap<TreePath, ModuleRoot> = BTreeMap::new();
    for (path, _) in tree.files() {
        let name = path.file_name();
        let Some(directory) = path.parent() else { continue };
        let by_name = directory.is_root() || ROOT_NAMES.contains(&directory.file_name());
        let (root, is_certain) = if name == PACKAGE {
            match directory.parent() {
                Some(above) if !is_package(&above) => (above, false),
                _ => continue,
            }
        } else if name == METADATA && directory.file_name().ends_with(METADATA_DIRECTORY) {
            match directory.parent() {
                Some(above) => (above, true),
                None => continue,
            }
        } else if name == EGG_METADATA && directory.file_name() == EGG {
            // Nothing puts an egg on the search path of a runtime.
            match directory
                .parent()
                .filter(|egg| egg.file_name().strip_suffix(".egg").is_some())
            {
                Some(egg) => (egg, true),
                None => continue,
            }
        } else if by_name && (name.ends_with(SOURCE) || is_extension_module(path)) {
            (directory, true)
        } else {
            continue;
        };
        let is_inside = is_package(&root) || root.ancestors().any(|above| is_package(&above));
        let is_interpreter =
            has(&root, STANDARD_MODULE) || root.parent().is_some_and(|above| has(&above, STANDARD_MODULE));
        if is_inside || is_interpreter {
            continue;
        }
        let is_certain = is_certain || ROOT_NAMES.contains(&root.file_name()) || is_of_version(&root);
        let known = roots.entry(root.clone()).or_insert_with(|| ModuleRoot {
            directory: root,
            is_certain,
            remedy: None,
            example: path.clone(),
        });
        known.is_certain |= is_certain;
    }
    roots.into_values().collect()
}

/// Whether a directory is the one of an interpreter's version that has the directory of modules in it: `lib/python3.13`.
fn is_of_version(directory: &TreePath) -> bool {
    let is_versioned = directory.file_name().strip_prefix("python3.").is_some();
    is_versioned
        && directory
            .parent()
            .is_some_and(|above| ["lib", "lib64"].contains(&above.file_name()))
}

/// The scripts that `pip install --target` wrote next to the modules of a distribution, and lists as if they were where it put
/// them at first: `../../bin/x`.
fn scripts_of_target(package: &Package, tree: &Tree) -> Vec<TreePath> {
    let record = package.directory.join(RECORD).and_then(|path| tree.text(&path));
    let directory = package.directory.parent().and_then(|site| site.join(COMMANDS));
    let (Some(record), Some(directory)) = (record, directory) else {
        return Vec::new();
    };
    let listed = listed_paths(record).into_iter().filter(|path| path.starts_with("../"));
    let scripts = listed.filter_map(|path| match path.rsplit('/').collect::<Vec<_>>()[..] {
        [name, above, ..] if above == COMMANDS => directory.join(name),
        _ => None,
    });
    scripts.filter(|path| tree.contains(path)).collect()
}

/// Distributions by the directories of their metadata, each with the files that it lists and with the directories in which
/// no other one has files.
fn distributions(tree: &Tree) -> Vec<Package> {
    let mut packages = Vec::new();
    // A directory into which several distributions write belongs to none.
    let mut owners: BTreeMap<TreePath, Option<usize>> = BTreeMap::new();
    for (record, _) in tree.files().filter(|(path, _)| path.file_name() == RECORD) {
        let (Some(metadata), Some(text)) = (record.parent(), tree.text(record)) else {
            continue;
        };
        let (Some(stem), Some(site)) = (metadata.file_name().strip_suffix(METADATA_DIRECTORY), metadata.parent())
        else {
            continue;
        };
        let name = stem.split_once('-').map_or(stem, |(name, _)| name).to_owned();
        let mut package = Package::new("python", name, metadata.clone(), record.clone());
        package.metadata = vec![metadata];
        for listed in listed_paths(text) {
            let Some(file) = site.join(&listed).filter(|file| tree.contains(file)) else {
                continue;
            };
            if let Some((top, _)) = listed.split_once('/')
                && let Some(top) = site.join(top)
            {
                let owner = owners.entry(top).or_insert(Some(packages.len()));
                if *owner != Some(packages.len()) {
                    *owner = None;
                }
            }
            package.listed.push(file);
        }
        packages.push(package);
    }
    for (directory, owner) in owners {
        if let Some(package) = owner.and_then(|owner| packages.get_mut(owner))
            && package.directory != directory
        {
            package.owned.push(directory);
        }
    }
    let names: BTreeMap<String, String> = packages
        .iter()
        .map(|package| (normalized(&package.name), package.name.clone()))
        .collect();
    for package in &mut packages {
        let metadata = package.directory.join(METADATA);
        let requires = metadata
            .and_then(|path| tree.text(&path))
            .map(requirements)
            .unwrap_or_default();
        package.requires = requires.iter().filter_map(|name| names.get(name).cloned()).collect();
    }
    packages
}

/// The normalized names of the distributions that one requires.
fn requirements(metadata: &str) -> Vec<String> {
    versions_required(metadata).into_iter().map(|(name, _)| name).collect()
}

/// The normalized names of the distributions that one requires, each with the specifiers of its version, those of extras left out
/// (Core metadata specifications, "Requires-Dist"; PEP 508). Of other conditions nothing is known, so that they count as true.
fn versions_required(metadata: &str) -> Vec<(String, String)> {
    let required = metadata::headers(metadata).filter_map(|line| line.strip_prefix("Requires-Dist:"));
    let unconditional = required.filter(|requirement| {
        let condition = requirement.split_once(';').map_or("", |(_, condition)| condition);
        !condition
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "extra")
    });
    unconditional
        .map(|requirement| {
            let requirement = requirement.split(';').next().unwrap_or_default().trim();
            let end = requirement.find(|c: char| !c.is_alphanumeric() && !"-_.".contains(c));
            let (name, rest) = requirement.split_at(end.unwrap_or(requirement.len()));
            let specifiers = rest.trim().strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let specifiers = specifiers.map_or(rest, |(_, specifiers)| specifiers).trim();
            let specifiers = specifiers.trim_matches(['(', ')']).trim();
            (normalized(name), specifiers.to_owned())
        })
        .collect()
}

/// Whether a version stands in a relation to another one, which may be a pre-release: that comes right before the release of its
/// number (PEP 440, "Summary of permitted suffixes and relative ordering").
fn holds(version: &str, relation: &str, wanted: &str) -> bool {
    match before_release(wanted) {
        Some(release) if version::numbers(version).is_some() => match relation {
            "<" | "<=" => version::holds(version, "<", release),
            ">" | ">=" => version::holds(version, ">=", release),
            "!=" => true,
            _ => false,
        },
        _ => version::holds(version, relation, wanted),
    }
}

/// The release that a pre-release, such as `2.0a1` or `2.0.dev0`, comes before; `None` for any other version.
fn before_release(version: &str) -> Option<&str> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (release, suffix) = version.split_at(end);
    let is_before = ["a", "b", "c", "rc", "pre", "dev"]
        .iter()
        .any(|before| suffix.starts_with(before));
    let release = release.trim_end_matches('.');
    (is_before && !release.is_empty()).then_some(release)
}

/// A distribution's name as it is compared (PEP 503).
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// The paths in a RECORD, which is CSV with the path in the first column. A line that is not CSV is passed over.
fn listed_paths(record: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(record.as_bytes());
    let rows = reader.records().filter_map(Result::ok);
    rows.filter_map(|row| row.get(0).map(ToOwned::to_owned))
        .filter(|path| !path.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_read_but_for_those_of_extras() {
        let metadata = "Metadata-Version: 2.1\nName: x\nLicense: Text\n        \n        of two parts\nRequires-Dist: Python_Dateutil>=2.8\n\
                        Requires-Dist: six (>=1.5) ; python_version < \"3\"\n\
                        Requires-Dist: pytest ; extra == 'test'\nRequires-Dist: zope.interface[x]\n\n\
                        Requires-Dist: text\n";
        assert_eq!(requirements(metadata), ["python-dateutil", "six", "zope-interface"]);
    }

    /// The specifiers are those of the PyPA specification.
    #[test]
    fn specifiers_are_read_as_pip_does() {
        for (specifiers, takes, refuses) in [
            ("", &["1"][..], &[][..]),
            (">=1.21,<3", &["1.21", "2.9.9"], &["1.20.9", "3.0"]),
            ("~=2.2", &["2.2", "2.9"], &["2.1", "3.0"]),
            ("~=1.4.5", &["1.4.9"], &["1.5.0", "1.4.4"]),
            ("==1.4.*", &["1.4", "1.4.7"], &["1.5"]),
            ("!=1.4.*", &["1.5"], &["1.4.7"]),
            ("==2.0", &["2.0.0"], &["2.0.1"]),
            (">=1.5,!=1.6", &["1.7"], &["1.6"]),
            (">=2.0", &[], &["2.1rc1"]),
            // As s3transfer requires botocore.
            ("<2.0a.0,>=1.37.4", &["1.40.4", "1.37.4"], &["2.0", "2.1", "1.37.3"]),
            ("<2.0.dev0", &["1.9"], &["2.0"]),
            (">=2.0rc1", &["2.0", "2.1"], &["1.9"]),
        ] {
            for version in takes {
                assert!(Python.satisfies(specifiers, version), "{specifiers} takes {version}");
            }
            for version in refuses {
                assert!(
                    !Python.satisfies(specifiers, version),
                    "{specifiers} does not take {version}"
                );
            }
        }
        let metadata = "Name: x\nRequires-Dist: six (>=1.5) ; python_version < \"3\"\nRequires-Dist: a.b[x,y]>=2,<3\n";
        assert_eq!(
            versions_required(metadata),
            [
                ("six".to_owned(), ">=1.5".to_owned()),
                ("a-b".to_owned(), ">=2,<3".to_owned())
            ]
        );
    }

    #[test]
    fn paths_of_a_record_are_read() {
        for (line, path) in [
            ("a/b.py,sha256=x,1", "a/b.py"),
            ("a,,", "a"),
            ("\"a,b \"\"c\"\"\",sha256=x,1", "a,b \"c\""),
        ] {
            assert_eq!(listed_paths(line), [path], "{line}");
        }
        assert_eq!(listed_paths("a,,\r\n\"b\"\n\n,,\nc"), ["a", "b", "c"]);
        assert_eq!(listed_paths("\""), [""; 0]);
    }
}
