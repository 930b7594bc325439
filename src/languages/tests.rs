//! A language that nobody has: what it takes to add one.

use super::components::Components;
use super::process::Processes;
use super::*;
use crate::loader::{LoadedTree, Resolution};
use crate::runtime::{Arch, DEFAULT, Runtime};
use crate::size::Bytes;
use crate::tree::content::{Keep, TEXT_LIMIT};
use crate::tree::{Entry, File, Mode};

/// Its packages are directories with a file `toy.pkg` that holds their name; `bin/toy` opens the `*.so` in them with
/// `/opt/toy/lib` in front on the search path.
struct Toy;

impl Language for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn kept_files(&self) -> &'static [KeptFile] {
        &[KeptFile {
            name: "toy.pkg",
            limit: TEXT_LIMIT,
            keep: Keep::Text,
        }]
    }

    fn packages(&self, tree: &Tree) -> Vec<Package> {
        let manifests = tree.files().filter(|(path, _)| path.file_name() == "toy.pkg");
        manifests
            .filter_map(|(path, file)| {
                let name = file.content.text()?.trim().to_owned();
                Some(Package::new("toy", name, path.parent()?, path.clone()))
            })
            .collect()
    }

    fn interpreters(&self, tree: &Tree) -> Vec<Interpreter> {
        let modules = tree.objects().map(|(path, _)| path.clone());
        let program = TreePath::new("bin/toy");
        vec![Interpreter {
            name: "Toy".to_owned(),
            directory: TreePath::root(),
            start: program.clone(),
            module_loader: None,
            object_directories: Vec::new(),
            variables: vec![("LD_LIBRARY_PATH", "/opt/toy/lib".to_owned())],
            settings: None,
            own_native_modules: modules.filter(|path| path.file_name().contains(".so")).collect(),
            loaded: Vec::new(),
            program,
        }]
    }
}

#[test]
fn a_language_is_one_implementation_and_one_line_in_a_list() {
    let languages: &[&dyn Language] = &[&Toy];
    let inspector = inspector_for(languages);
    let testdata = |name: &str| fs_err::read(format!("{}/testdata/opt/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let library = testdata("lib/libchain.so.1");
    let mut tree = Tree::default();
    for (path, bytes) in [
        ("toy/a/toy.pkg", b"alpha\n".to_vec()),
        ("toy/a/native.so", testdata("lib/libbundled.so.1.2.3")),
        ("toy/lib/libchain.so.1", library.clone()),
        ("lib/libchain.so.1", library),
        ("bin/toy", b"#!/bin/sh\n".to_vec()),
    ] {
        let path = TreePath::new(path).unwrap();
        let file = File {
            bytes: Bytes(bytes.len() as u64),
            mode: Mode::EXECUTABLE,
            content: inspector.inspect(path.file_name(), &bytes),
        };
        tree.insert(path, Entry::File(file));
    }
    let module = TreePath::new("toy/a/native.so").unwrap();
    assert_eq!(Components::with(&tree, languages).name(&module), "alpha");
    let runtime = Runtime::load(DEFAULT, Arch::X86_64).unwrap();
    let root = Root {
        tree: &tree,
        runtime: &runtime,
    };
    // The module is followed in the interpreter's environment, and is not taken for a library that nothing needs.
    let found = |languages| {
        let graph = LoadedTree::with(Processes::with(root, languages)).into_graph();
        let need = &graph.needs[&module][0];
        let Resolution::Found(found) = &need.resolution else {
            panic!("{need:?}")
        };
        (found.path.clone(), graph.unneeded.contains(&module))
    };
    assert_eq!(found(languages), ("/opt/toy/lib/libchain.so.1".to_owned(), false));
    assert_eq!(found(&[]), ("/opt/lib/libchain.so.1".to_owned(), true));
}
