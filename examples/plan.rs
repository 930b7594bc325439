//! Plans a directory with the built-in rules and prints what each of them removes, and what is added from this machine.

#![expect(clippy::print_stdout, reason = "a program")]

use std::path::PathBuf;

use lambdar_prune::host::HostDirectories;
use lambdar_prune::loader::LoadedTree;
use lambdar_prune::plan::{Context, Options, plan};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::Root;
use lambdar_prune::rules::{Matcher, RuleSet};
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::scan::{copies, reader, scan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("usage: plan DIRECTORY")?.into();
    let tree = scan(&directory, &Silent)?.tree;
    let runtime = Runtime::load(DEFAULT, Arch::X86_64)?;
    let loaded = LoadedTree::of(Root {
        tree: &tree,
        runtime: &runtime,
    });
    let context = Context {
        runtime: &runtime,
        rules: &Matcher::new(&RuleSet::built_in()?, &[], &loaded)?,
        libraries: &HostDirectories::new(&[]),
        contents: &reader(&directory),
        copies: &|tree, wanted| copies(&directory, tree, wanted),
    };
    let plan = plan(&loaded, &context, &Options::default())?;
    for (rule, files, bytes) in plan.dropped_by_rule(&tree) {
        println!("{rule} removes {files} files, {bytes}");
    }
    for added in &plan.added {
        println!("{} is added from {}", added.path, added.from);
    }
    println!("kept: {}", plan.kept.totals().unzipped_bytes);
    Ok(())
}
