//! What R opens by itself, and which packages have to stay for others. The data is in `rules/r-packages.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::{Package, PackageSelectionError};
use crate::nearest::suggestion;
use crate::tree::{Tree, TreePath};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    always: Vec<Always>,
    package: Loaded,
    home: Loaded,
    optional: Loaded,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Always {
    names: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Loaded {
    loaded: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
}

/// The data, with its globs compiled. It is part of the program, and a test reads it: it cannot be wrong.
#[derive(Debug, Default)]
struct Known {
    always: Vec<String>,
    package: GlobSet,
    home: GlobSet,
    optional: GlobSet,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| known().unwrap_or_default());

fn known() -> Result<Known, Box<dyn std::error::Error>> {
    let data: Data = toml::from_str(include_str!("../../../rules/r-packages.toml"))?;
    let globs = |texts: &[String]| {
        let mut builder = GlobSetBuilder::new();
        for text in texts {
            for glob in [text.clone(), format!("{text}/**")] {
                builder.add(GlobBuilder::new(&glob).literal_separator(true).build()?);
            }
        }
        builder.build()
    };
    Ok(Known {
        always: data.always.into_iter().flat_map(|entry| entry.names).collect(),
        package: globs(&data.package.loaded)?,
        home: globs(&data.home.loaded)?,
        optional: globs(&data.optional.loaded)?,
    })
}

/// The directories of the named packages, of all that they need, and of those that R needs itself.
pub(super) fn select(packages: &[Package], names: &[String]) -> Result<BTreeSet<TreePath>, PackageSelectionError> {
    if packages.is_empty() {
        return Err(PackageSelectionError::NoPackages);
    }
    let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        by_name.entry(&package.name).or_default().push(package);
    }
    if let Some(name) = names.iter().find(|name| !by_name.contains_key(name.as_str())) {
        return Err(PackageSelectionError::Unknown {
            name: name.clone(),
            near: suggestion(name, by_name.keys().copied()),
            known: by_name.keys().copied().collect::<Vec<_>>().join(", "),
        });
    }
    let mut selected = BTreeSet::new();
    let mut pending: Vec<&str> = names.iter().chain(&KNOWN.always).map(String::as_str).collect();
    while let Some(name) = pending.pop() {
        for package in by_name.get(name).into_iter().flatten() {
            if selected.insert(package.directory.clone()) {
                pending.extend(package.requires.iter().map(String::as_str));
            }
        }
    }
    Ok(selected)
}

/// The files of a package that R opens to load it: its code, its metadata, and its shared objects.
pub(super) fn loaded_by_package(package: &TreePath, tree: &Tree) -> Vec<TreePath> {
    let registered: Vec<String> = package
        .join("NAMESPACE")
        .and_then(|path| tree.text(&path))
        .map(dynamic_libraries)
        .unwrap_or_default();
    tree.below(package)
        .filter(|(path, _)| {
            path.below(package).is_some_and(|below| {
                let library = below.strip_prefix("libs/").and_then(|name| name.strip_suffix(".so"));
                KNOWN.package.is_match(below)
                    // A package that registers none loads what it has by library.dynam().
                    || library.is_some_and(|name| registered.is_empty() || registered.iter().any(|known| known == name))
            })
        })
        .map(|(path, _)| path.clone())
        .collect()
}

/// The files that R opens to start.
pub(super) fn loaded_by_home(home: &TreePath, tree: &Tree) -> Vec<TreePath> {
    matching(&KNOWN.home, home, tree)
}

/// The objects without which R works.
pub(super) fn optional_in_home(home: &TreePath, tree: &Tree) -> Vec<TreePath> {
    matching(&KNOWN.optional, home, tree)
}

fn matching(paths: &GlobSet, home: &TreePath, tree: &Tree) -> Vec<TreePath> {
    tree.below(home)
        .filter(|(path, _)| path.below(home).is_some_and(|below| paths.is_match(below)))
        .map(|(path, _)| path.clone())
        .collect()
}

/// The libraries in the `useDynLib` directives of a NAMESPACE (Writing R Extensions, section 1.5.4).
fn dynamic_libraries(namespace: &str) -> Vec<String> {
    let code: String = namespace
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    code.split("useDynLib")
        .skip(1)
        .filter_map(|rest| {
            let inside = rest.trim_start().strip_prefix('(')?.trim_start();
            let name: String = inside
                .trim_start_matches(['"', '\''])
                .chars()
                .take_while(|c| !matches!(c, '"' | '\'' | ',' | ')') && !c.is_whitespace())
                .collect();
            (!name.is_empty()).then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, needs: &[&str]) -> Package {
        let directory = TreePath::new(&format!("library/{name}")).unwrap();
        let manifest = directory.join("DESCRIPTION").unwrap();
        let mut package = Package::new("r", name.to_owned(), directory, manifest);
        package.requires = needs.iter().map(ToString::to_string).collect();
        package
    }

    #[test]
    fn the_data_is_readable_and_names_base() {
        let known = known().unwrap();
        assert!(known.always.iter().any(|name| name == "base"));
        assert!(known.package.is_match("R/sysdata.rdb") && !known.package.is_match("help/AnIndex"));
        assert!(known.home.is_match("etc/ldpaths"));
    }

    #[test]
    fn a_selection_has_all_that_it_needs() {
        let packages = [
            package("base", &[]),
            package("stats", &["utils"]),
            package("utils", &["tools"]),
            package("tools", &[]),
            package("jsonlite", &["methods"]),
            package("methods", &[]),
            package("mgcv", &["nlme"]),
            package("nlme", &["lattice", "not-there"]),
            package("lattice", &["nlme"]),
            package("boot", &[]),
        ];
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            select(&packages, &asked).map(|paths| {
                paths
                    .iter()
                    .map(|path| path.file_name().to_owned())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        let always = "base methods stats tools utils";
        assert_eq!(names(&[]).unwrap(), always);
        assert_eq!(names(&["jsonlite"]).unwrap(), "base jsonlite methods stats tools utils");
        assert_eq!(
            names(&["mgcv"]).unwrap(),
            "base lattice methods mgcv nlme stats tools utils"
        );
        let error = names(&["jsonlit"]).unwrap_err().to_string();
        assert!(
            error.contains("no R package 'jsonlit'; did you mean 'jsonlite'?"),
            "{error}"
        );
        assert_eq!(select(&[], &[]), Err(PackageSelectionError::NoPackages));
    }

    #[test]
    fn registered_libraries_are_read() {
        let namespace =
            "# useDynLib(no)\nuseDynLib(stats, .registration = TRUE)\nuseDynLib(\"grid\")\nuseDynLib( a.b )\n";
        assert_eq!(dynamic_libraries(namespace), ["stats", "grid", "a.b"]);
        assert_eq!(dynamic_libraries("export(x)\nuseDynLib"), [""; 0]);
    }
}
