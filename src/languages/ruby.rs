//! Ruby: gems as RubyGems installs them.

mod code;

use std::collections::{BTreeMap, BTreeSet};

use super::layout::ModuleRoot;
use super::{
    Asked, ForeignModule, InterpreterLibrary, Language, LanguageAnchor, Metadata, Package, PackageSource, SourceReader,
};
use crate::licenses::License;
use crate::root::Root;
use crate::tree::content::{CodeKind, is_library_name};
use crate::tree::{Entry, Tree, TreePath};

use code::Scripts;

/// In a gem directory, the descriptions of the gems that are installed in it (RubyGems, Gem::Specification).
const SPECIFICATIONS: &str = "specifications";
/// In a gem directory, the gems themselves, each in NAME-VERSION.
const GEMS: &str = "gems";
/// In a gem directory, compiled extensions by platform and ABI version, such as `x86_64-linux/3.4.0` (RubyGems,
/// Gem.extension_api_version).
const EXTENSIONS: &str = "extensions";
/// The directory of a gem's code.
const LIBRARY: &str = "lib";
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

    fn code(&self) -> Option<CodeKind> {
        Some(CodeKind {
            endings: &[".rb"],
            interpreter: "ruby",
            opens: crate::source::ruby::opens,
        })
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

    fn metadata(&self, package: &Package, text: &dyn Fn(&TreePath) -> Option<String>) -> Option<Metadata> {
        let description = text(&package.manifest)?;
        let name = attribute(&description, "name")
            .next()
            .unwrap_or_else(|| package.name.clone());
        let licenses: Vec<String> = attribute(&description, "licenses")
            .chain(attribute(&description, "license"))
            .collect();
        let license = match licenses.join(" OR ") {
            none if none.is_empty() => License::default(),
            declared => License::declared(&declared),
        };
        Some(Metadata {
            version: attribute(&description, "version").next(),
            license,
            source: PackageSource {
                kind: "gem",
                namespace: None,
                name: name.clone(),
            },
            bills: Vec::new(),
            name,
        })
    }

    fn is_metadata(&self, path: &TreePath) -> bool {
        path.file_name().ends_with(GEMSPEC)
            && path
                .parent()
                .is_some_and(|directory| directory.file_name() == SPECIFICATIONS)
    }

    fn native_modules(&self, tree: &Tree) -> BTreeSet<TreePath> {
        let objects = tree.objects().map(|(path, _)| path);
        let is_in_gem = |path: &&TreePath| {
            is_library_name(path.file_name()) && path.names().any(|name| name == GEMS || name == EXTENSIONS)
        };
        objects.filter(is_in_gem).cloned().collect()
    }

    fn interpreter_library(&self, soname: &str) -> Option<InterpreterLibrary> {
        interpreter_library(soname)
    }

    fn module_roots(&self, tree: &Tree) -> Vec<ModuleRoot> {
        let gems = gem_specifications(tree).map(|(home, path)| (home, path.clone()));
        let files = tree.files().map(|(path, _)| path);
        let sources = files
            .filter(|path| path.file_name().ends_with(SOURCE))
            .filter_map(|path| {
                let own = TreePath::new("ruby/lib").filter(|lib| path.below(lib).is_some());
                // Someone meant it to be on the load path.
                let at_top = || path.parent().filter(|above| above.as_str() == LIBRARY);
                Some((own.or_else(at_top)?, path.clone()))
            });
        ModuleRoot::certain(gems.chain(sources))
    }

    fn source_reader<'a>(&self, tree: &'a Tree, _: Asked) -> Option<Box<dyn SourceReader + 'a>> {
        Some(Box::new(Scripts::of(tree)))
    }

    fn anchors(&self) -> &'static [LanguageAnchor] {
        &[LanguageAnchor {
            name: "gem-home",
            title: "each directory that RubyGems installs into",
            directories: |tree| gem_specifications(tree).map(|(home, _)| home).collect(),
            is_of_no_use: false,
            files: None,
        }]
    }

    fn versions(&self, tree: &Tree) -> BTreeSet<String> {
        abi_directories(tree)
            .filter_map(|path| abi_version(path.file_name()))
            .collect()
    }

    fn foreign_modules(&self, root: Root<'_>, version: &str) -> Vec<ForeignModule> {
        let compiled = abi_directories(root.tree)
            .filter(|path| abi_version(path.file_name()).is_some_and(|built| built != version))
            .map(|path| ForeignModule {
                path: path.clone(),
                built_for: format!("Ruby {}", path.file_name()),
                version: abi_version(path.file_name()),
                has_fallback: false,
            });
        compiled.chain(precompiled_elsewhere(root, version)).collect()
    }
}

/// The interpreter in a library such as `libruby.so.3.3`, or `libruby-3.3.so.3.3` of Debian. Ruby refuses an extension that is linked
/// to another one than it has itself, whatever the version (dln.c, "linked to incompatible").
fn interpreter_library(soname: &str) -> Option<InterpreterLibrary> {
    let (_, version) = soname.strip_prefix("libruby")?.split_once(".so.")?;
    let version = abi_version(version)?;
    Some(InterpreterLibrary {
        title: format!("a Ruby {version} that is in {soname}"),
        version: Some(version),
        is_loaded: false,
    })
}

/// Of gems that bring their extensions compiled, in a directory for each version of Ruby, those that have none for this version
/// (rake-compiler, "Cross compilation"): the first extension of each.
fn precompiled_elsewhere(root: Root<'_>, version: &str) -> Vec<ForeignModule> {
    let machine = root.runtime.arch.machine();
    let mut versions: BTreeMap<TreePath, BTreeMap<String, &TreePath>> = BTreeMap::new();
    for (path, object) in root.tree.objects() {
        let directory = path.parent();
        let built = directory
            .as_ref()
            .map(TreePath::file_name)
            .filter(|name| is_version(name));
        let gem = directory.as_ref().and_then(TreePath::parent);
        let is_of_gem = || path.names().any(|name| name == GEMS) && path.names().any(|name| name == LIBRARY);
        if let (Some(built), Some(gem)) = (built, gem)
            && is_library_name(path.file_name())
            && object.machine == machine
            && is_of_gem()
        {
            let extensions = versions.entry(gem).or_default();
            extensions.entry(built.to_owned()).or_insert(path);
        }
    }
    let without = versions
        .into_values()
        .filter(|versions| !versions.contains_key(version));
    without
        .filter_map(|versions| {
            let (newest, path) = versions.into_iter().next_back()?;
            Some(ForeignModule {
                path: path.clone(),
                built_for: format!("Ruby {newest}"),
                version: Some(newest),
                has_fallback: false,
            })
        })
        .collect()
}

/// Whether a directory is named as a version of Ruby, such as `3.4`.
fn is_version(name: &str) -> bool {
    abi_version(name).is_some_and(|version| version == name)
}

/// The strings that a description sets an attribute to. RubyGems writes installed descriptions in one form, a line for each
/// attribute: `s.version = "1.2".freeze`, `s.licenses = ["MIT".freeze]` (Gem::Specification, to_ruby).
fn attribute(description: &str, name: &str) -> impl Iterator<Item = String> {
    let assigned = description.lines().find_map(|line| {
        let (target, value) = line.trim().split_once('=')?;
        (target.trim().strip_prefix("s.")? == name).then_some(value)
    });
    let quoted = assigned.unwrap_or_default().split('"').skip(1).step_by(2);
    quoted.map(ToOwned::to_owned).collect::<Vec<_>>().into_iter()
}

/// The descriptions of installed gems, each with the gem directory that it is in; those that a gem brings within itself are
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

/// Directories of compiled extensions, `extensions/PLATFORM/ABI` in a gem directory; their names are versions of the ABI.
fn abi_directories(tree: &Tree) -> impl Iterator<Item = &TreePath> {
    let directories = tree.iter().filter(|(_, entry)| matches!(entry, Entry::Directory(_)));
    directories.map(|(path, _)| path).filter(|path| {
        let platform = path.parent();
        platform
            .and_then(|platform| platform.parent())
            .is_some_and(|above| above.file_name() == EXTENSIONS)
    })
}

/// The version of Ruby that an ABI version such as `3.4.0` or `3.4.0-static` is for.
fn abi_version(abi: &str) -> Option<String> {
    let mut numbers = abi.split(['.', '-']);
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by RubyGems 3.4 for a gem with an extension.
    #[test]
    fn a_description_tells_name_version_and_license() {
        let text = "# -*- encoding: utf-8 -*-\n# stub: bcrypt 3.1.20 ruby lib\nGem::Specification.new do |s|\n  \
                    s.name = \"bcrypt\".freeze\n  s.version = \"3.1.20\"\n  s.licenses = [\"MIT\".freeze]\n  \
                    s.required_rubygems_version = Gem::Requirement.new(\">= 0\".freeze) if s.respond_to? :x=\nend\n";
        let path = |text: &str| TreePath::new(text).unwrap();
        let package = Package::new(
            "ruby",
            "bcrypt".to_owned(),
            path("ruby/gems/3.4.0/gems/bcrypt-3.1.20"),
            path("ruby/gems/3.4.0/specifications/bcrypt-3.1.20.gemspec"),
        );
        let found = Ruby.metadata(&package, &|_| Some(text.to_owned())).unwrap();
        assert_eq!(
            (found.name.as_str(), found.version.as_deref()),
            ("bcrypt", Some("3.1.20"))
        );
        assert_eq!(found.license.expression.as_deref(), Some("MIT"));
        assert!(Ruby.is_metadata(&package.manifest));
    }
}
