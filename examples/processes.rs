//! Takes every ELF object of a tree for a program of its own and prints what the loader does with it, in a form that can be held
//! against the loader's own trace: `tests/whole-machine/compare` does.
//!
//! A line each: `= PATH` begins an object, `L PATH` is mapped, `N NAME` is not found, `V VERSION NEEDED-BY` is a version that is
//! not there, `U SYMBOL NEEDED-BY` a symbol that nothing defines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use lambdar_prune::elf::Detail;
use lambdar_prune::loader::{
    Finder, Grade, Graph, Loaded, Need, Process, Provided, Resolution, SymbolCheck, version_problems,
};
use lambdar_prune::progress::Silent;
use lambdar_prune::root::{Location, Root};
use lambdar_prune::runtime::{Arch, Runtime};
use lambdar_prune::scan::scan_in;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: processes TREE RUNTIME LD_LIBRARY_PATH";
    let mut arguments = std::env::args_os().skip(1);
    let mut argument = || arguments.next().ok_or(usage);
    let (folder, runtime, library_path) = (argument()?, argument()?, argument()?);
    let tree = scan_in(&PathBuf::from(folder), Detail::Symbols, &Silent)?.tree;
    let runtime = Runtime::load(&runtime.to_string_lossy(), Arch::X86_64)?;
    let root = Root {
        tree: &tree,
        runtime: &runtime,
    };
    let finder = Finder::new(root);
    let mut symbol_check = SymbolCheck::new(root);
    let mut out = BufWriter::new(io::stdout().lock());
    for (path, _) in tree.objects() {
        let process = Process {
            program: Some(path.on_lambda()),
            plugins: Vec::new(),
            plugin_loader: None,
            library_path: library_path.to_string_lossy().into_owned(),
            preloads: Vec::new(),
            unclear: None,
            called_loader: None,
        };
        let loaded = finder.load(&process);
        writeln!(out, "= {path}")?;
        for line in lines(&mut symbol_check, root, &loaded) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    // What it holds need not be taken apart.
    std::process::exit(0);
}

fn lines(symbol_check: &mut SymbolCheck<'_>, root: Root<'_>, loaded: &[Loaded<'_>]) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> = BTreeSet::new();
    for object in loaded.iter().skip(1) {
        lines.insert(format!("L {}", object.found.path));
    }
    for object in loaded {
        let missing = object
            .needs
            .iter()
            .filter(|(_, provided)| matches!(provided, Provided::Missing(_)));
        // The loader names what it looks for, in which the origin is expanded.
        let (origin, _) = object.found.path.rsplit_once('/').unwrap_or_default();
        lines.extend(missing.map(|(name, _)| format!("N {}", name.replace("$ORIGIN", origin))));
    }
    for problem in version_problems(root, &graph_of(loaded)) {
        if problem.grade == Grade::Fatal {
            lines.insert(format!("V {} /opt/{}", problem.version, problem.object));
        }
    }
    for (path, symbols) in symbol_check.undefined(loaded) {
        lines.extend(symbols.iter().map(|symbol| format!("U {symbol} /opt/{path}")));
    }
    lines
}

/// What one process needs, in the form in which versions are judged.
fn graph_of(loaded: &[Loaded<'_>]) -> Graph {
    let mut needs = BTreeMap::new();
    for object in loaded {
        let Location::Tree(path) = &object.found.place else {
            continue;
        };
        let resolved = object.needs.iter().map(|(name, provided)| Need {
            soname: (*name).to_owned(),
            resolution: match provided {
                Provided::ByObject(number) => Resolution::Found(loaded[*number].found.clone()),
                Provided::ByLoader(found) => Resolution::Found(found.clone()),
                Provided::Missing(steps) => Resolution::Missing(steps.clone()),
            },
        });
        needs.insert(path.clone(), resolved.collect());
    }
    Graph {
        needs,
        ..Graph::default()
    }
}
