//! The report of `analyze`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA_VERSION;
use crate::check;
use crate::finding::{Code, Finding};
use crate::host::Libraries;
use crate::languages::components::{ComponentSize, Components};
use crate::languages::{self, Repair};
use crate::loader::{self, LoadedTree};
use crate::pack::Estimate;
use crate::plan::{Change, Gain, Plan, WhatIf};
use crate::root::{Location, Root, link_target};
use crate::rules::RuleSet;
use crate::runtime::{Arch, Runtime};
use crate::scan::Scan;
use crate::size::Bytes;
use crate::tree::{Entry, Totals, Tree, TreePath};

/// The whole report.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Analysis {
    /// Version of this document's schema.
    pub schema_version: u32,
    /// The runtime that the tree was looked at for.
    pub runtime: String,
    /// The architecture that it was looked at for.
    pub arch: Arch,
    /// The whole tree.
    pub totals: Totals,
    /// What would go into the layers, unzipped.
    pub kept: Totals,
    /// What `pack` would make of it; `None` if the tree cannot be packed.
    pub estimate: Option<Estimate>,
    /// Its components, the largest first.
    pub components: Vec<ComponentReport>,
    /// What each rule removes; for a rule that is off, what it would remove of the rest.
    pub rules: Vec<RuleEffect>,
    /// Every ELF object.
    pub objects: Vec<ObjectReport>,
    /// What is the matter with the libraries.
    pub libraries: LibraryReport,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
}

/// One component of the tree.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentReport {
    /// The component and its size in the tree.
    #[serde(flatten)]
    pub size: ComponentSize,
    /// What is kept of that size, unzipped.
    pub kept_bytes: Bytes,
}

/// What one rule takes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuleEffect {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// The kind of files.
    pub category: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Files and links.
    pub files: usize,
    /// Their size, unzipped.
    pub bytes: Bytes,
    /// What stops working without them.
    pub breaks: String,
}

/// One ELF object.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObjectReport {
    /// Its path in the tree.
    pub path: String,
    /// Its soname, if it has one.
    pub soname: Option<String>,
    /// The processor it is for.
    pub machine: String,
    /// The rule that removes it, if one does.
    pub dropped_by: Option<String>,
    /// What it needs, in the loader's order.
    pub needed: Vec<NeededReport>,
}

/// One needed library of one object.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NeededReport {
    /// The name.
    pub soname: String,
    /// Whether it is bundled, provided or missing.
    pub resolution: Resolution,
    /// The file that the loader takes, as it is on Lambda.
    pub path: Option<String>,
    /// Where the loader found it.
    pub via: Option<&'static str>,
}

/// What becomes of a needed library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It is in the tree.
    Bundled,
    /// The runtime has it.
    Provided,
    /// It is in neither.
    Missing,
}

/// What is the matter with the libraries.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LibraryReport {
    /// How many different names are needed.
    pub needed: usize,
    /// How many of them are in the tree.
    pub bundled: usize,
    /// How many of them the runtime has.
    pub provided: usize,
    /// Those that are in neither.
    pub missing: Vec<MissingLibrary>,
    /// Libraries that are never loaded, for the runtime's own come first.
    pub shadowed: Vec<ShadowedLibrary>,
    /// Libraries that nothing uses, as far as that is written anywhere; something may open them at run time all the same.
    pub unneeded: Vec<String>,
    /// Libraries of which there are several with the same content.
    pub duplicates: Vec<Duplicate>,
    /// Links by which only a linker finds a library: nothing needs these names.
    pub development_links: Vec<String>,
}

/// A library that is in neither tree nor runtime.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MissingLibrary {
    /// The name.
    pub soname: String,
    /// The runtime's library that is too old for the tree, if this is a newer copy of it under a name of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// The objects that need it; what is brought in for others counts, too.
    pub needed_by: Vec<String>,
    /// Where this machine has it.
    pub host_path: Option<String>,
}

/// A library that is never loaded.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShadowedLibrary {
    /// Its path in the tree.
    pub path: String,
    /// The name by which it would be needed.
    pub soname: String,
    /// The runtime's library that is loaded instead.
    pub by: String,
    /// Its length.
    pub bytes: Bytes,
}

/// Several libraries with the same content.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Duplicate {
    /// The soname, if they have one.
    pub soname: Option<String>,
    /// The length of each.
    pub bytes: Bytes,
    /// Their paths in the tree.
    pub paths: Vec<String>,
}

/// Puts together what there is to say about a tree. `copies` are the groups of objects with the same content.
pub fn analyze(
    scan: &Scan,
    copies: &[Vec<TreePath>],
    loaded: &LoadedTree<'_>,
    plan: &Plan,
    rules: &RuleSet,
    what_if: &WhatIf<'_>,
    libraries: &dyn Libraries,
) -> Analysis {
    let Root { tree, runtime } = loaded.root();
    let libraries = library_report(tree, copies, plan, libraries, runtime);
    let mut findings = check::scan_findings(&scan.problems);
    let kept = Root {
        tree: &plan.kept,
        runtime,
    };
    findings.extend(check::tree_findings(&loaded.of_changed(kept)));
    findings.extend(check::tree_names(&plan.kept));
    for library in &plan.added {
        let Some(soname) = &library.known_as() else { continue };
        let needed_by: Vec<&TreePath> = library.needed_by.iter().collect();
        findings.push(
            Finding::new(
                Code::LibraryToBringIn,
                &[
                    ("soname", soname),
                    ("needed_by", &check::names(&needed_by)),
                    ("runtime", &runtime.name),
                    ("host_path", &library.from.to_string()),
                ],
            )
            .at(library.path.to_string()),
        );
    }
    findings.extend(plan.findings.iter().cloned());
    findings.extend(repairs(loaded.root(), plan));
    findings.sort();
    Analysis {
        schema_version: SCHEMA_VERSION,
        runtime: runtime.name.clone(),
        arch: runtime.arch,
        totals: tree.totals(),
        kept: plan.kept.totals(),
        estimate: None,
        components: components(tree, &plan.kept),
        rules: rule_effects(scan, plan, rules, &what_if.rules()),
        objects: object_reports(loaded, plan),
        libraries,
        findings,
    }
}

fn components(tree: &Tree, kept: &Tree) -> Vec<ComponentReport> {
    let components = Components::of(tree);
    let kept = components.sizes(kept);
    components
        .sizes(tree)
        .into_iter()
        .map(|size| ComponentReport {
            kept_bytes: kept
                .iter()
                .find(|kept| kept.name == size.name)
                .map(|kept| kept.bytes)
                .unwrap_or_default(),
            size,
        })
        .collect()
}

/// What the plan repairs: it would be an error if it did not.
fn repairs(root: Root<'_>, plan: &Plan) -> Vec<Finding> {
    let is_done = |repair: &Repair| plan.changed.iter().any(|changed| changed.path == repair.path);
    let repairs = languages::repairs(root).into_iter().filter(is_done);
    repairs.map(|repair| repair.finding).collect()
}

fn rule_effects(scan: &Scan, plan: &Plan, rules: &RuleSet, off: &[Gain]) -> Vec<RuleEffect> {
    let mut sums: BTreeMap<&str, (usize, Bytes)> = BTreeMap::new();
    let mut add = |rule, path: &TreePath| match scan.tree.get(path) {
        None | Some(Entry::Directory(_)) => {}
        Some(entry) => {
            let (files, bytes) = sums.entry(rule).or_default();
            *files += 1;
            *bytes += entry.unzipped();
        }
    };
    for (path, rule) in &plan.dropped {
        add(rule.as_str(), path);
    }
    for gain in off {
        if let Change::Enable { id, .. } = &gain.change {
            gain.paths.iter().for_each(|path| add(id.as_str(), path));
        }
    }
    rules
        .iter()
        .map(|(rule, enabled)| {
            let (files, bytes) = sums.get(rule.id.as_str()).copied().unwrap_or_default();
            RuleEffect {
                id: rule.id.clone(),
                title: rule.title.clone(),
                category: rule.category.clone(),
                enabled,
                files,
                bytes,
                breaks: rule.breaks.clone(),
            }
        })
        .collect()
}

/// Every object of the whole tree; what is dropped is looked at as if it stayed.
fn object_reports(loaded: &LoadedTree<'_>, plan: &Plan) -> Vec<ObjectReport> {
    let reports = loaded.root().tree.objects().map(|(path, object)| ObjectReport {
        path: path.to_string(),
        soname: object.soname.clone(),
        machine: object.machine.to_string(),
        dropped_by: plan.dropped.get(path).cloned(),
        needed: loaded
            .graph()
            .needs
            .get(path)
            .into_iter()
            .flatten()
            .map(|need| match &need.resolution {
                loader::Resolution::Found(found) => NeededReport {
                    soname: need.soname.clone(),
                    resolution: match found.place {
                        Location::Tree(_) => Resolution::Bundled,
                        Location::Runtime(_) => Resolution::Provided,
                    },
                    path: Some(found.path.clone()),
                    via: Some(found.source.name()),
                },
                loader::Resolution::Missing(_) => NeededReport {
                    soname: need.soname.clone(),
                    resolution: Resolution::Missing,
                    path: None,
                    via: None,
                },
            })
            .collect(),
    });
    reports.collect()
}

/// What is missing is what would be missing without the libraries that are brought in.
fn library_report(
    tree: &Tree,
    copies: &[Vec<TreePath>],
    plan: &Plan,
    libraries: &dyn Libraries,
    runtime: &Runtime,
) -> LibraryReport {
    let kept = &plan.kept;
    let mut names: BTreeMap<&str, Resolution> = BTreeMap::new();
    for need in plan.graph.loaded_objects().flat_map(|(_, needs)| needs) {
        let resolution = match &need.resolution {
            loader::Resolution::Found(found) if matches!(found.place, Location::Tree(_)) => Resolution::Bundled,
            loader::Resolution::Found(_) => Resolution::Provided,
            loader::Resolution::Missing(_) => Resolution::Missing,
        };
        names.insert(&need.soname, resolution);
    }
    let is_added = |soname: &str| plan.added.iter().any(|added| added.soname.as_deref() == Some(soname));
    let count = |wanted| {
        names
            .iter()
            .filter(|(soname, resolution)| **resolution == wanted && !is_added(soname))
            .count()
    };
    LibraryReport {
        needed: names.len(),
        bundled: count(Resolution::Bundled),
        provided: count(Resolution::Provided),
        missing: missing_libraries(plan, libraries, runtime),
        shadowed: plan
            .shadowed
            .iter()
            .map(|shadowed| ShadowedLibrary {
                path: shadowed.path.to_string(),
                soname: shadowed.soname.clone(),
                by: shadowed.by.clone(),
                bytes: tree.file(&shadowed.path).map_or(Bytes(0), |file| file.bytes),
            })
            .collect(),
        unneeded: plan.unneeded_libraries().map(ToString::to_string).collect(),
        duplicates: duplicates(copies, kept),
        development_links: development_links(Root { tree: kept, runtime }, &names),
    }
}

/// The libraries that the tree lacks, whether they are added or not.
fn missing_libraries(plan: &Plan, libraries: &dyn Libraries, runtime: &Runtime) -> Vec<MissingLibrary> {
    let mut missing: Vec<MissingLibrary> = plan
        .added
        .iter()
        .filter_map(|added| {
            Some(MissingLibrary {
                soname: added.soname.clone()?,
                copy_of: added.copy_of.clone(),
                needed_by: added.needed_by.iter().map(ToString::to_string).collect(),
                host_path: Some(added.from.to_string()),
            })
        })
        .collect();
    missing.extend(plan.graph.missing().into_iter().map(|(soname, needed_by)| {
        MissingLibrary {
            soname: soname.to_owned(),
            copy_of: None,
            needed_by: needed_by.into_iter().map(ToString::to_string).collect(),
            host_path: libraries
                .find(soname, runtime.arch)
                .map(|library| library.path.display().to_string()),
        }
    }));
    missing.sort_by(|a, b| a.soname.cmp(&b.soname));
    missing
}

fn duplicates(copies: &[Vec<TreePath>], kept: &Tree) -> Vec<Duplicate> {
    let several_kept = |paths: &&Vec<TreePath>| paths.iter().filter(|path| kept.contains(path)).count() > 1;
    let duplicate = |paths: &Vec<TreePath>| {
        let file = paths.first().and_then(|path| kept.file(path))?;
        Some(Duplicate {
            soname: file.content.object()?.soname.clone(),
            bytes: file.bytes,
            paths: paths
                .iter()
                .filter(|path| kept.contains(path))
                .map(ToString::to_string)
                .collect(),
        })
    };
    copies.iter().filter(several_kept).filter_map(duplicate).collect()
}

/// Links `libX.so` that lead to a library which is needed by another name.
fn development_links(root: Root<'_>, needed: &BTreeMap<&str, Resolution>) -> Vec<String> {
    root.tree
        .iter()
        .filter_map(|(path, entry)| {
            let Entry::Symlink(target) = entry else { return None };
            let Ok(Location::Tree(library)) = root.resolve(&link_target(path, target)) else {
                return None;
            };
            let soname = root.tree.object(&library)?.soname.as_deref()?;
            let name = path.file_name();
            let of_linker = name != soname && name.strip_suffix(".so").is_some_and(|stem| soname.starts_with(stem));
            (of_linker && !needed.contains_key(name)).then(|| path.to_string())
        })
        .collect()
}
