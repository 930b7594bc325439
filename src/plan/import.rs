//! Libraries that come in because no process finds them: those that are elsewhere in the tree by a link, others from this
//! machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Added, Context, Fixes, Layout, Origin};
use crate::companions::{Companion, MissingCompanion, missing_companions};
use crate::elf::{Object, Patch};
use crate::finding::{Code, Finding};
use crate::host::{DataFile, HostLibrary, HostPackage, Libraries, LibraryQuery, LicenseFile};
use crate::loader::{
    Finder, Graph, LoadedTree, MissingCause, MissingLibrary, Resolution, linked_interpreters, missing_libraries,
};
use crate::opened::missing_opened;
use crate::root::{Location, Root};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::source::LibraryName;
use crate::timings::phase;
use crate::tree::{Content, Entry, File, GeneratedFile, Mode, TreePath};

/// Where libraries are put if all who need them look there: `/opt/lib` is on every runtime's `LD_LIBRARY_PATH`.
const ADDED_TO: &str = "lib";

/// Copies of libraries under names of their own, by these names.
pub(super) type PrivateCopies = BTreeMap<String, PrivateCopy>;

/// A copy of a library under a name of its own.
#[derive(Debug, Clone)]
pub(super) struct PrivateCopy {
    /// The name under which the runtime has one that is too old.
    pub(super) of: String,
    /// What it is under that name.
    pub(super) file: File,
    /// Where it comes from.
    pub(super) from: Origin,
    /// What gives it that name.
    pub(super) patches: Vec<Patch>,
}

/// A layout with all that could be imported.
#[derive(Clone)]
pub(super) struct Imported {
    /// The layout.
    pub(super) layout: Layout,
    /// What the loader does with it.
    pub(super) graph: Graph,
    /// What has to be set for libraries to find the data that came in with them.
    pub(super) variables: Vec<Variable>,
}

/// An environment variable by which a library finds its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) value: String,
    /// The library.
    pub(super) library: TreePath,
    /// What is found by it.
    pub(super) what: &'static str,
}

/// The name under which the manifest has what comes in with libraries and is set for them.
pub(super) const COMPANIONS: &str = "companions";

/// The name under which license texts of imported libraries come along.
pub(super) const LICENSES: &str = "licenses";

/// Whether a library is a part of a C library or its loader: these fit one another and the kernel's start of a process alone,
/// and an object that misses them is for another system (glibc's shlib-versions; musl's dynamic linker).
fn is_c_library(soname: &str) -> bool {
    let starts = [
        "libc.",
        "ld-linux",
        "ld-musl",
        "ld64.",
        "libpthread.",
        "libm.",
        "libdl.",
        "librt.",
    ];
    starts.iter().any(|start| soname.starts_with(start))
}

/// Adds the libraries that are missing and that are among the private copies, or that the tree has elsewhere or this machine
/// has, and what they need in turn. `scanned` is the tree before anything was decided.
pub(super) fn import(
    layout: &Layout,
    scanned: &LoadedTree<'_>,
    context: &Context<'_>,
    fixes: &Fixes,
    privates: &PrivateCopies,
) -> Imported {
    let _phase = phase("import");
    let (runtime, libraries) = (context.runtime, context.libraries);
    let mut imported = layout.clone();
    let mut variables = Vec::new();
    let mut tried = BTreeSet::new();
    loop {
        let loaded = scanned.of_changed(Root {
            tree: &imported.tree,
            runtime,
        });
        let mut found = missing(&imported, &loaded, libraries, privates, &mut tried);
        if found.is_empty() {
            found = opened(&imported, &loaded, libraries, &mut tried);
        }
        if found.is_empty() {
            found = opened_by_name(loaded.root(), libraries, &mut tried);
        }
        let graph = loaded.into_graph();
        if found.is_empty() {
            // Modules among the data may need libraries of their own.
            if fixes.has(COMPANIONS) && add_companions(&mut imported, &graph, context, &mut variables) {
                continue;
            }
            return Imported {
                layout: imported,
                graph,
                variables,
            };
        }
        for (entry, added) in found {
            let private = added.soname.as_ref().and_then(|soname| privates.get(soname));
            if let (Some(private), Entry::File(_)) = (private, &entry) {
                imported.patches.insert(added.path.clone(), private.patches.clone());
            }
            imported.add(entry, added);
        }
    }
}

/// The packages of this machine that own files of it, by file; `None` for those that none owns.
pub(super) type Owners = BTreeMap<PathBuf, Option<HostPackage>>;

/// Finds the packages that own the files that were added from this machine, those aside of which they are known.
pub(super) fn owners(added: &[Added], host: &dyn Libraries, known: Owners) -> Owners {
    let paths = added.iter().filter_map(host_path);
    let paths: Vec<PathBuf> = paths.filter(|path| !known.contains_key(*path)).cloned().collect();
    let mut owners = known;
    if !paths.is_empty() {
        let mut found = host.packages(&paths);
        owners.extend(paths.into_iter().map(|path| {
            let package = found.remove(&path);
            (path, package)
        }));
    }
    owners
}

fn host_path(added: &Added) -> Option<&PathBuf> {
    match &added.from {
        Origin::Host(path) => Some(path),
        _ => None,
    }
}

/// Notes which packages of this machine the added files come from, and adds the license texts of those packages. `known` are
/// those that were asked for already.
pub(super) fn add_packages(layout: &mut Layout, known: Owners, host: &dyn Libraries, fixes: &Fixes) {
    let _phase = phase("packages of libraries");
    let owners = owners(&layout.added, host, known);
    let mut packages: BTreeMap<HostPackage, Vec<TreePath>> = BTreeMap::new();
    for added in &mut layout.added {
        added.package = host_path(added).and_then(|path| owners.get(path)?.clone());
        if let Some(package) = &added.package {
            packages.entry(package.clone()).or_default().push(added.path.clone());
        }
    }
    if !fixes.has(LICENSES) {
        return;
    }
    let mut texts: BTreeMap<LicenseFile, Vec<TreePath>> = BTreeMap::new();
    for (package, files) in packages {
        let of_package = host.license_files(&package);
        if let (true, Some(file)) = (of_package.is_empty(), files.first()) {
            layout.findings.push(license_missing(&package, file));
        }
        for text in of_package {
            texts.entry(text).or_default().extend(files.iter().cloned());
        }
    }
    for (text, needed_by) in texts {
        add_license(layout, text, needed_by, host);
    }
}

fn license_missing(package: &HostPackage, file: &TreePath) -> Finding {
    let said = format!(
        "comes from {} {}, which has no license text here",
        package.name, package.version
    );
    Finding::new(
        Code::LicenseMissing,
        &[("what", file.file_name()), ("said", said.as_str())],
    )
    .at(file.shown())
}

/// Adds a license text, if the tree does not have it.
fn add_license(layout: &mut Layout, text: LicenseFile, needed_by: Vec<TreePath>, host: &dyn Libraries) {
    let path = TreePath::new(&text.place).filter(|path| !layout.tree.contains(path));
    let (Some(path), Some(content)) = (path, host.read(&text.path)) else {
        return;
    };
    let bytes = Bytes(content.len() as u64);
    let entry = Entry::File(File {
        bytes,
        mode: Mode::FILE,
        content: Content::Data,
    });
    let added = Added {
        path,
        from: Origin::Host(text.path),
        soname: None,
        copy_of: None,
        needed_by,
        bytes,
        package: None,
    };
    layout.add(entry, added);
}

/// The libraries that are needed and missing, as far as there is a private copy or the tree or this machine has them.
fn missing(
    layout: &Layout,
    loaded: &LoadedTree<'_>,
    libraries: &dyn Libraries,
    privates: &PrivateCopies,
    tried: &mut BTreeSet<TreePath>,
) -> Vec<(Entry, Added)> {
    let (root, graph) = (loaded.root(), loaded.graph());
    let interpreters = linked_interpreters(loaded);
    let mut found = Vec::new();
    for missing in missing_libraries(root, graph) {
        // A second interpreter in the process is of no use to a module.
        if let Some(linked) = interpreters.get(&missing.soname)
            && missing.needed_by.iter().all(|path| linked.modules.contains(path))
        {
            continue;
        }
        for (path, needed_by) in places(root, graph, &missing) {
            if root.tree.contains(&path) || !tried.insert(path.clone()) {
                continue;
            }
            let private = privates.get(&missing.soname);
            let arrival = match &missing.cause {
                MissingCause::InTheWay(_) => None,
                _ if private.is_some() => private.map(copy),
                MissingCause::Nowhere | MissingCause::Unclear { .. } if is_c_library(&missing.soname) => None,
                // Whoever sets the search path will have set it to where the tree has the library.
                MissingCause::Unclear { places, .. } if !places.is_empty() => None,
                MissingCause::Elsewhere(places) => {
                    let search = Search::of(layout, graph, &missing.soname, &needed_by);
                    let has_versions = |place: &&TreePath| match root.resolve(&place.on_lambda()) {
                        Ok(place) => root.object(&place).is_some_and(|object| search.is_met_by(object)),
                        Err(_) => false,
                    };
                    let of_machine = || {
                        let library = libraries.choose(search.wanted(&missing.soname, root.runtime))?;
                        search.is_met_by(&library.object).then(|| file(library))
                    };
                    let own = places.iter().find(has_versions).map(|place| link(&path, place));
                    let any = || places.first().map(|place| link(&path, place));
                    own.or_else(of_machine).or_else(any)
                }
                MissingCause::Nowhere | MissingCause::Unclear { .. } => {
                    let search = Search::of(layout, graph, &missing.soname, &needed_by);
                    let wanted = search.wanted(&missing.soname, root.runtime);
                    libraries.choose(wanted).map(file)
                }
            };
            found.extend(arrival.map(|arrival| arrival.needed(path, missing.soname.clone(), needed_by)));
        }
    }
    found
}

/// Adds what libraries open by path and what is next to them on this machine. False if there is nothing to add.
fn add_companions(layout: &mut Layout, graph: &Graph, context: &Context<'_>, variables: &mut Vec<Variable>) -> bool {
    let mut is_changed = false;
    for (library, companion, data) in companions_on_host(layout, graph, context) {
        if !data.iter().any(|file| companion.is_marker(&file.place)) {
            continue;
        }
        let places: Vec<&str> = data.iter().map(|file| file.place.as_str()).collect();
        variables.extend(companion.variables.iter().filter_map(|(name, value)| {
            let there = value.split(':').filter_map(|below| companion.value(below, &places));
            let there: Vec<String> = there.filter_map(TreePath::new).map(|path| path.on_lambda()).collect();
            (!there.is_empty()).then(|| Variable {
                name,
                value: there.join(":"),
                library: library.clone(),
                what: &companion.name,
            })
        }));
        let is_new = |layout: &Layout, place: &str| TreePath::new(place).filter(|path| !layout.tree.contains(path));
        for file in data {
            let Some(path) = is_new(layout, &file.place) else {
                continue;
            };
            is_changed = true;
            if let Some(text) = companion.moved(&file.place, &file.path, |path| context.libraries.read(path)) {
                let mode = Mode::FILE;
                layout.add_generated(&GeneratedFile { path, mode, text }, vec![library.clone()]);
                continue;
            }
            let added = Added {
                path,
                from: Origin::Host(file.path),
                soname: None,
                copy_of: None,
                needed_by: vec![library.clone()],
                bytes: file.entry.unzipped(),
                package: None,
            };
            layout.add(file.entry, added);
        }
        for (place, text) in &companion.written {
            let Some(path) = is_new(layout, place) else { continue };
            let (mode, text) = (Mode::FILE, text.clone());
            layout.add_generated(&GeneratedFile { path, mode, text }, vec![library.clone()]);
        }
    }
    is_changed
}

/// The libraries that open files which are not there, each with what this machine has of these.
fn companions_on_host(
    layout: &Layout,
    graph: &Graph,
    context: &Context<'_>,
) -> Vec<(TreePath, &'static Companion, Vec<DataFile>)> {
    let root = Root {
        tree: &layout.tree,
        runtime: context.runtime,
    };
    let on_host = |missing: MissingCompanion<'_>| {
        let on_host = match layout.origins.get(missing.library) {
            Some(Origin::Host(path)) => path.clone(),
            _ => context.libraries.find(missing.soname, context.runtime.arch)?.path,
        };
        let places = missing.companion.places();
        let data = places.flat_map(|place| context.libraries.data(&on_host, place));
        Some((missing.library.clone(), missing.companion, data.collect()))
    };
    missing_companions(root, graph)
        .into_iter()
        .filter_map(on_host)
        .collect()
}

/// Where to put a missing library, with those who look there: `lib` if all do, else the first directory of the tree
/// that each of them searches.
fn places(root: Root<'_>, graph: &Graph, missing: &MissingLibrary) -> BTreeMap<TreePath, Vec<TreePath>> {
    let searched = |object: &TreePath| -> Vec<TreePath> {
        let needs = graph.needs.get(object).into_iter().flatten();
        let steps = needs
            .filter(|need| need.soname == missing.soname)
            .flat_map(|need| match &need.resolution {
                Resolution::Missing(steps) => steps.as_slice(),
                Resolution::Found(_) => &[],
            });
        steps.filter_map(|step| in_tree(root, &step.directory)).collect()
    };
    let usual = TreePath::new(ADDED_TO);
    let mut places: BTreeMap<TreePath, Vec<TreePath>> = BTreeMap::new();
    for object in &missing.needed_by {
        let searched = searched(object);
        let directory = searched
            .iter()
            .find(|directory| Some(*directory) == usual.as_ref())
            .or(searched.first())
            .or(usual.as_ref());
        if let Some(path) = directory.and_then(|directory| directory.join(&missing.soname)) {
            places.entry(path).or_default().push(object.clone());
        }
    }
    places
}

/// The directory of the tree that a path leads to, which need not be there yet; `None` if it leads out of the tree.
fn in_tree(root: Root<'_>, directory: &str) -> Option<TreePath> {
    let mut ends = directory.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
    let whole = std::iter::once(directory.len());
    whole.chain(std::iter::from_fn(|| ends.next_back())).find_map(|end| {
        let Some(Location::Tree(there)) = root.directory(&directory[..end]) else {
            return None;
        };
        match directory[end..].trim_start_matches('/') {
            "" => Some(there),
            below => there.join(below),
        }
    })
}

/// What comes in, and from where.
struct Arrival {
    entry: Entry,
    from: Origin,
    copy_of: Option<String>,
    bytes: Bytes,
}

impl Arrival {
    fn needed(self, path: TreePath, soname: String, needed_by: Vec<TreePath>) -> (Entry, Added) {
        let added = Added {
            path,
            from: self.from,
            soname: Some(soname),
            copy_of: self.copy_of,
            needed_by,
            bytes: self.bytes,
            package: None,
        };
        (self.entry, added)
    }
}

/// A relative link to another place of the tree.
fn link(path: &TreePath, place: &TreePath) -> Arrival {
    let up = path.names().count() - 1;
    let target = format!("{}{}", "../".repeat(up), place.as_str());
    Arrival {
        bytes: Bytes(target.len() as u64),
        entry: Entry::Symlink(target),
        from: Origin::Tree(place.clone()),
        copy_of: None,
    }
}

fn copy(private: &PrivateCopy) -> Arrival {
    Arrival {
        bytes: private.file.bytes,
        entry: Entry::File(private.file.clone()),
        from: private.from.clone(),
        copy_of: Some(private.of.clone()),
    }
}

fn file(library: HostLibrary) -> Arrival {
    Arrival {
        bytes: library.bytes,
        entry: Entry::File(File {
            bytes: library.bytes,
            mode: Mode::EXECUTABLE,
            content: Content::Object(Arc::new(library.object)),
        }),
        from: Origin::Host(library.path),
        copy_of: None,
    }
}

/// What those who need a library ask of it, and where they look for it on the machine that they come from.
struct Search {
    versions: BTreeSet<String>,
    directories: Vec<PathBuf>,
}

impl Search {
    fn of(layout: &Layout, graph: &Graph, soname: &str, needed_by: &[TreePath]) -> Self {
        let (mut versions, mut directories) = (BTreeSet::new(), Vec::new());
        for object in needed_by {
            let needs = layout.tree.object(object).map(|object| &object.version_needs);
            let asked = needs
                .into_iter()
                .flatten()
                .filter(|need| need.library == soname && !need.weak);
            versions.extend(asked.map(|need| need.version.clone()));
            let origin = layout.added.iter().find(|added| added.path == *object);
            let home = origin.and_then(|added| match &added.from {
                Origin::Host(path) => path.parent(),
                _ => None,
            });
            let needs = graph.needs.get(object).into_iter().flatten();
            for need in needs.filter(|need| need.soname == soname) {
                let Resolution::Missing(steps) = &need.resolution else {
                    continue;
                };
                let on_host = steps.iter().filter_map(|step| on_host(object, home, &step.directory));
                directories.extend(on_host);
            }
        }
        Self { versions, directories }
    }

    /// Whether a library defines the versions that are asked for.
    fn is_met_by(&self, library: &Object) -> bool {
        let defined = library.versions.as_deref().unwrap_or_default();
        self.versions.iter().all(|version| defined.contains(version))
    }

    fn wanted<'a>(&'a self, soname: &'a str, runtime: &Runtime) -> LibraryQuery<'a> {
        LibraryQuery {
            soname,
            arch: runtime.arch,
            versions: &self.versions,
            directories: &self.directories,
        }
    }
}

/// The directory of this machine that a directory of the search stands for: next to the library's own place there what is
/// next to it in the tree, and any that is outside of the tree.
fn on_host(object: &TreePath, home: Option<&Path>, directory: &str) -> Option<PathBuf> {
    if TreePath::text_from_lambda(directory).is_none() {
        return directory.starts_with('/').then(|| PathBuf::from(directory));
    }
    let below = directory.strip_prefix(&object.parent()?.on_lambda())?;
    if !below.is_empty() && !below.starts_with('/') {
        return None;
    }
    Some(home?.join(below.trim_start_matches('/')))
}

/// What is next to an imported library on this machine, and what it opens by its name without finding it in the layers.
fn opened(
    layout: &Layout,
    loaded: &LoadedTree<'_>,
    libraries: &dyn Libraries,
    tried: &mut BTreeSet<TreePath>,
) -> Vec<(Entry, Added)> {
    let (arch, finder) = (loaded.root().runtime.arch, Finder::new(loaded.root()));
    let mut found = Vec::new();
    for added in &layout.added {
        let (Origin::Host(host), Some(_)) = (&added.from, &added.soname) else {
            continue;
        };
        for (name, library) in libraries.opened_by(host, arch) {
            let path = added.path.parent().and_then(|directory| directory.join(&name));
            let Some(path) = path.filter(|path| !layout.tree.contains(path)) else {
                continue;
            };
            if finder.finds(&loaded.processes().alone(&added.path), &name) || !tried.insert(path.clone()) {
                continue;
            }
            found.push(file(library).needed(path, name, vec![added.path.clone()]));
        }
    }
    found
}

/// What code opens by its name and does not go on without; of several names the first that this machine has.
fn opened_by_name(root: Root<'_>, libraries: &dyn Libraries, tried: &mut BTreeSet<TreePath>) -> Vec<(Entry, Added)> {
    let mut found: BTreeMap<String, (HostLibrary, BTreeSet<TreePath>)> = BTreeMap::new();
    for missing in missing_opened(root).into_iter().filter(|missing| missing.is_required) {
        let on_host = missing.names.iter().find_map(|name| match name {
            LibraryName::File(name) if is_c_library(name) => None,
            LibraryName::File(name) => Some((name.clone(), libraries.find(name, root.runtime.arch)?)),
            LibraryName::Link(name) => libraries.linked(name, root.runtime.arch),
        });
        if let Some((name, library)) = on_host {
            let (_, needed_by) = found.entry(name).or_insert_with(|| (library, BTreeSet::new()));
            needed_by.insert(missing.by.clone());
        }
    }
    let place = |name: &str| TreePath::new(ADDED_TO)?.join(name);
    let arrivals = found.into_iter().filter_map(|(name, (library, needed_by))| {
        let path = place(&name).filter(|path| !root.tree.contains(path) && tried.insert(path.clone()))?;
        Some(file(library).needed(path, name, needed_by.into_iter().collect()))
    });
    arrivals.collect()
}
