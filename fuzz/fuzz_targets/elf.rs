//! Whatever a file's bytes are: reading it as an ELF object ends, with a value or an error, and so does resolving it.

#![no_main]

use lambdar_prune::loader::{graph, version_problems};
use lambdar_prune::root::Root;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::scan::inspect;
use lambdar_prune::size::Bytes;
use lambdar_prune::tree::{Entry, File, Mode, Tree, TreePath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Tree::default();
    if let Some(path) = TreePath::new("lib/libfuzzed.so.1") {
        let content = inspect(path.file_name(), bytes);
        tree.insert(
            path,
            Entry::File(File {
                bytes: Bytes(bytes.len() as u64),
                mode: Mode::new(0o755),
                content,
            }),
        );
    }
    if let Ok(runtime) = Runtime::load(DEFAULT, Arch::X86_64) {
        let root = Root {
            tree: &tree,
            runtime: &runtime,
        };
        version_problems(root, &graph(root));
    }
});
