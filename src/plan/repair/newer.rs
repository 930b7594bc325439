//! Libraries of which the runtime's copy is too old for objects of the tree: a newer one comes in next to it, under a name
//! that nothing of the runtime has, and the objects ask for that name.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::super::import::{Imported, PrivateCopies, PrivateCopy, import};
use super::super::layout::{Altered, Layout};
use super::super::{Context, Options, Origin, Reason, Symlinks};
use super::versions::{SYMBOL_VERSIONS, lower_versions};
use crate::elf::{Names, Patch, RenameError, rename_libraries};
use crate::finding::{Code, Finding};
use crate::host::LibraryQuery;
use crate::languages::inspector;
use crate::loader::{
    Bound, BoundProcesses, Grade, Graph, LoadedTree, Outdated, ProvidedUses, Resolution, free_name, outdated,
    version_problems,
};
use crate::root::{Location, Root};
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::{File, Mode, Tree, TreePath};

/// The name under which the manifest has what is changed.
pub(super) const NEWER_LIBRARIES: &str = "newer-libraries";

/// A newer copy may need a newer copy of another library, and so on: no chain is longer than this.
const LONGEST_CHAIN: usize = 16;

/// Why libraries that are too old are not replaced.
type Refused = BTreeMap<String, String>;

/// Brings in a newer copy of each library of the runtime that is too old for an object, under a private name. Where there is
/// none, or where a process would get two copies, everything stays as it is, for `check` to report; a finding says why.
pub(in super::super) fn bring_newer(
    imported: Imported,
    scanned: &LoadedTree<'_>,
    context: &Context<'_>,
    options: &Options,
) -> Imported {
    if !options.fixes.has(NEWER_LIBRARIES) {
        return imported;
    }
    let _phase = phase("newer libraries");
    let mut refused = Refused::new();
    loop {
        let known = refused.len();
        let mut attempt = Attempt {
            scanned,
            context,
            options,
            refused: &mut refused,
            bound: Refused::new(),
            names: BTreeMap::new(),
            moved: BTreeSet::new(),
        };
        let done = attempt.make(imported.clone());
        let mut reasons = attempt.bound;
        // What was refused on the way may have been the ground for something else: once more without it.
        if refused.len() > known {
            continue;
        }
        let mut done = done.unwrap_or(imported);
        reasons.extend(refused);
        done.layout.findings.extend(reasons.iter().map(|(soname, reason)| {
            let runtime = &context.runtime.name;
            let words = [("soname", soname.as_str()), ("runtime", runtime), ("reason", reason)];
            Finding::new(Code::LibraryTooOld, &words)
        }));
        return done;
    }
}

/// One pass over everything that is too old.
struct Attempt<'a> {
    /// The tree as it was scanned: what was removed of it because the runtime's copy comes first may be what is needed.
    scanned: &'a LoadedTree<'a>,
    context: &'a Context<'a>,
    options: &'a Options,
    refused: &'a mut Refused,
    /// Why libraries have to stay in some processes.
    bound: Refused,
    /// The private name of each library that is replaced.
    names: BTreeMap<String, String>,
    /// The objects that ask for private names.
    moved: BTreeSet<TreePath>,
}

/// A newer copy of a library.
struct Newer {
    origin: Origin,
    bytes: Vec<u8>,
}

/// For each object the libraries that it is to ask for by their private names.
type Moved = BTreeMap<TreePath, BTreeSet<String>>;

impl<'a> Attempt<'a> {
    fn root<'t>(&self, tree: &'t Tree) -> Root<'t>
    where
        'a: 't,
    {
        Root {
            tree,
            runtime: self.context.runtime,
        }
    }

    /// The layout with all newer copies; `None` if something had to be refused.
    fn make(&mut self, mut imported: Imported) -> Option<Imported> {
        for _ in 0..LONGEST_CHAIN {
            let root = self.root(&imported.layout.tree);
            let loaded = self.scanned.of_changed(root);
            let mut lacking = outdated(&loaded, &imported.graph);
            lacking.retain(|soname, _| !self.refused.contains_key(soname));
            let moved = self.decide(&mut lacking, &ProvidedUses::of(root, loaded.followed()))?;
            if moved.is_empty() {
                break;
            }
            let newer = self.choose(&lacking, &moved, &imported.layout)?;
            imported = self.carry_out(imported, &lacking, &moved, newer)?;
        }
        (self.names.is_empty() || self.refuse_broken(&imported)).then_some(imported)
    }

    /// Which objects are to ask for which private names, those of libraries that were replaced before among them. A library of
    /// the runtime that needs one of them is replaced, too, if the tree has it.
    fn decide(&mut self, lacking: &mut BTreeMap<String, Outdated>, uses: &ProvidedUses<'_>) -> Option<Moved> {
        loop {
            let libraries: BTreeSet<String> = lacking.keys().chain(self.names.keys()).cloned().collect();
            let failing = lacking.values().flat_map(|library| &library.failing);
            let failing = failing.chain(&self.moved).cloned().collect();
            let moves = uses.moves(&libraries, &failing, &self.moved);
            let in_tree = moves
                .bound
                .iter()
                .find_map(|bound| self.binding_in_tree(bound, lacking));
            if let Some(binding) = in_tree {
                lacking.insert(binding, Outdated::default());
                continue;
            }
            for BoundProcesses { soname, bound, objects } in moves.bound {
                if objects.is_disjoint(&self.moved) {
                    self.bound.insert(soname, bound.to_string());
                } else {
                    self.refused.insert(soname, bound.to_string());
                    return None;
                }
            }
            return Some(moves.objects);
        }
    }

    /// The library of the runtime because of which another one has to stay, if the tree has it as well.
    fn binding_in_tree(&self, bound: &BoundProcesses, lacking: &BTreeMap<String, Outdated>) -> Option<String> {
        let Bound::Needed { by, .. } = &bound.bound else {
            return None;
        };
        let name = by.rsplit('/').next()?;
        let is_known = lacking.contains_key(name) || self.names.contains_key(name) || self.refused.contains_key(name);
        let arch = self.context.runtime.arch;
        let in_tree = Outdated::default().newer_in(self.scanned.root().tree, arch, name, &BTreeSet::new());
        (!is_known && in_tree.is_some()).then(|| name.to_owned())
    }

    /// A newer copy of each library that is lacking: of the tree, else of this machine.
    fn choose(
        &mut self,
        lacking: &BTreeMap<String, Outdated>,
        moved: &Moved,
        layout: &Layout,
    ) -> Option<BTreeMap<String, Newer>> {
        let mut chosen = BTreeMap::new();
        for (soname, outdated) in lacking.iter().filter(|(soname, _)| !self.names.contains_key(*soname)) {
            let users: Vec<_> = moved
                .iter()
                .filter(|(_, libraries)| libraries.contains(soname))
                .collect();
            if users.is_empty() {
                continue;
            }
            let needs = users
                .into_iter()
                .filter_map(|(path, _)| Some(&layout.tree.object(path)?.version_needs))
                .flatten();
            let asked = needs.filter(|need| need.library == *soname && !need.weak);
            let asked: BTreeSet<String> = asked.map(|need| need.version.clone()).collect();
            if let Some(newer) = self.newer(soname, outdated, &asked) {
                chosen.insert(soname.clone(), newer);
            } else {
                let what = outdated.shown();
                let reason = format!("neither the tree nor this machine has a {soname} with {what}");
                self.refused.insert(soname.clone(), reason);
            }
        }
        let is_refused = lacking.keys().any(|soname| self.refused.contains_key(soname));
        (!is_refused).then_some(chosen)
    }

    fn newer(&self, soname: &str, outdated: &Outdated, asked: &BTreeSet<String>) -> Option<Newer> {
        let (context, arch) = (self.context, self.context.runtime.arch);
        if let Some((path, _)) = outdated.newer_in(self.scanned.root().tree, arch, soname, asked) {
            let mut bytes = Vec::new();
            (context.contents)(path, &mut bytes)?;
            let origin = Origin::Tree(path.clone());
            return Some(Newer { origin, bytes });
        }
        let versions = asked.union(&outdated.versions).cloned().collect();
        let library = context.libraries.choose(LibraryQuery {
            soname,
            arch,
            versions: &versions,
            directories: &[],
        });
        let library = library.filter(|library| outdated.is_met_by(&library.object, asked))?;
        Some(Newer {
            bytes: context.libraries.read(&library.path)?,
            origin: Origin::Host(library.path),
        })
    }

    /// Lets the objects ask for private names, and brings in what bears these.
    fn carry_out(
        &mut self,
        mut imported: Imported,
        lacking: &BTreeMap<String, Outdated>,
        moved: &Moved,
        newer: BTreeMap<String, Newer>,
    ) -> Option<Imported> {
        for soname in newer.keys() {
            let name = free_name(self.root(&imported.layout.tree), soname)
                .filter(|name| free_name(self.scanned.root(), soname) == Some(name));
            let Some(name) = name else {
                self.refused
                    .insert(soname.clone(), "every private name for it is taken".to_owned());
                return None;
            };
            self.names.insert(soname.clone(), name.to_owned());
        }
        let mut privates = PrivateCopies::new();
        for (soname, newer) in newer {
            let renamed = self.under_private_name(&soname, newer, &imported);
            match renamed {
                Ok(Private::InPlace(altered)) => imported.layout.alter(altered, NEWER_LIBRARIES),
                Ok(Private::Copy(copy)) => {
                    privates.insert(self.names.get(&soname)?.clone(), copy);
                }
                Err(error) => {
                    self.refused.insert(soname, error.to_string());
                    return None;
                }
            }
        }
        let rename = |(path, libraries): (&TreePath, &BTreeSet<String>)| {
            let altered = self.asking(path, libraries, lacking, &imported.layout);
            altered.map_err(|error| (libraries.clone(), format!("{path} cannot ask for another: {error}")))
        };
        let altered: Result<Vec<Altered>, _> = moved.par_iter().map(rename).collect();
        match altered {
            Ok(altered) => {
                for altered in altered {
                    self.moved.insert(altered.path.clone());
                    imported.layout.alter(altered, NEWER_LIBRARIES);
                }
            }
            Err((libraries, reason)) => {
                let refused = libraries.into_iter().map(|soname| (soname, reason.clone()));
                self.refused.extend(refused);
                return None;
            }
        }
        let mut next = import(
            &imported.layout,
            self.scanned,
            self.context,
            &self.options.fixes,
            &privates,
        );
        next.variables.splice(0..0, imported.variables);
        self.tell_copies(&mut next.layout);
        Some(next)
    }

    /// Notes of which library a link to a file of the tree is a newer copy, where that file bears the private name itself.
    fn tell_copies(&self, layout: &mut Layout) {
        for added in &mut layout.added {
            let of = self.names.iter().find(|(_, name)| added.soname.as_ref() == Some(name));
            added.copy_of = added.copy_of.take().or_else(|| Some(of?.0.clone()));
        }
    }

    /// A newer copy with its private name: the file of the tree itself, if nothing loads it under the name that it has, else
    /// a file of its own.
    fn under_private_name(&self, soname: &str, newer: Newer, imported: &Imported) -> Result<Private, RenameError> {
        let Newer { origin, bytes } = newer;
        let own = self.names.get(soname).map(String::as_str);
        let names = Names {
            asked: &BTreeMap::new(),
            own,
        };
        let renamed = match rename_libraries(&bytes, names) {
            // One without a name of its own has that of its file.
            Err(RenameError::Nothing) => bytes.clone(),
            renamed => renamed?,
        };
        let name = own.unwrap_or(soname);
        let content = inspector().inspect(name, &renamed);
        let patches = Patch::between(&bytes, &renamed);
        match &origin {
            Origin::Tree(path)
                if self.options.symlinks == Symlinks::Keep
                    && !imported.layout.origins.contains_key(path)
                    && imported.graph.shadowed.iter().any(|shadowed| shadowed.path == *path)
                    && !patches.is_empty() =>
            {
                let reason = Reason {
                    what: format!("is called {name} instead of {soname}"),
                    why: format!("the {soname} of {} is found first", self.context.runtime.name),
                };
                Ok(Private::InPlace(Altered {
                    path: path.clone(),
                    content,
                    patches,
                    reason,
                }))
            }
            _ => Ok(Private::Copy(PrivateCopy {
                of: soname.to_owned(),
                file: File {
                    bytes: Bytes(renamed.len() as u64),
                    mode: Mode::EXECUTABLE,
                    content,
                },
                from: origin,
                patches,
            })),
        }
    }

    /// An object that asks for libraries by their private names.
    fn asking(
        &self,
        path: &TreePath,
        libraries: &BTreeSet<String>,
        lacking: &BTreeMap<String, Outdated>,
        layout: &Layout,
    ) -> Result<Altered, String> {
        let before = layout.content(path, self.context);
        let before = before.ok_or_else(|| "it cannot be read".to_owned())?;
        let asked = self.names.iter().filter(|(soname, _)| libraries.contains(*soname));
        let asked = asked.map(|(soname, name)| (soname.clone(), name.clone())).collect();
        let names = Names {
            asked: &asked,
            own: None,
        };
        let bytes = rename_libraries(&before, names).map_err(|error| error.to_string())?;
        let listed = |texts: Vec<&str>| texts.join(", ");
        let reason = Reason {
            what: format!(
                "asks for {} instead of {}",
                listed(asked.values().map(String::as_str).collect()),
                listed(asked.keys().map(String::as_str).collect())
            ),
            why: self.why(libraries, lacking),
        };
        Ok(Altered {
            path: path.clone(),
            content: inspector().inspect(path.file_name(), &bytes),
            patches: Patch::between(&before, &bytes),
            reason,
        })
    }

    fn why(&self, libraries: &BTreeSet<String>, lacking: &BTreeMap<String, Outdated>) -> String {
        let runtime = &self.context.runtime.name;
        let why = libraries.iter().map(|soname| match lacking.get(soname) {
            Some(outdated) if !outdated.failing.is_empty() => {
                format!("{soname} of {runtime} has no {}", outdated.shown())
            }
            Some(_) => format!("{soname} of {runtime} needs {runtime}'s own copy of another that is replaced"),
            None => format!("no process may have two copies of {soname}"),
        });
        why.collect::<Vec<_>>().join("; ")
    }

    /// Refuses newer copies that the loader would refuse, whatever else is repaired. True if there are none.
    fn refuse_broken(&mut self, imported: &Imported) -> bool {
        let mut layout = imported.layout.clone();
        if self.options.fixes.has(SYMBOL_VERSIONS) {
            lower_versions(&mut layout, &imported.graph, self.context);
        }
        let root = self.root(&layout.tree);
        let graph = self.scanned.of_changed(root).into_graph();
        let mut broken: BTreeMap<TreePath, String> = BTreeMap::new();
        for (soname, needed_by) in graph.missing() {
            let reason = |path: &&TreePath| ((*path).clone(), format!("{path} needs {soname}, which is nowhere"));
            broken.extend(needed_by.iter().map(reason));
        }
        for problem in version_problems(root, &graph) {
            if problem.grade == Grade::Fatal {
                let (path, version, library) = (&problem.object, &problem.version, &problem.library);
                let reason = format!(
                    "{path} asks for {version} of {library}, which {} does not have",
                    problem.found
                );
                broken.insert(path.clone(), reason);
            }
        }
        let refused = self.names.iter().filter_map(|(soname, name)| {
            let copies = with_needs(&graph, name);
            let reason = copies.iter().find_map(|path| broken.get(path))?;
            Some((soname.clone(), format!("the newer copy does not work there: {reason}")))
        });
        let refused: Refused = refused.collect();
        let is_whole = refused.is_empty();
        self.refused.extend(refused);
        is_whole
    }
}

/// A newer copy with its private name.
enum Private {
    /// The file of the tree, which bears that name itself.
    InPlace(Altered),
    /// A file of its own.
    Copy(PrivateCopy),
}

/// What is loaded for a name, and all that this needs of the tree.
fn with_needs(graph: &Graph, name: &str) -> BTreeSet<TreePath> {
    let in_tree = |resolution: &Resolution| match resolution {
        Resolution::Found(found) => match &found.place {
            Location::Tree(path) => Some(path.clone()),
            Location::Runtime(_) => None,
        },
        Resolution::Missing(_) => None,
    };
    let all = graph.needs.values().flatten();
    let mut pending: Vec<TreePath> = all
        .filter(|need| need.soname == name)
        .filter_map(|need| in_tree(&need.resolution))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(path) = pending.pop() {
        let needs = graph.needs.get(&path).into_iter().flatten();
        let needed: Vec<TreePath> = needs.filter_map(|need| in_tree(&need.resolution)).collect();
        if seen.insert(path) {
            pending.extend(needed);
        }
    }
    seen
}
