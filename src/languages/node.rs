//! Node: packages in `node_modules`.

mod abi;
mod code;
mod range;
mod registration;

use std::collections::BTreeSet;

use super::layout::{Layout, ModuleRoot};
use super::{
    Asked, ForeignModule, InterpreterLibrary, Language, LanguageAnchor, ManagedRuntime, Metadata, Package,
    PackageSource, SourceReader,
};
use crate::licenses::License;
use crate::root::{Location, Root, link_target};
use crate::tree::content::{CodeKind, Keep, KeptFile, TEXT_LIMIT};
use crate::tree::{Entry, Tree, TreePath};

use code::Modules;

/// Where packages are looked for (Node.js documentation, "Loading from node_modules directories").
const MODULES: &str = "node_modules";
/// What Lambda has for Node in a layer.
const HOME: &str = "nodejs";
/// Where npm puts links to the commands of packages (npm documentation, "directories", Executables).
const COMMANDS: &str = ".bin";
/// What makes a directory a package, with its name (Node.js documentation, "Modules: Packages").
const MANIFEST: &str = "package.json";

/// Prints what [`ManagedRuntime::report`] asks for.
const REPORT: &str = "console.log(JSON.stringify({version: process.versions.node.split('.')[0], program: \
                      require('fs').realpathSync(process.execPath)}))";

/// How the name of an addon ends (Node.js documentation, "C++ addons").
const ADDON: &str = ".node";

/// Node.
#[derive(Debug)]
pub struct Node;

impl Language for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn code(&self) -> Option<CodeKind> {
        Some(CodeKind {
            endings: &[".js", ".cjs", ".mjs"],
            interpreter: "node",
            opens: crate::source::javascript::opens,
        })
    }

    fn kept_files(&self) -> &'static [KeptFile] {
        const fn text(name: &'static str) -> KeptFile {
            KeptFile {
                name,
                limit: TEXT_LIMIT,
                keep: Keep::Text,
            }
        }
        const KEPT: &[KeptFile] = &[
            text(MANIFEST),
            text(abi::CONFIGURATION),
            KeptFile {
                name: "*.node",
                limit: 0,
                keep: Keep::ObjectFact(registration::version),
            },
        ];
        KEPT
    }

    fn managed_runtime(&self, name: &str) -> Option<ManagedRuntime> {
        let version = name.strip_prefix("nodejs")?.strip_suffix(".x")?;
        let modules = format!("/opt/nodejs/node{version}/node_modules:/opt/nodejs/node_modules");
        Some(ManagedRuntime {
            version: version.to_owned(),
            programs: vec!["node".to_owned(), "nodejs".to_owned()],
            report: &["-e", REPORT],
            left_out: &[],
            library: None,
            client: ("client.js", include_str!("../../rules/clients/client.js")),
            module_if_traced: None,
            variables: vec![(
                "NODE_PATH",
                format!("{modules}:/var/runtime/node_modules:/var/runtime:/var/task"),
            )],
            how_to_get: format!("install it, for instance with `nvm install {version}`"),
            lacks: Some("the AWS SDK"),
        })
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        let packages = self.packages(tree).into_iter();
        let roots = ModuleRoot::certain(packages.filter_map(|package| {
            let mut above = package.directory.ancestors().filter(|path| path.file_name() == MODULES);
            let root = above.next()?;
            // Of nested directories only the outermost is one that a runtime looks into, and none directly in another one.
            let is_outermost = above.next().is_none();
            let is_misnested = root.parent().is_some_and(|above| above.file_name() == MODULES);
            (is_outermost || is_misnested).then_some((root, package.manifest))
        }));
        let beside = packages_beside_modules(tree);
        let is_inside = |root: &ModuleRoot| {
            let mut packages = beside.iter().filter_map(|(_, manifest)| manifest.parent());
            packages.any(|package| root.directory.below(&package).is_some())
        };
        if roots.is_empty() || beside.len() > 1 && roots.iter().all(is_inside) {
            ModuleRoot::certain(packages_at_the_top(tree).chain(beside))
        } else {
            roots
        }
    }

    fn is_command_link(&self, path: &TreePath) -> bool {
        path.parent().is_some_and(|directory| directory.file_name() == COMMANDS)
    }

    fn is_module(&self, path: &TreePath) -> bool {
        let is_in_package = path.names().any(|name| name == MODULES);
        let is_code = [".js", ".cjs", ".mjs", ADDON]
            .iter()
            .any(|end| path.file_name().ends_with(end));
        name_of(path).is_some_and(|name| !name.starts_with('.')) || is_in_package && is_code && !is_aside(path)
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        let manifests = tree.files().map(|(path, _)| path);
        manifests
            .filter(|path| path.file_name() == MANIFEST)
            .filter_map(|manifest| {
                let directory = manifest.parent()?;
                let mut package = Package::new("node", name_of(&directory)?, directory, manifest.clone());
                package.requires = tree.text(manifest).map(dependencies).unwrap_or_default();
                Some(package)
            })
            .collect()
    }

    fn requirements(&self, package: &Package, tree: &Tree) -> Vec<(String, String)> {
        tree.text(&package.manifest).map(ranges).unwrap_or_default()
    }

    fn satisfies(&self, requirement: &str, version: &str) -> bool {
        range::accepts(requirement, version)
    }

    fn metadata(&self, package: &Package, text: &dyn Fn(&TreePath) -> Option<String>) -> Option<Metadata> {
        let manifest: serde_json::Value = serde_json::from_str(&text(&package.manifest)?).ok()?;
        let name = manifest["name"].as_str().unwrap_or(&package.name).to_owned();
        let (namespace, own) = match name.split_once('/') {
            Some((scope, own)) => (Some(scope.to_owned()), own.to_owned()),
            None => (None, name.clone()),
        };
        Some(Metadata {
            version: manifest["version"].as_str().map(ToOwned::to_owned),
            license: license(&manifest),
            source: PackageSource {
                kind: "npm",
                namespace,
                name: own,
            },
            bills: Vec::new(),
            name,
        })
    }

    fn source_reader<'a>(&self, tree: &'a Tree, asked: Asked) -> Option<Box<dyn SourceReader + 'a>> {
        Some(Box::new(Modules::of(tree, asked)))
    }

    fn commands(&self, root: Root<'_>) -> Vec<(TreePath, TreePath)> {
        let links = root.tree.iter().filter_map(|(path, entry)| match entry {
            Entry::Symlink(target) => Some((path, target)),
            _ => None,
        });
        links
            .filter(|(link, _)| link.parent().is_some_and(|directory| directory.file_name() == COMMANDS))
            .filter_map(|(link, target)| match root.resolve(&link_target(link, target)) {
                Ok(Location::Tree(script)) => Some((link.clone(), script)),
                _ => None,
            })
            .collect()
    }

    fn native_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let objects = tree.objects().map(|(path, _)| path);
        objects
            .filter(|path| path.file_name().ends_with(ADDON))
            .cloned()
            .collect()
    }

    /// A shared library of Node, whose version is that of its interface (configure.py of Node.js, `--shared`).
    fn interpreter_library(&self, soname: &str) -> Option<InterpreterLibrary> {
        let abi = soname.strip_prefix("libnode.so.")?;
        let version = Layout::of(self).and_then(|layout| layout.version_of_abi(abi));
        Some(InterpreterLibrary {
            title: version
                .as_ref()
                .map_or_else(String::new, |version| format!("Node {version}, "))
                + &format!("NODE_MODULE_VERSION {abi}, as a library"),
            version,
            is_loaded: false,
        })
    }

    fn versions(&self, tree: &Tree) -> BTreeSet<String> {
        Layout::of(self)
            .map(|layout| abi::versions(tree, layout))
            .unwrap_or_default()
    }

    fn foreign_modules(&self, root: Root<'_>, version: &str) -> Vec<ForeignModule> {
        let layout = Layout::of(self);
        layout
            .map(|layout| abi::foreign(root, layout, version))
            .unwrap_or_default()
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[LanguageAnchor {
            name: "node-modules",
            title: "each node_modules",
            directories: |tree| tree.directories_named(&[MODULES]).collect::<BTreeSet<_>>(),
            is_of_no_use: false,
            files: None,
        }]
    }
}

/// Packages as they are in `node_modules`, but at the top of a tree: where Lambda has nothing of its own, each with its manifest.
fn packages_at_the_top(tree: &Tree) -> impl Iterator<Item = (TreePath, TreePath)> {
    const OWN: [&str; 5] = ["nodejs", "python", "ruby", "java", "extensions"];
    let manifests = tree
        .files()
        .map(|(path, _)| path)
        .filter(|path| path.file_name() == MANIFEST);
    let tops = manifests.filter(|path| {
        let names: Vec<&str> = path.names().collect();
        match names[..] {
            [package, _] => !OWN.contains(&package),
            [scope, _, _] => scope.starts_with('@'),
            _ => false,
        }
    });
    tops.map(|manifest| (TreePath::root(), manifest.clone()))
}

/// Packages one directory too high, such as `nodejs/NAME`: by their manifests, whose names are those of the directories. Each with the
/// directory that it is in.
fn packages_beside_modules(tree: &Tree) -> Vec<(TreePath, TreePath)> {
    let Some(home) = TreePath::new(HOME) else {
        return Vec::new();
    };
    let manifests = tree.below(&home).map(|(path, _)| path);
    let manifests = manifests.filter(|path| path.file_name() == MANIFEST);
    let misplaced = manifests.filter_map(|manifest| {
        let below: Vec<&str> = manifest.below(&home)?.split('/').collect();
        let (directory, name) = match below[..] {
            [version, scope, name, _] if version.starts_with("node") && scope.starts_with('@') => {
                (home.join(version)?, format!("{scope}/{name}"))
            }
            [scope, name, _] if scope.starts_with('@') => (home.clone(), format!("{scope}/{name}")),
            [version, name, _] if version.starts_with("node") => (home.join(version)?, name.to_owned()),
            [name, _] => (home.clone(), name.to_owned()),
            _ => return None,
        };
        let text: serde_json::Value = serde_json::from_str(tree.text(manifest)?).ok()?;
        let is_installed = text["name"] == name.as_str();
        (directory.file_name() != MODULES && is_installed).then(|| (directory, manifest.clone()))
    });
    misplaced.collect()
}

/// The license of a package: an expression, or in older manifests an object or a list of them (npm documentation,
/// "package.json", license).
fn license(manifest: &serde_json::Value) -> License {
    let one = |value: &serde_json::Value| value.as_str().or_else(|| value["type"].as_str()).map(ToOwned::to_owned);
    let several = manifest["licenses"].as_array().into_iter().flatten().filter_map(one);
    let declared = one(&manifest["license"]).unwrap_or_else(|| several.collect::<Vec<_>>().join(" OR "));
    if declared.is_empty() {
        return License::default();
    }
    License::declared(&declared)
}

/// The names of the packages that a manifest depends on (npm documentation, "package.json"): those that it may work without
/// are among them, for code may ask for them.
fn dependencies(manifest: &str) -> Vec<String> {
    ranges(manifest).into_iter().map(|(name, _)| name).collect()
}

/// The same with the ranges of versions.
fn ranges(manifest: &str) -> Vec<(String, String)> {
    let Ok(manifest) = serde_json::from_str::<serde_json::Value>(manifest) else {
        return Vec::new();
    };
    let kinds = ["dependencies", "optionalDependencies", "peerDependencies"];
    let lists = kinds.iter().filter_map(|kind| manifest.get(kind)?.as_object());
    let range = |(name, range): (&String, &serde_json::Value)| {
        // What is not a text is nothing that a version meets.
        (name.clone(), range.as_str().unwrap_or("?").to_owned())
    };
    lists.flat_map(|list| list.iter().map(range)).collect()
}

/// Whether a path is among commands or what packages bring for browsers, documents and tests.
fn is_aside(path: &TreePath) -> bool {
    const ASIDE: [&str; 9] = [
        COMMANDS, "test", "tests", "docs", "doc", "examples", "example", "static", "assets",
    ];
    path.names().any(|name| ASIDE.contains(&name))
}

/// The name of the package that is installed in a directory, with its scope; `None` for one inside of a package.
fn name_of(directory: &TreePath) -> Option<String> {
    let above = directory.parent()?;
    if above.file_name() == MODULES {
        return Some(directory.file_name().to_owned());
    }
    let is_scoped = above.file_name().starts_with('@') && above.parent()?.file_name() == MODULES;
    is_scoped.then(|| format!("{}/{}", above.file_name(), directory.file_name()))
}
