//! Packs a directory into layers, without removing anything, and prints their sizes.

#![expect(clippy::print_stdout, reason = "a program")]

use std::path::PathBuf;

use lambdar_prune::loader::LoadedTree;
use lambdar_prune::manifest::Effort;
use lambdar_prune::pack::{Limits, Options, Previous, Timestamp, pack};
use lambdar_prune::plan::{self, Context, WhatIf, plan};
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
    let context = Context::scanned(&runtime, &rules);
    let plan = plan(&loaded, &context, &plan::Options::default())?;
    let what_if = WhatIf::new(&scan.tree, &rules, &plan.kept, &|each| vec![None; each.len()]);
    let options = Options {
        limits: Limits::DEFAULT,
        output,
        layers: Vec::new(),
        timestamp: Timestamp::EARLIEST,
        strip: true,
        recompress: true,
        effort: Effort::Best,
        previous: Previous::Afresh,
        cache: None,
        rest: None,
        licenses: Vec::new(),
    };
    let packed = pack(&directory, &scan, &plan, &what_if, &runtime, &options, &Silent)?;
    for layer in &packed.manifest.layers {
        println!(
            "{}: {} zipped, {} unzipped",
            layer.file, layer.zipped_bytes, layer.unzipped_bytes
        );
    }
    Ok(())
}
