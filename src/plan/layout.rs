//! What goes into the layers, while a plan is being made.

use std::collections::BTreeMap;

use super::links::follow_links;
use super::retain::Retention;
use super::{Added, Changed, Context, Origin, PlanError, Reason, Symlinks};
use crate::elf::Patch;
use crate::finding::Finding;
use crate::languages::inspector;
use crate::root::Root;
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::tree::{Content, Entry, File, GeneratedFile, Tree, TreePath};

/// The tree that is packed, with where it differs from the one that was scanned.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// What goes into the layers.
    pub(super) tree: Tree,
    /// What of it the scanned tree does not have, sorted by path.
    pub(super) added: Vec<Added>,
    /// What of it has another content than in the scanned tree, sorted by path.
    pub(super) changed: Vec<Changed>,
    /// Where a content comes from, if that is not the same path of the scanned tree.
    pub(super) origins: BTreeMap<TreePath, Origin>,
    /// What is left to do for what was added.
    pub(super) findings: Vec<Finding>,
    /// Environment variables that the function has to set, with their values.
    pub(super) variables: BTreeMap<String, String>,
    /// Which bytes of a content are written over.
    pub(super) patches: BTreeMap<TreePath, Vec<Patch>>,
}

/// An object of which a few bytes are to be written over.
pub(super) struct Altered {
    /// Its path.
    pub(super) path: TreePath,
    /// What it is then.
    pub(super) content: Content,
    /// The bytes.
    pub(super) patches: Vec<Patch>,
    /// What is done, and why.
    pub(super) reason: Reason,
}

impl Layout {
    /// What is left once the decision about matched paths is carried out.
    pub(super) fn of(
        tree: &Tree,
        retention: &Retention,
        runtime: &Runtime,
        symlinks: Symlinks,
    ) -> Result<Self, PlanError> {
        let tree = retention.kept(tree);
        let (tree, origins) = match symlinks {
            Symlinks::Keep => (tree, BTreeMap::new()),
            Symlinks::Follow => follow_links(Root { tree: &tree, runtime })?,
        };
        Ok(Self {
            tree,
            origins,
            ..Self::default()
        })
    }

    /// Adds a file where nothing is.
    pub(super) fn add(&mut self, entry: Entry, added: Added) {
        self.tree.insert(added.path.clone(), entry);
        self.origins.insert(added.path.clone(), added.from.clone());
        self.added.push(added);
        self.added.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Adds a file of this program where nothing is.
    pub(super) fn add_generated(&mut self, file: &GeneratedFile, needed_by: Vec<TreePath>) {
        let added = Added {
            path: file.path.clone(),
            from: Origin::Generated(file.text.as_bytes().into()),
            soname: None,
            copy_of: None,
            needed_by,
            bytes: Bytes(file.text.len() as u64),
            package: None,
        };
        self.add(file.entry(inspector()), added);
    }

    /// The content of a file as it is packed; `None` if it cannot be read.
    pub(super) fn content(&self, path: &TreePath, context: &Context<'_>) -> Option<Vec<u8>> {
        let of_tree = |path: &TreePath| {
            let mut bytes = Vec::new();
            (context.contents)(path, &mut bytes).map(|()| bytes)
        };
        let mut bytes = match self.origins.get(path) {
            None => of_tree(path)?,
            Some(Origin::Tree(other)) => of_tree(other)?,
            Some(Origin::Host(file)) => context.libraries.read(file)?,
            Some(Origin::Generated(generated)) => generated.to_vec(),
        };
        let mut patches = self.patches.get(path).into_iter().flatten();
        patches.all(|patch| patch.apply(&mut bytes)).then_some(bytes)
    }

    /// Writes over bytes of an object; `by` is what the manifest says of who changed it.
    pub(super) fn alter(&mut self, altered: Altered, by: &'static str) {
        let Altered {
            path,
            content,
            patches,
            reason,
        } = altered;
        let Some(file) = self.tree.file(&path) else { return };
        let (bytes, mode) = (file.bytes, file.mode);
        self.tree
            .insert(path.clone(), Entry::File(File { bytes, mode, content }));
        self.patches.entry(path.clone()).or_default().extend(patches);
        self.changed.push(Changed {
            path,
            by,
            before: bytes,
            after: bytes,
            reason: Some(reason),
        });
        self.changed.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Puts another text into a file that is kept; `by` is what the manifest says of who changed it.
    pub(super) fn change(&mut self, path: &TreePath, by: &'static str, text: &str) {
        let Some(file) = self.tree.file(path) else { return };
        let before = file.bytes;
        let generated = GeneratedFile {
            path: path.clone(),
            mode: file.mode,
            text: text.to_owned(),
        };
        self.tree.insert(path.clone(), generated.entry(inspector()));
        self.origins
            .insert(path.clone(), Origin::Generated(text.as_bytes().into()));
        self.changed.push(Changed {
            path: path.clone(),
            by,
            before,
            after: Bytes(text.len() as u64),
            reason: None,
        });
        self.changed.sort_by(|a, b| a.path.cmp(&b.path));
    }
}
