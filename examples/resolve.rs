//! Resolves every ELF object of a directory as the loader would on Lambda, and prints what serves each needed library: what
//! `benches/resolve-against-libtree.sh` times.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use lambdar_prune::elf::Detail;
use lambdar_prune::loader::{Resolution, graph};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::Root;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::scan::scan_in;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("usage: resolve DIRECTORY")?.into();
    let tree = scan_in(&directory, Detail::Libraries, &Silent)?.tree;
    let runtime = Runtime::load(DEFAULT, Arch::X86_64)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let graph = graph(Root {
        tree: &tree,
        runtime: &runtime,
    });
    for (path, needs) in &graph.needs {
        writeln!(out, "{path}")?;
        for need in needs {
            let soname = &need.soname;
            match &need.resolution {
                Resolution::Found(found) => writeln!(out, "    {soname} => {} ({})", found.path, found.source.name()),
                Resolution::Missing(searched) => writeln!(out, "    {soname} not found in {} places", searched.len()),
            }?;
        }
    }
    out.flush()?;
    Ok(())
}
