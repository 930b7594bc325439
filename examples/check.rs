//! Checks zips, a directory of zips, or a tree, and prints the findings. It ends with 1 if one of them is an error.

#![expect(clippy::print_stdout, reason = "a program")]

use std::path::PathBuf;
use std::process::ExitCode;

use lambdar_prune::check::{MAX_UNZIPPED, inputs, judge, read};
use lambdar_prune::finding::any_error;
use lambdar_prune::progress::Silent;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::size::Bytes;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let layers = read(&inputs(&paths)?, MAX_UNZIPPED, &Silent)?;
    let report = judge(layers, &Runtime::load(DEFAULT, Arch::X86_64)?, Bytes(0));
    for finding in &report.findings {
        let place = finding.path.as_deref().unwrap_or_default();
        println!("{}[{}] {place}: {}", finding.severity, finding.code, finding.message);
    }
    Ok(if any_error(&report.findings) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
