//! How handlers of a language are started: by the runtimes of AWS, and by the files of a runtime of one's own.

use crate::tree::{GeneratedFile, TreePath};

/// How a runtime that AWS provides for a language starts handlers, as far as it can be done with another interpreter of the
/// same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedRuntime {
    /// The version that the interpreter has to have, as its own program reports it.
    pub version: String,
    /// Names of the interpreter's program, the most precise one first.
    pub programs: Vec<String>,
    /// Arguments with which it prints a JSON object: `version`, its own `program` and, if it has one, the directory of its
    /// standard library as `library`.
    pub report: &'static [&'static str],
    /// Directories of the standard library that are left out: what is installed there is not the runtime's.
    pub left_out: &'static [&'static str],
    /// Where the standard library is in /var/lang.
    pub library: Option<String>,
    /// The client of the Runtime API: its file name in /var/runtime, and its text.
    pub client: (&'static str, &'static str),
    /// A module of the standard library that every process of the interpreter loads first, where it is noted which files a
    /// function uses: its file name and its text. A language needs one if it looks for something without asking for it.
    pub module_if_traced: Option<(&'static str, &'static str)>,
    /// Variables that the runtime's own start script sets.
    pub variables: Vec<(&'static str, String)>,
    /// How to get such an interpreter.
    pub how_to_get: String,
    /// What the runtime has besides and this does not.
    pub lacks: Option<&'static str>,
}

/// Files that make a runtime of an interpreter in the tree.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The directory of the interpreter.
    pub home: TreePath,
    /// The files, the start script first.
    pub files: Vec<GeneratedFile>,
}

/// Why a bootstrap has no interpreter that it could start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoInterpreter(pub String);
