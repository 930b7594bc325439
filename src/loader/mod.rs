//! What glibc's `ld.so` would do on Lambda: which file it takes for each needed library, and why.
//!
//! Nothing is run and nothing is read here: a [`Process`] is followed over a [`Root`](crate::root::Root), which is plain data.
//! A [`LoadedTree`] has every process that a tree can become, each followed once.

mod graph;
mod interpreters;
mod loaded;
mod missing;
mod outdated;
mod search;
mod shadowed;
mod symbols;
mod versions;

pub use crate::languages::loader_settings::BOOTSTRAP;
pub use crate::languages::process::{Process, Processes};
pub use graph::{Followed, Graph, Need, Shadowed, Start};
pub use interpreters::{LinkedInterpreter, linked_interpreters};
pub use loaded::{LoadedTree, graph};
pub use missing::{MissingCause, MissingLibrary, missing_libraries};
pub use outdated::{Bound, BoundProcesses, Moves, Outdated, ProvidedUses, free_name, outdated};
pub use search::{Finder, Loaded, Provided, Rejection, Resolution, Resolved, SearchSource, SearchStep};
pub use shadowed::{ShadowedLibrary, openers_of_shadowed, shadowed_libraries, users_of_shadowed_symbols};
pub use symbols::{SymbolCheck, UndefinedSymbols};
pub use versions::{
    Grade, LooseVersion, TwoCLibraries, VersionProblem, c_libraries, has_version, loose_versions, version_problems,
};
