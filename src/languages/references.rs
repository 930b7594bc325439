//! What source code refers to in a tree, and which libraries it opens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::LANGUAGES;
use crate::source::{Literal, Opening, Place};
use crate::tree::content::CodeKind;
use crate::tree::{Content, File, TreePath};

/// Reads source code of one language in one tree.
pub trait SourceReader: Sync {
    /// Whether a file is such source code.
    fn is_source(&self, path: &TreePath, file: &File) -> bool;

    /// How source code would name a path: if it has nothing of the kind, it does not refer to it. `None` for what no code
    /// refers to.
    fn name_in_code<'p>(&self, path: &'p TreePath) -> Option<&'p str>;

    /// Whether code names the directory of a file when it means the file, which is what the directory is loaded by.
    fn stands_for_directory(&self, _path: &TreePath) -> bool {
        false
    }

    /// Whether code names what is in a directory without the directory: modules are looked for there.
    fn is_searched(&self, _directory: &TreePath) -> bool {
        false
    }

    /// Whether source code may list directories, the names in which it need not have, with what is in them.
    fn may_list(&self, _content: &[u8]) -> bool {
        false
    }

    /// What the code at a path refers to in the tree. Parts of the code for which `is_wanted` does not hold may be passed over.
    fn references(&self, path: &TreePath, content: &[u8], is_wanted: &dyn Fn(&str) -> bool) -> Vec<Reference>;
}

/// How often source code is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Once: nothing of it is held.
    Once,
    /// Again with other wants: what is read of it is held.
    Again,
}

/// What was read of source files that are asked about again, by their paths. It depends on nothing but their contents.
pub(super) struct Remembered<T>(Option<Mutex<HashMap<TreePath, T>>>);

impl<T: Default> Remembered<T> {
    pub(super) fn new(asked: Asked) -> Self {
        Self((asked == Asked::Again).then(Mutex::default))
    }

    /// Calls a function with what was read of a file; `None` if nothing is held.
    pub(super) fn with<R>(&self, path: &TreePath, read: impl FnOnce(Option<&mut T>) -> R) -> R {
        let Some(files) = &self.0 else { return read(None) };
        let files = || files.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out meanwhile, so that other files can be read: who asks for the same file at the same time reads it, too.
        let mut known = files().remove(path).unwrap_or_default();
        let result = read(Some(&mut known));
        files().insert(path.clone(), known);
        result
    }
}

/// What source code refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// A file or directory of the tree.
    pub to: TreePath,
    /// Whether the language loads it as code; otherwise the code has its path.
    pub is_import: bool,
    /// What is written.
    pub text: String,
    /// The line, counted from 1; `None` in what is not a text.
    pub line: Option<usize>,
}

impl Reference {
    /// What a literal in code refers to.
    pub(super) fn by_literal(to: TreePath, is_import: bool, literal: &Literal) -> Self {
        Self {
            to,
            is_import,
            text: literal.text.clone(),
            line: Some(literal.line),
        }
    }

    /// What a path refers to that code puts together from its own place.
    pub(super) fn by_place(to: TreePath, is_import: bool, place: &Place) -> Self {
        Self {
            to,
            is_import,
            text: place.text.clone(),
            line: Some(place.line),
        }
    }
}

/// The libraries that a file opens by name, if it is source code.
pub fn openings<'f>(path: &TreePath, file: &'f File) -> Cow<'f, [Opening]> {
    match &file.content {
        Content::Code(openings) => Cow::Borrowed(openings),
        Content::Text(text) => {
            let mut kinds = LANGUAGES.iter().filter_map(|language| language.code());
            let is_of =
                |kind: &CodeKind| kind.runs(text) || kind.endings.iter().any(|end| path.as_str().ends_with(end));
            Cow::Owned(kinds.find(is_of).map(|kind| (kind.opens)(text)).unwrap_or_default())
        }
        _ => Cow::Borrowed(&[]),
    }
}
