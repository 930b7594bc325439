//! For which versions of Node an addon was built: any that has Node-API, or those with one `NODE_MODULE_VERSION`.

use std::collections::{BTreeMap, BTreeSet};

use super::{ADDON, MANIFEST};
use crate::elf::Object;
use crate::languages::ForeignModule;
use crate::languages::layout::Layout;
use crate::root::Root;
use crate::tree::{Tree, TreePath};

/// What node-gyp was configured with, in the directory `build` of a package: a Python literal with a comment before it.
pub(super) const CONFIGURATION: &str = "config.gypi";
/// The version in it.
const KEY: &str = "\"node_module_version\":";

/// The symbol that an addon defines which is initialized by name, with the version behind it (`NODE_MODULE_INIT` in node.h).
const BY_NAME: &str = "node_register_module_v";
/// Node.js' registry of versions begins far below the first and ends far above the last of these (doc/abi_version_registry.json).
pub(super) const VERSIONS: std::ops::Range<u32> = 40..400;

/// What an addon fits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fit {
    /// Every version (Node.js documentation, "Node-API").
    Every,
    /// Those with this `NODE_MODULE_VERSION`.
    One(u32),
}

/// The addons of a tree, by the directories in which packages look for one that fits.
fn addons(tree: &Tree) -> BTreeMap<TreePath, Vec<(&TreePath, Option<Fit>)>> {
    let mut choices: BTreeMap<TreePath, Vec<(&TreePath, Option<Fit>)>> = BTreeMap::new();
    for (path, object) in tree.objects().filter(|(path, _)| path.file_name().ends_with(ADDON)) {
        let versions: Vec<u32> = path.names().filter_map(version_in).collect();
        let by_name = versions.last().copied().map(Fit::One);
        let registered = || Some(Fit::One(tree.file(path)?.content.fact()?.parse().ok()?));
        let fit = of_object(object)
            .or_else(registered)
            .or(by_name)
            .or_else(|| configured(path, tree));
        let mut above = path
            .ancestors()
            .skip_while(|above| version_in(above.file_name()).is_some());
        let directory = above.next().unwrap_or_else(TreePath::root);
        choices.entry(directory).or_default().push((path, fit));
    }
    choices
}

/// The version that a name has in it: `abi115` of prebuildify, `node-v115` of node-pre-gyp.
fn version_in(name: &str) -> Option<u32> {
    let after = |sign: &str| {
        let (_, rest) = name.split_once(sign)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok().filter(|version| VERSIONS.contains(version))
    };
    ["abi", "node-v"].into_iter().find_map(after)
}

/// What the symbols of an addon tell.
fn of_object(object: &Object) -> Option<Fit> {
    let symbols = object.symbols.as_ref()?;
    let uses_node_api = symbols.undefined.iter().any(|symbol| symbol.name.starts_with("napi_"));
    if uses_node_api || symbols.has("napi_register_module_v1") {
        return Some(Fit::Every);
    }
    VERSIONS
        .into_iter()
        .find(|version| symbols.has(&format!("{BY_NAME}{version}")))
        .map(Fit::One)
}

/// What the configuration of the build says, in whose directory an addon is.
fn configured(path: &TreePath, tree: &Tree) -> Option<Fit> {
    let is_package = |above: &TreePath| above.join(MANIFEST).is_some_and(|manifest| tree.contains(&manifest));
    let inside = path.ancestors().take_while(|above| !is_package(above));
    let texts = inside.filter_map(|above| tree.text(&above.join(CONFIGURATION)?).map(ToOwned::to_owned));
    let version = texts.into_iter().find_map(|text| {
        let (_, rest) = text.split_once(KEY)?;
        let rest = rest.trim_start_matches([' ', '"', '\'']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    version.map(Fit::One)
}

/// The versions of Node for which a tree has addons that fit no other: as they stand in the names of runtimes.
pub(super) fn versions(tree: &Tree, layout: &Layout) -> BTreeSet<String> {
    let choices = addons(tree).into_values();
    let only = choices.filter_map(|addons| match &addons[..] {
        [(_, Some(Fit::One(version)))] => layout.version_of_abi(&version.to_string()),
        _ => None,
    });
    only.collect()
}

/// The addons that Node of this version does not load where it has no other that it would load instead.
pub(super) fn foreign(root: Root<'_>, layout: &Layout, version: &str) -> Vec<ForeignModule> {
    let Some(wanted) = layout.abi(version).and_then(|abi| abi.parse::<u32>().ok()) else {
        return Vec::new();
    };
    let fits = |fit: &Option<Fit>| !matches!(fit, Some(Fit::One(version)) if *version != wanted);
    let machine = root.runtime.arch.machine();
    let is_own = |path: &TreePath| root.tree.object(path).is_some_and(|object| object.machine == machine);
    let choices = addons(root.tree).into_values().map(|mut addons| {
        addons.retain(|(path, _)| is_own(path));
        addons
    });
    let without_any = choices.filter(|addons| !addons.iter().any(|(_, fit)| fits(fit)));
    without_any
        .flatten()
        .filter_map(|(path, fit)| {
            let Some(Fit::One(built)) = fit else { return None };
            let version = layout.version_of_abi(&built.to_string());
            let shown = version
                .as_ref()
                .map_or(String::new(), |version| format!("Node {version}, "));
            Some(ForeignModule {
                path: path.clone(),
                built_for: format!("{shown}NODE_MODULE_VERSION {built}"),
                version,
                has_fallback: false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{Class, Kind, Machine, Symbols};
    use crate::languages::{Language, node::Node};
    use crate::runtime::{Arch, Runtime};
    use crate::size::Bytes;
    use crate::tree::{Content, Entry, File, Mode};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, symbols) in files {
            let mut object = Object::bare(Class::Elf64, Machine::X86_64, Kind::SharedLibrary);
            object.symbols = Some(Symbols::from_lines(symbols));
            let path = TreePath::new(path).unwrap();
            let content = if path.file_name() == CONFIGURATION {
                Content::Text((*symbols).into())
            } else {
                Content::Object(object.into())
            };
            let file = File {
                bytes: Bytes(1),
                mode: Mode::FILE,
                content,
            };
            tree.insert(path, Entry::File(file));
        }
        tree
    }

    /// What `require` of Node 22 says of such addons: "was compiled against a different Node.js version".
    #[test]
    fn addons_fit_by_node_api_or_by_one_version() {
        let layout = Layout::of(&Node).unwrap();
        let check = |files: &[(&str, &str)], expected: &[&str]| {
            let tree = tree(files);
            let root = Root {
                tree: &tree,
                runtime: &Runtime::load("nodejs22.x", Arch::X86_64).unwrap(),
            };
            let found = foreign(root, layout, "22");
            let shown: Vec<&str> = found.iter().map(|module| module.built_for.as_str()).collect();
            assert_eq!(shown, expected, "{files:?}");
        };
        let a = "nodejs/node_modules/a";
        let built = format!("{a}/build/Release/a.node");
        let gypi = format!("{a}/build/config.gypi");
        check(&[(&built, "napi_register_module_v1")], &[]);
        check(&[(&built, "node_register_module_v127")], &[]);
        check(
            &[(&built, "node_register_module_v115")],
            &["Node 20, NODE_MODULE_VERSION 115"],
        );
        check(&[(&built, "x")], &[]);
        let configuration = "# x\n{ \"variables\": { \"node_module_version\": 108 } }";
        check(
            &[(&built, "x"), (&gypi, configuration)],
            &["Node 18, NODE_MODULE_VERSION 108"],
        );
        check(&[(&built, "napi_register_module_v1"), (&gypi, configuration)], &[]);
        let prebuilt = |name: &str| format!("{a}/prebuilds/linux-x64/{name}");
        check(
            &[
                (&prebuilt("a.node.abi115.node"), ""),
                (&prebuilt("a.node.abi127.node"), ""),
            ],
            &[],
        );
        check(
            &[
                (&prebuilt("node.abi115.node"), ""),
                (&prebuilt("node.napi.node"), "napi_register_module_v1"),
            ],
            &[],
        );
        let bound = |version: u32| format!("{a}/lib/binding/node-v{version}-linux-x64/a.node");
        check(&[(&bound(93), ""), (&bound(127), "")], &[]);
        check(&[(&bound(93), "")], &["Node 16, NODE_MODULE_VERSION 93"]);
        assert_eq!(
            Node.versions(&tree(&[(&bound(115), "")]))
                .into_iter()
                .collect::<Vec<_>>(),
            ["20"]
        );
    }
}
