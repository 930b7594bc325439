//! lambdar-prune: from a runtime built under /opt to AWS Lambda layers that fit and run.
//!
//! ```text
//! folder ─scan→ Tree ─loader→ Graph ─rules→ plan::Plan ─pack→ zips + layers.json
//!                                                             check ← zips or a folder
//! ```
//!
//! [`tree`] holds a tree as plain data, with the ELF objects that [`elf`] read in it. [`root`] lays it over a [`runtime`],
//! and [`loader`] says what ld.so would do there. [`rules`] and [`plan`] decide what goes, what stays and what comes in.
//! [`pack`] compresses, distributes and writes; [`check`] reads layers or a tree and says what is wrong with them.
//! [`gate`] is what a project demands beyond that, and [`inventory`] and [`diff`] say what has changed between two builds.
//! [`prune`] carries a plan out on the tree itself, and back. [`invoke`] runs a handler on layers. [`config`] is what a
//! project wants of every run.
//! [`report`] turns results into tables and JSON. [`languages`] has a room for each language, and [`bootstrap`] makes a Lambda runtime of R.
//!
//! What holds everywhere:
//! * Only [`scan`], [`host`], [`pack`], [`check`], [`inventory`], [`prune`], [`bootstrap`], [`publish`], [`invoke`] and the
//!   readers of rules, runtimes and configurations touch files, and [`prune`] and [`bootstrap`] alone change a tree.
//!   Everything between them is a pure function over plain data.
//! * The library never prints; how far it is goes through [`progress`].
//! * The same tree and options give the same bytes, whatever the number of threads.
//! * Nothing read from a tree or a zip is trusted: it may end in an error, never in a panic.
//! * Whatever is left out names the rule that took it, and whatever comes in the objects that need it.

pub mod bootstrap;
pub mod check;
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod diff;
pub mod elf;
pub mod finding;
pub mod gate;
pub mod host;
pub mod inventory;
pub mod invoke;
pub mod languages;
pub mod limits;
pub mod lint;
pub mod loader;
pub mod manifest;
pub mod nearest;
pub mod pack;
pub mod plan;
pub mod progress;
pub mod prune;
pub mod publish;

pub mod report;
pub mod root;
pub mod rules;
pub mod runtime;
pub mod scan;
pub mod shell;
pub mod size;
pub mod toml_file;
pub mod tree;
pub mod uses;
