//! Whatever a zip's bytes are: checking it ends, with a report.

#![no_main]

use std::io::Write;

use lambdar_prune::check::{judge, read_zips};
use lambdar_prune::progress::Silent;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::size::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = tempfile::NamedTempFile::new() else {
        return;
    };
    if file.write_all(bytes).is_err() {
        return;
    }
    let paths = [file.path().to_owned()];
    if let (Ok(layers), Ok(runtime)) = (
        read_zips(&paths, Bytes(64 << 20), &Silent),
        Runtime::load(DEFAULT, Arch::X86_64),
    ) {
        judge(layers, &runtime, Bytes(0));
    }
});
