//! Scans a directory and prints what it has: files, links, sizes and ELF objects.

#![expect(clippy::print_stdout, reason = "a program")]

use std::path::PathBuf;

use lambdar_prune::progress::Silent;
use lambdar_prune::scan::scan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("usage: scan DIRECTORY")?.into();
    let scan = scan(&directory, &Silent)?;
    let totals = scan.tree.totals();
    println!(
        "{} files, {} links, {}",
        totals.files, totals.symlinks, totals.unzipped_bytes
    );
    for (path, object) in scan.tree.objects() {
        println!("{path} needs {}", object.needed.join(", "));
    }
    for problem in &scan.problems {
        println!("cannot be read: {}", problem.path);
    }
    Ok(())
}
