//! Ruby: gems as RubyGems installs them.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::ModuleRoot;
use super::{ForeignModule, Language, Package};
use crate::tree::content::is_library_name;
use crate::tree::{Entry, Tree, TreePath};

/// In a gem directory, the descriptions of the gems that are installed in it (RubyGems, Gem::Specification).
const SPECIFICATIONS: &str = "specifications";
/// In a gem directory, the gems themselves, each in NAME-VERSION.
const GEMS: &str = "gems";
/// In a gem directory, compiled extensions by platform and ABI version, such as `x86_64-linux/3.4.0` (RubyGems,
/// Gem.extension_api_version).
const EXTENSIONS: &str = "extensions";
/// How the name of a source ends.
const SOURCE: &str = ".rb";
/// What describes a gem.
const GEMSPEC: &str = ".gemspec";

/// Ruby.
#[derive(Debug)]
pub struct Ruby;

impl Language for Ruby {
    fn name(&self) -> &'static str {
        "ruby"
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        let specifications = gem_specifications(tree);
        specifications
            .filter_map(|(home, path)| {
                let gem = path.file_name().strip_suffix(GEMSPEC)?;
                let directory = home.join(GEMS)?.join(gem)?;
                let name = gem.rsplit_once('-').map_or(gem, |(name, _)| name).to_owned();
                let mut package = Package::new("ruby", name, directory, path.clone());
                package.listed.push(path.clone());
                Some(package)
            })
            .collect()
    }

    fn native_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let objects = tree.objects().map(|(path, _)| path);
        let is_in_gem = |path: &&TreePath| {
            is_library_name(path.file_name()) && path.names().any(|name| name == GEMS || name == EXTENSIONS)
        };
        objects.filter(is_in_gem).cloned().collect()
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        let mut roots: BTreeMap<TreePath, TreePath> = BTreeMap::new();
        for (home, path) in gem_specifications(tree) {
            roots.entry(home).or_insert_with(|| path.clone());
        }
        let sources = tree.files().map(|(path, _)| path);
        for path in sources.filter(|path| path.file_name().ends_with(SOURCE)) {
            if let Some(lib) = TreePath::new("ruby/lib").filter(|lib| path.below(lib).is_some()) {
                roots.entry(lib).or_insert_with(|| path.clone());
            }
        }
        roots
            .into_iter()
            .map(|(directory, example)| ModuleRoot {
                directory,
                is_certain: true,
                example,
            })
            .collect()
    }

    fn versions(&self, tree: &Tree) -> BTreeSet<String> {
        abi_directories(tree)
            .filter_map(|(_, _, abi)| abi_version(&abi))
            .collect()
    }

    fn foreign_modules(&self, tree: &Tree, version: &str) -> Vec<ForeignModule> {
        abi_directories(tree)
            .filter(|(_, _, abi)| abi_version(abi).is_some_and(|built| built != version))
            .map(|(path, _, abi)| ForeignModule {
                path,
                built_for: format!("Ruby {abi}"),
                version: abi_version(&abi),
                has_fallback: false,
            })
            .collect()
    }
}

/// The descriptions of installed gems, each with the gem directory that it lies in; those that a gem brings within itself are
/// not among them.
fn gem_specifications(tree: &Tree) -> impl Iterator<Item = (TreePath, &TreePath)> {
    let files = tree.files().map(|(path, _)| path);
    files
        .filter(|path| path.file_name().ends_with(GEMSPEC))
        .filter_map(|path| {
            let above = path.parent()?;
            (above.file_name() == SPECIFICATIONS).then(|| Some((above.parent()?, path)))?
        })
        .filter(|(home, _)| {
            !home.names().any(|name| name == GEMS) || home.parent().is_none_or(|above| above.file_name() == GEMS)
        })
}

/// Directories of compiled extensions: the directory, its platform, its ABI version.
fn abi_directories(tree: &Tree) -> impl Iterator<Item = (TreePath, String, String)> {
    let directories = tree.iter().filter(|(_, entry)| matches!(entry, Entry::Directory(_)));
    directories.filter_map(|(path, _)| {
        let platform = path.parent()?;
        (platform.parent()?.file_name() == EXTENSIONS).then(|| {
            (
                path.clone(),
                platform.file_name().to_owned(),
                path.file_name().to_owned(),
            )
        })
    })
}

/// The version of Ruby that an ABI version such as `3.4.0` or `3.4.0-static` is for.
fn abi_version(abi: &str) -> Option<String> {
    let mut numbers = abi.split(['.', '-']);
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}
