//! Packs a directory into layers, without removing anything, and prints their sizes.

#![expect(clippy::print_stdout, reason = "a program")]

use std::path::PathBuf;

use lambdar_prune::loader::LoadedTree;
use lambdar_prune::pack::{Input, Options, pack};
use lambdar_prune::plan::{self, Context, plan};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::Root;
use lambdar_prune::rules::{Matcher, RuleSelection, RuleSet};
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::scan::scan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(directory), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: pack DIRECTORY OUTPUT".into());
    };
    let scan = scan(&directory, &Silent)?;
    let runtime = Runtime::load(DEFAULT, Arch::X86_64)?;
    let loaded = LoadedTree::of(Root {
        tree: &scan.tree,
        runtime: &runtime,
    });
    let everything = RuleSelection {
        keep: vec!["**".to_owned()],
        ..RuleSelection::default()
    };
    let rules = Matcher::new(&RuleSet::built_in()?, &[everything], &loaded)?;
    let context = Context::without_files(&runtime, &rules);
    let plan = plan(&loaded, &context, &plan::Options::default())?;
    let input = Input {
        directory: &directory,
        scan: &scan,
        plan: &plan,
        runtime: &runtime,
        what_if: None,
    };
    let packed = pack(&input, &Options::new(output), &Silent)?;
    for layer in &packed.manifest.layers {
        println!(
            "{}: {} zipped, {} unzipped",
            layer.file, layer.zipped_bytes, layer.unzipped_bytes
        );
    }
    Ok(())
}
