//! Files with the same content: one of them stays, and the others become links to it.
//!
//! A link must not be noticed by anything but the size of the layers. What may be told depends on where the two are:
//!
//! * In one directory, whoever follows the link to find itself (`readlink -f "$0"`, `/proc/self/exe`, `realpath(__file__)`) ends in
//!   the same directory.
//! * In two directories, it ends in another one, so that programs and libraries stay that may look at their own path: the kernel
//!   resolves links in `/proc/self/exe`, from which glibc also takes `$ORIGIN` of a program.
//! * Scripts and the source code of languages stay: some look at their own real name, Node loads two names of one file as
//!   one module (Node.js documentation, "Modules: CommonJS modules", Caching), and shells dispatch on `$0`.
//! * Of ELF files, only programs and libraries with a `DT_SONAME` qualify. To the loader two names of one file are one
//!   object (ld.so compares device and inode); a plugin without a soname may be two modules that are opened one by one, and so
//!   may a library in another directory that nothing needs by its name. Programs that ask by which name they were called look at
//!   `argv[0]`, which a link does not change.
//! * Modes are equal, and the content is longer than [`SHORTEST`]: a link costs as much as a file but for its content.
//!
//! * A link and its file are in the same layer, where layers have names: a function may have one without the other.
//!
//! Hard links are files with the same content. What the loader finds is the same before and after, or the objects stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use globset::GlobSet;

use super::layout::Layout;
use super::{Changed, Context, Options, Symlinks};
use crate::elf::Kind;
use crate::languages::{self, code_files};
use crate::loader::{Graph, LoadedTree, Resolution};
use crate::root::{Location, Root};
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::{Content, Entry, File, Tree, TreePath};
use crate::uses::differences;

/// Shorter contents stay: deflated, they are hardly longer than a link's target.
const SHORTEST: Bytes = Bytes(256);
/// From this length on it is told why contents are there more than once.
const WORTH_TELLING: Bytes = Bytes(16 << 10);

/// What is in programs and libraries that may look at their own path: what the loader puts a path in place of (ld.so(8)), the
/// link to a process's program (proc(5)), and functions that resolve links (realpath(3), readlink(2)), with the names that
/// glibc gives them where it checks lengths.
const OWN_PATH: [&str; 9] = [
    "$ORIGIN",
    "${ORIGIN}",
    "/proc/self/exe",
    "\0realpath\0",
    "\0__realpath_chk\0",
    "\0canonicalize_file_name\0",
    "\0readlink\0",
    "\0readlinkat\0",
    "\0__readlink_chk\0",
];

/// Files with the same content that are not links to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlinked {
    /// The files, sorted by path.
    pub paths: Vec<TreePath>,
    /// The length of each.
    pub bytes: Bytes,
    /// Why they stay.
    pub reason: &'static str,
}

/// What has become of files with the same content.
pub(super) struct Deduped {
    /// The layout with links, and what the loader then does; `None` if nothing changes.
    pub(super) changed: Option<(Layout, Graph)>,
    /// What is longer than some and stays, sorted by path.
    pub(super) unlinked: Vec<Unlinked>,
}

/// Where the links to a file may be; otherwise why nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    /// In its own directory, with the reason why not in others.
    Directory(&'static str),
    Nowhere(&'static str),
}

const IS_CODE: &str = "code may look at its own path";
const IS_PACKAGE: &str = "a package stays whole where it is copied";
const IS_PLUGIN: &str = "a library may be loaded once for each path by which it is opened";
const IS_OTHER_OBJECT: &str = "it cannot be read as a program or library of Linux";
const LOOKS_AT_PATH: &str = "a program or library may look for what is next to it";
const IS_CHANGED: &str = "it comes from elsewhere or is repaired";
const IN_OTHER_LAYER: &str = "they are in layers that a function may have one without the other";
const HAS_MODE: &str = "its permissions differ";
const OTHER_LIBRARIES: &str = "the loader would find other libraries";

/// Makes links of files with the same content where nothing can tell.
/// `scanned` is the tree before anything was decided.
pub(super) fn dedupe(
    layout: &Layout,
    before: &Graph,
    scanned: &LoadedTree<'_>,
    context: &Context<'_>,
    options: &Options,
) -> Deduped {
    let _phase = phase("dedupe");
    if !options.dedupe || options.symlinks == Symlinks::Follow {
        return Deduped {
            changed: None,
            unlinked: Vec::new(),
        };
    }
    let judge = Judge::new(layout, before, context);
    let wanted = |path: &TreePath, file: &File| {
        file.bytes >= WORTH_TELLING || file.bytes >= SHORTEST && !matches!(judge.by_kind(path, file), Reach::Nowhere(_))
    };
    let copies = (context.copies)(&layout.tree, &wanted);
    let groups: Vec<Group> = copies
        .iter()
        .map(|paths| Group::of(paths, &judge, &options.layers))
        .collect();
    let mut links: BTreeMap<TreePath, TreePath> = groups.iter().flat_map(|group| group.links.clone()).collect();
    let graph_of = |tree: &Tree| {
        let root = Root {
            tree,
            runtime: context.runtime,
        };
        scanned.of_changed(root).into_graph()
    };
    let objects: BTreeSet<&TreePath> = layout.tree.objects().map(|(path, _)| path).collect();
    let mut refused = BTreeSet::new();
    let mut tree = linked(&layout.tree, &links);
    let mut after = graph_of(&tree);
    // First those that lead to another directory, then all.
    for only_far in [true, false] {
        if differences(before, &after, &links).is_empty() {
            break;
        }
        links.retain(|path, target| {
            let goes = objects.contains(path) && (!only_far || path.parent() != target.parent());
            if goes {
                refused.insert(path.clone());
            }
            !goes
        });
        tree = linked(&layout.tree, &links);
        after = graph_of(&tree);
    }
    let unlinked = groups
        .into_iter()
        .filter_map(|group| group.unlinked(&layout.tree, &links, &refused))
        .collect();
    let changed = (!links.is_empty()).then(|| (with_links(layout, tree, &links), after));
    Deduped { changed, unlinked }
}

/// The layout with files replaced by links in its tree.
fn with_links(layout: &Layout, tree: Tree, links: &BTreeMap<TreePath, TreePath>) -> Layout {
    let mut shared = Layout { tree, ..layout.clone() };
    shared.changed.extend(links.iter().map(|(path, target)| Changed {
        path: path.clone(),
        by: "dedupe",
        before: layout.tree.file(path).map_or(Bytes(0), |file| file.bytes),
        after: Bytes(link_text(path, target).len() as u64),
        reason: None,
    }));
    shared.changed.sort_by(|a, b| a.path.cmp(&b.path));
    shared
}

fn link_text(path: &TreePath, target: &TreePath) -> String {
    target.relative_to(&path.parent().unwrap_or_else(TreePath::root))
}

fn linked(kept: &Tree, links: &BTreeMap<TreePath, TreePath>) -> Tree {
    let mut tree = kept.clone();
    for (path, target) in links {
        tree.insert(path.clone(), Entry::Symlink(link_text(path, target)));
    }
    tree
}

/// Says of files how far away links to them may be.
struct Judge<'a> {
    layout: &'a Layout,
    graph: &'a Graph,
    context: &'a Context<'a>,
    /// Directories of packages that may be copied by themselves.
    packages: BTreeSet<TreePath>,
    /// The libraries that the loader finds by a name that an object needs.
    needed: BTreeSet<&'a TreePath>,
}

impl<'a> Judge<'a> {
    fn new(layout: &'a Layout, graph: &'a Graph, context: &'a Context<'a>) -> Self {
        let needs = graph.needs.values().flatten();
        let needed = needs.filter_map(|need| match &need.resolution {
            Resolution::Found(found) => match &found.place {
                Location::Tree(path) => Some(path),
                Location::Runtime(_) => None,
            },
            Resolution::Missing(_) => None,
        });
        Self {
            layout,
            graph,
            context,
            packages: languages::whole_packages(&layout.tree),
            needed: needed.collect(),
        }
    }

    /// As far as can be told without the content.
    fn by_kind(&self, path: &TreePath, file: &File) -> Reach {
        if self.layout.origins.contains_key(path) || self.layout.patches.contains_key(path) {
            return Reach::Nowhere(IS_CHANGED);
        }
        match &file.content {
            Content::Object(object) if object.kind == Kind::Executable => Reach::Anywhere,
            Content::Object(object) if object.soname.is_none() => Reach::Nowhere(IS_PLUGIN),
            Content::Object(_) if self.needed.contains(path) => Reach::Anywhere,
            Content::Object(_) => Reach::Directory(IS_PLUGIN),
            Content::Data if code_files::is_module(path) => Reach::Nowhere(IS_CODE),
            // It is run as something, or nobody knows why it may be.
            Content::Data if file.mode.is_executable() => Reach::Directory(IS_CODE),
            Content::Data if path.splits().any(|(directory, _)| self.packages.contains(directory)) => {
                Reach::Directory(IS_PACKAGE)
            }
            Content::Data => Reach::Anywhere,
            Content::BrokenObject(_) | Content::Foreign(_) => Reach::Nowhere(IS_OTHER_OBJECT),
            // Scripts, and what is looked at as more than data.
            _ => Reach::Nowhere(IS_CODE),
        }
    }

    /// As [`Judge::by_kind`], and by the content of objects and of the libraries that they load.
    fn reach(&self, path: &TreePath, file: &File) -> Reach {
        match self.by_kind(path, file) {
            Reach::Anywhere if file.content.object().is_some() && self.looks_at_own_path(path) => {
                Reach::Directory(LOOKS_AT_PATH)
            }
            reach => reach,
        }
    }

    /// Whether an object, or a library of the tree that it loads, may look at its own path. What cannot be read may.
    fn looks_at_own_path(&self, object: &TreePath) -> bool {
        static NEEDLES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(OWN_PATH).ok());
        let mut seen = BTreeSet::from([object]);
        let mut pending = vec![object];
        while let Some(path) = pending.pop() {
            let content = self.layout.content(path, self.context);
            let is_plain = content
                .zip(NEEDLES.as_ref())
                .is_some_and(|(content, needles)| !needles.is_match(&content));
            if !is_plain {
                return true;
            }
            for need in self.graph.needs.get(path).into_iter().flatten() {
                if let Resolution::Found(found) = &need.resolution
                    && let Location::Tree(library) = &found.place
                    && seen.insert(library)
                {
                    pending.push(library);
                }
            }
        }
        false
    }
}

/// Files with the same content.
struct Group {
    paths: Vec<TreePath>,
    /// Those that become links, each with the file that it leads to.
    links: BTreeMap<TreePath, TreePath>,
    /// Why those stay that do not.
    reasons: BTreeMap<TreePath, &'static str>,
}

impl Group {
    fn of(paths: &[TreePath], judge: &Judge<'_>, layers: &[GlobSet]) -> Self {
        let mut group = Self {
            paths: paths.to_vec(),
            links: BTreeMap::new(),
            reasons: BTreeMap::new(),
        };
        let tree = &judge.layout.tree;
        // By permissions, by layer and, unless the links may be anywhere, by directory.
        let mut sets: BTreeMap<(u32, Option<usize>, Option<TreePath>), Vec<_>> = BTreeMap::new();
        let (mut modes, mut used_layers) = (BTreeSet::new(), BTreeSet::new());
        for path in paths {
            let Some(file) = tree.file(path) else { continue };
            let reach = if file.bytes < SHORTEST {
                Reach::Nowhere(IS_CODE)
            } else {
                judge.reach(path, file)
            };
            let directory = match reach {
                Reach::Anywhere => None,
                Reach::Directory(reason) => {
                    group.reasons.insert(path.clone(), reason);
                    Some(path.parent().unwrap_or_else(TreePath::root))
                }
                Reach::Nowhere(reason) => {
                    group.reasons.insert(path.clone(), reason);
                    continue;
                }
            };
            let mode = file.mode.in_layer().bits();
            modes.insert(mode);
            let layer = layers.iter().position(|globs| globs.is_match(path.as_str()));
            used_layers.insert(layer);
            sets.entry((mode, layer, directory)).or_default().push(path);
        }
        for mut set in sets.into_values() {
            // Of a library's names the longest is the file's own, libz.so.1.2.13; of others the shortest is.
            let longest = set
                .first()
                .is_some_and(|path| tree.object(path).is_some_and(|object| object.soname.is_some()));
            let rank = |path: &TreePath| {
                let length = path.file_name().len();
                let depth = path.names().count();
                (if longest { usize::MAX - length } else { length }, depth)
            };
            set.sort_by_key(|path| (rank(path), path.as_str()));
            if let Some((first, others)) = set.split_first() {
                let links = others.iter().map(|path| ((*path).clone(), (*first).clone()));
                group.links.extend(links);
            }
        }
        for (are_several, reason) in [(modes.len() > 1, HAS_MODE), (used_layers.len() > 1, IN_OTHER_LAYER)] {
            for path in paths.iter().filter(|_| are_several) {
                group.reasons.entry(path.clone()).or_insert(reason);
            }
        }
        group
    }

    /// What of it stays and is worth telling, with the reason of the first for which there is one.
    fn unlinked(
        self,
        tree: &Tree,
        links: &BTreeMap<TreePath, TreePath>,
        refused: &BTreeSet<TreePath>,
    ) -> Option<Unlinked> {
        let paths: Vec<TreePath> = self
            .paths
            .into_iter()
            .filter(|path| !links.contains_key(path))
            .collect();
        let bytes = paths.first().and_then(|path| tree.file(path))?.bytes;
        let is_worth_it = paths.len() > 1 && bytes >= WORTH_TELLING;
        let is_refused = paths.iter().any(|path| refused.contains(path));
        let reason = paths.iter().find_map(|path| self.reasons.get(path).copied());
        let reason = if is_refused { Some(OTHER_LIBRARIES) } else { reason };
        Some(Unlinked {
            reason: reason.filter(|_| is_worth_it)?,
            paths,
            bytes,
        })
    }
}
