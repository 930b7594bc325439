//! Files with the same content: one of them stays, and the others become links to it.
//!
//! A link must not be noticed by anything but the size of the layers, so few files qualify:
//!
//! * Both lie in one folder, so that whoever follows the link to find itself (`readlink -f "$0"`, `/proc/self/exe`,
//!   `realpath(__file__)`, `$ORIGIN`, which glibc takes from the path by which a library was found) ends in the same folder,
//!   and both are in one group, so that they share a layer.
//! * Scripts and the source code of languages stay: some look at their own real name, Node loads two names of one file as
//!   one module (Node.js documentation, "Modules: CommonJS modules", Caching), and shells dispatch on `$0`.
//! * Of ELF files, only programs and libraries with a `DT_SONAME` qualify. To the loader two names of one file are one
//!   object (ld.so compares device and inode); a plugin without a soname may be two modules that are opened one by one.
//!   Programs that ask by which name they were called look at `argv[0]`, which a link does not change.
//! * Modes are equal, and the content is longer than [`SHORTEST`]: a link costs as much as a file but for its content.
//!
//! Hard links are files with the same content. What the loader finds is the same before and after, or all objects stay.

use std::collections::{BTreeMap, BTreeSet};

use super::{Changed, Context, Layout, Options, Symlinks};
use crate::elf::Kind;
use crate::languages::components::Components;
use crate::loader::{Graph, graph};
use crate::root::Root;
use crate::size::Bytes;
use crate::tree::{Content, Entry, File, Tree, TreePath};
use crate::uses::differences;

/// Shorter contents stay: deflated, they are hardly longer than a link's target.
const SHORTEST: Bytes = Bytes(256);

/// Code that may find itself by its real name, by its extension.
const CODE: [&str; 15] = [
    "cjs", "js", "json", "jsx", "mjs", "node", "php", "pl", "pm", "py", "pyc", "rb", "sh", "ts", "wasm",
];

/// Whether a file of the tree may become a link, or be what a link leads to.
fn may_be_shared(path: &TreePath, file: &File) -> bool {
    let kind = match &file.content {
        Content::Object(object) => object.kind == Kind::Executable || object.soname.is_some(),
        Content::Data => !path
            .file_name()
            .rsplit_once('.')
            .is_some_and(|(_, extension)| CODE.contains(&extension)),
        // Scripts, and what is looked at as more than data.
        _ => false,
    };
    kind && file.bytes >= SHORTEST
}

/// The layout with files replaced by links, and what the loader then does; `None` if nothing changes.
pub(super) fn dedupe(
    layout: &Layout,
    before: &Graph,
    context: &Context<'_>,
    options: &Options,
) -> Option<(Layout, Graph)> {
    if !options.dedupe || options.symlinks == Symlinks::Follow {
        return None;
    }
    let may_be_shared = |path: &TreePath, file: &File| {
        may_be_shared(path, file) && !layout.origins.contains_key(path) && !layout.patches.contains_key(path)
    };
    let copies = (context.copies)(&layout.tree, &may_be_shared);
    let mut links = links(&layout.tree, &Components::of(&layout.tree), &copies);
    if links.is_empty() {
        return None;
    }
    let graph_of = |tree: &Tree| {
        graph(Root {
            tree,
            runtime: context.runtime,
        })
    };
    let mut tree = linked(&layout.tree, &links);
    let mut after = graph_of(&tree);
    if !differences(before, &after, &links).is_empty() {
        let objects: BTreeSet<&TreePath> = layout.tree.objects().map(|(path, _)| path).collect();
        links.retain(|path, _| !objects.contains(path));
        tree = linked(&layout.tree, &links);
        after = graph_of(&tree);
    }
    let mut shared = Layout { tree, ..layout.clone() };
    shared.changed.extend(links.iter().map(|(path, target)| Changed {
        path: path.clone(),
        by: "dedupe",
        before: layout.tree.file(path).map_or(Bytes(0), |file| file.bytes),
        after: Bytes(target.file_name().len() as u64),
        reason: None,
    }));
    shared.changed.sort_by(|a, b| a.path.cmp(&b.path));
    Some((shared, after))
}

/// The files that become links, each with the file that it leads to. `copies` are groups of files with the same content.
fn links(tree: &Tree, components: &Components, copies: &[Vec<TreePath>]) -> BTreeMap<TreePath, TreePath> {
    let mut links = BTreeMap::new();
    for paths in copies {
        let mut sets: BTreeMap<(Option<TreePath>, String, u32), Vec<&TreePath>> = BTreeMap::new();
        for path in paths {
            if let Some(file) = tree.file(path) {
                let mode = file.mode.in_layer().bits();
                let set = (path.parent(), components.group(path), mode);
                sets.entry(set).or_default().push(path);
            }
        }
        for mut set in sets.into_values() {
            // Of a library's names the longest is the file's own, libz.so.1.2.13; of others the shortest is.
            let longest = set
                .first()
                .is_some_and(|path| tree.object(path).is_some_and(|object| object.soname.is_some()));
            let length = |path: &TreePath| path.as_str().len();
            let rank = |path: &TreePath| {
                if longest {
                    usize::MAX - length(path)
                } else {
                    length(path)
                }
            };
            set.sort_by_key(|path| (rank(path), path.as_str()));
            if let Some((first, others)) = set.split_first() {
                links.extend(others.iter().map(|path| ((*path).clone(), (*first).clone())));
            }
        }
    }
    links
}

fn linked(kept: &Tree, links: &BTreeMap<TreePath, TreePath>) -> Tree {
    let mut tree = kept.clone();
    for (path, target) in links {
        tree.insert(path.clone(), Entry::Symlink(target.file_name().to_owned()));
    }
    tree
}
