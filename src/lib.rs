//! lambdar-prune: from a runtime built under /opt to AWS Lambda layers that fit and run.
//!
//! ```text
//! directory ─scan→ Tree ─plan→ Plan ─pack→ zips + layers.json
//!                    └─resolve→ Graph            └─check→ findings
//! ```
//!
//! Five doors lead in; `examples/` has a short program for each:
//!
//! * [`scan::scan`] reads a directory into a [`tree::Tree`], plain data that everything else is decided on.
//! * [`loader::graph`] resolves what each object of a tree needs, as ld.so does on a Lambda [`runtime`].
//! * [`plan::plan`] decides what is kept, removed, added and repaired, by [`rules`].
//! * [`pack::pack`] strips, compresses and distributes what is kept over the fewest zips, with a [`manifest`].
//! * [`check::read`] and [`check::judge`] say what is wrong with zips or a tree, as [`finding`]s.
//!
//! What holds everywhere:
//! * Reading and writing happens in [`scan`], [`host`], [`pack`], [`check`], and the readers of rules and runtimes. Everything
//!   between them is a pure function over plain data.
//! * The library never prints; how far it is goes through [`progress`].
//! * The same tree and options give the same bytes, whatever the number of threads.
//! * Nothing read from a tree or a zip is trusted: it may end in an error, never in a panic.
//! * Every removed path names the rule that removed it, and every added one the objects that need it.

pub mod capture;
pub mod check;
pub mod day;
pub mod elf;
pub mod finding;
pub mod host;
pub mod licenses;
pub mod loader;
pub mod manifest;
pub mod pack;
pub mod plan;
pub mod platform;
pub mod progress;
pub mod root;
pub mod rules;
pub mod runtime;
pub mod scan;
pub mod size;
pub mod tree;

#[doc(hidden)]
pub mod cli;

mod bootstrap;
mod companions;
mod config;
mod diff;
mod gate;
mod image;
mod inventory;
mod invoke;
mod languages;
mod layer_set;
mod limits;
mod lint;
mod lock;
#[cfg(test)]
mod mutations;
mod nearest;
mod open;
mod opened;
mod provenance;
mod prune;
mod publish;
mod recording;
mod replay;
mod report;
mod sbom;
mod shell;
mod source;
mod timings;
mod toml_file;
mod uses;
