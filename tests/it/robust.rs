//! Nothing that is in a tree may bring the program down.

use lambdar_prune::elf;
use lambdar_prune::loader::{graph, version_problems};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::Root;
use lambdar_prune::runtime::{Arch, DEFAULT, Runtime};
use lambdar_prune::scan::{inspect, scan};
use lambdar_prune::size::Bytes;
use lambdar_prune::tree::{Entry, File, Mode, Tree, TreePath};
use proptest::prelude::*;

use crate::support::{output, testdata};

/// Every ELF file of the test tree, with its path.
fn objects() -> Vec<(TreePath, Vec<u8>)> {
    let tree = testdata("opt");
    let scanned = scan(&tree, &Silent).unwrap().tree;
    scanned
        .objects()
        .map(|(path, _)| (path.clone(), fs_err::read(tree.join(path.as_str())).unwrap()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Flipped bytes, cut files: reading ends with a value or an error, and so does resolving what was read.
    #[test]
    fn damaged_objects_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        thread_local! {
            static OBJECTS: Vec<(TreePath, Vec<u8>)> = objects();
            static RUNTIME: Runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
        }
        let (path, mut bytes) = OBJECTS.with(|objects| which.get(objects).clone());
        for (at, value) in changes {
            // The headers decide most: every second change hits the first 1024 bytes.
            let range = if value % 2 == 0 { bytes.len().min(1024) } else { bytes.len() };
            let at = at.index(range);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut tree = Tree::default();
        let content = inspect(path.file_name(), &bytes);
        tree.insert(path, Entry::File(File { bytes: Bytes(bytes.len() as u64), mode: Mode::new(0o755), content }));
        RUNTIME.with(|runtime| {
            let root = Root { tree: &tree, runtime };
            version_problems(root, &graph(root));
        });
    }
}

/// What is read of this test program is what binutils read of it.
#[test]
fn objects_are_read_as_binutils_do() {
    let program = std::env::current_exe().unwrap();
    let Some(listed) = output("objdump", &["-p", program.to_str().unwrap()]) else {
        return;
    };
    let object = elf::parse(&fs_err::read(&program).unwrap().as_slice())
        .unwrap()
        .unwrap();
    let needed: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("NEEDED"))
        .map(str::trim)
        .collect();
    assert_eq!(object.needed, needed);
    let (_, references) = listed.split_once("Version References:").unwrap();
    let mut expected = Vec::new();
    let mut library = String::new();
    for line in references.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("required from ") {
            library = name.trim_end_matches(':').to_owned();
        } else if line.starts_with("0x") {
            expected.push((library.clone(), line.split_whitespace().last().unwrap().to_owned()));
        }
    }
    let mut read: Vec<(String, String)> = object
        .version_needs
        .iter()
        .map(|need| (need.library.clone(), need.version.clone()))
        .collect();
    expected.sort();
    read.sort();
    assert_eq!(read, expected);
    // Each is asked for by the symbols that nm shows with it.
    let Some(symbols) = output("nm", &["-D", "--with-symbol-versions", program.to_str().unwrap()]) else {
        return;
    };
    for need in &object.version_needs {
        for symbol in &need.symbols {
            assert!(
                symbols.contains(&format!(" {symbol}@{}", need.version)),
                "{symbol}@{}",
                need.version
            );
        }
        assert!(!need.symbols.is_empty(), "{need:?}");
    }
}
