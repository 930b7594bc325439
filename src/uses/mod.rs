//! Who uses what in a tree: one graph, of which each edge says how the use is known.
//!
//! The nodes are paths. The edges come from finders, one for each way in which a file can use another one: the loader's
//! (`elf`), links, interpreters of scripts, the imports of each language, and paths and names that are written in a file.
//! A rule removes nothing that something kept uses, however the use is known. What only a run would tell counts as used.
//!
//! [`Uses::follow`] starts from what is kept and asks the finders about each path that is reached, once. What nothing kept
//! uses is never looked into.

mod code;
mod commands;
mod graph;
mod libraries;
mod opened;
mod packages;
mod paths;
mod place;
mod scripts;
mod words;
mod written;

use std::fmt;

pub use code::{SourceCode, SourceReaders};
pub use commands::{CalledCommands, NamedCommands};
pub use graph::{Ask, CachedUses, Contents, Uses, uses_of};
pub(crate) use libraries::differences;
pub use libraries::{Companion, NeededLibraries, ShadowedLibraries};
pub use opened::OpenedLibraries;
pub use packages::{InstalledPackages, whole_package};
pub use paths::{RelativePaths, WrittenPaths};
pub use place::{Interpreters, LinkTargets};
pub use scripts::ShellPaths;
pub use written::{Sought, SoughtKind, WrittenNames};

use crate::tree::{Entry, TreePath};

/// One edge of the graph: `from` uses `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What uses it.
    pub from: User,
    /// What is used.
    pub to: Used,
    /// How it is used.
    pub kind: UseKind,
    /// How the use is known.
    pub evidence: Evidence,
}

/// What uses something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// This file, link or package (by its directory) does not work without it.
    Path(TreePath),
    /// The user asked for it, by the option or key of this name.
    Choice(String),
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Choice(name) => f.pad(name),
        }
    }
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Used {
    /// This file, link or directory.
    Path(TreePath),
    /// A directory as a whole, such as a package: rules that remove `marker`, the file without which it is none, do not
    /// apply in it; what other rules remove from it, they remove.
    Directory {
        /// The directory.
        path: TreePath,
        /// The file that makes it what it is, such as the metadata of a package; the directory itself if there is none.
        marker: TreePath,
    },
}

impl Used {
    /// The path of the file or directory.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Path(path) | Self::Directory { path, .. } => path,
        }
    }
}

/// How something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UseKind {
    /// A symbolic link leads to it.
    LinkTarget,
    /// The kernel starts a program or script through it.
    Interpreter,
    /// An ELF object needs it (`DT_NEEDED`).
    Needed,
    /// A process may open it at run time, with dlopen(3) or what calls it.
    Opened,
    /// It defines a symbol or symbol version that the runtime's own library lacks.
    SymbolVersion,
    /// The language of the file imports it, or loads it together with the file.
    Import,
    /// Its path or name is written in the file.
    Path,
    /// The file calls it as a command.
    Command,
    /// It is of no use without the other one, and goes or stays with it: the names of a library, say.
    Companion,
    /// The user asked for it.
    Choice,
    /// A recorded run used it.
    Recorded,
}

impl UseKind {
    /// Whether the one does not work without the other, whatever a run does: the kernel and the loader look for it.
    pub fn is_certain(self) -> bool {
        match self {
            Self::LinkTarget
            | Self::Interpreter
            | Self::Needed
            | Self::SymbolVersion
            | Self::Choice
            | Self::Recorded => true,
            Self::Opened | Self::Import | Self::Path | Self::Command | Self::Companion => false,
        }
    }

    /// The name of this kind in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkTarget => "link",
            Self::Interpreter => "interpreter",
            Self::Needed => "needed",
            Self::Opened => "opened",
            Self::SymbolVersion => "symbol-version",
            Self::Import => "import",
            Self::Path => "path",
            Self::Command => "command",
            Self::Companion => "companion",
            Self::Choice => "choice",
            Self::Recorded => "recorded",
        }
    }
}

/// How a use is known: what is written, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// What is written in the file that uses, as a person would quote it: `libz.so.1`, `import numpy`, `#!/opt/bin/python3`.
    pub text: String,
    /// The line of the file, counted from 1, if it is a text.
    pub line: Option<usize>,
}

impl Evidence {
    /// What is written, without a line.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            line: None,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Something of the tree that is asked what it uses.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Where it is.
    pub path: &'a TreePath,
    /// What is there.
    pub entry: &'a Entry,
    /// All bytes of the file, if a finder asked for them with [`FindUses::reads`] and they could be read.
    pub content: Option<&'a [u8]>,
}

impl Source<'_> {
    /// What is known of the content of a file: all of it, or what a scan keeps of a text.
    pub fn content(&self) -> Option<&[u8]> {
        let Entry::File(file) = self.entry else { return None };
        self.content.or(file.content.text().map(str::as_bytes))
    }

    /// An edge from this path.
    pub fn uses(&self, to: Used, kind: UseKind, evidence: Evidence) -> Use {
        Use {
            from: User::Path(self.path.clone()),
            to,
            kind,
            evidence,
        }
    }
}

/// Finds uses of one kind in one tree.
///
/// A finder knows the whole tree, but says only what the one path that it is asked about uses by itself; what that uses in
/// turn, it is asked about later. Its results depend on nothing else, so that paths can be looked at in parallel.
pub trait FindUses: Sync {
    /// Whether it needs the bytes of the file at a path. Each file is read once for all finders.
    fn reads(&self, _path: &TreePath, _entry: &Entry) -> bool {
        false
    }

    /// What this path uses, in the order in which it should be told.
    fn uses(&self, source: &Source<'_>) -> Vec<Use>;
}
