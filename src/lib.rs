//! lambdar-prune: from a runtime built under /opt to AWS Lambda layers that fit and run.
//!
//! ```text
//! directory ─scan→ Tree ─plan→ Plan ─pack→ zips + layers.json
//!                    └─resolve→ Graph            └─check→ findings
//! ```
//!
//! It has five entry points; `examples/` has a short program for each:
//!
//! * [`scan::scan`] reads a directory into a [`tree::Tree`], plain data that everything else is decided on.
//! * [`loader::graph`] resolves what each object of a tree needs, as ld.so does on a Lambda [`runtime`]. A [`root::Root`] is a
//!   tree at /opt over a runtime, a [`loader::LoadedTree`] one of which the loader's work is done once for all that ask.
//! * [`plan::plan`] decides what is kept, removed, added and repaired, by [`rules`]. Its [`plan::Context`] says where contents
//!   and libraries of the machine come from.
//! * [`pack::pack`] strips, compresses and distributes what is kept over the fewest zips, with a [`manifest`].
//! * [`check::read`] and [`check::judge`] say what is wrong with zips or a tree, as [`finding`]s.
//!
//! From a directory to layers that were checked:
//!
//! ```
//! use lambdar_prune::check::{self, MAX_UNZIPPED, judge};
//! use lambdar_prune::loader::LoadedTree;
//! use lambdar_prune::pack::{self, pack};
//! use lambdar_prune::plan::{self, Context, plan};
//! use lambdar_prune::progress::Silent;
//! use lambdar_prune::root::Root;
//! use lambdar_prune::rules::{Matcher, RuleSet};
//! use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
//! use lambdar_prune::scan::scan;
//! use lambdar_prune::size::Bytes;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let place = tempfile::tempdir()?;
//! let (directory, output) = (place.path().join("opt"), place.path().join("layers"));
//! fs_err::create_dir_all(directory.join("share"))?;
//! fs_err::write(directory.join("bootstrap"), "#!/bin/sh\n")?;
//! fs_err::write(directory.join("share/data.csv"), "1,2\n")?;
//!
//! let scan = scan(&directory, &Silent)?;
//! let runtime = Runtime::load(DEFAULT, Arch::X86_64)?;
//! let loaded = LoadedTree::of(Root { tree: &scan.tree, runtime: &runtime });
//! let rules = Matcher::new(&RuleSet::built_in()?, &[], &loaded)?;
//! let plan = plan(&loaded, &Context::without_files(&runtime, &rules), &plan::Options::default())?;
//! let input = pack::Input { directory: &directory, scan: &scan, plan: &plan, runtime: &runtime, what_if: None };
//! let packed = pack(&input, &pack::Options::new(output.clone()), &Silent)?;
//! assert_eq!(packed.manifest.layers.len(), 1);
//!
//! let layers = check::read(&check::inputs(&[output])?, MAX_UNZIPPED, &Silent)?;
//! let report = judge(layers, &runtime, Bytes(0));
//! // The bootstrap is not executable, which keeps it from starting.
//! assert_eq!(report.findings[0].code.to_string(), "bootstrap-not-executable");
//! # Ok(())
//! # }
//! ```
//!
//! What holds everywhere:
//! * Reading and writing happens at the edges, which DESIGN.md lists: of the entry points, in [`scan`], [`host`], [`capture`], [`pack`]
//!   and [`check`]. Everything between them is a pure function over plain data.
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
