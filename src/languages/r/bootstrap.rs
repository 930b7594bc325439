//! The bootstrap that makes a runtime of an R: what Lambda starts, and the code in R that answers events. The files
//! themselves are in `rules/bootstrap`.

use super::homes;
use crate::languages::{Bootstrap, NoInterpreter};
use crate::tree::{GeneratedFile, Mode, Tree, TreePath};

/// The file that Lambda starts (AWS Lambda developer guide, "Building a custom runtime"); the two others are ours.
const FILES: [(&str, Mode, &str); 3] = [
    (
        "bootstrap",
        Mode::EXECUTABLE,
        include_str!("../../../rules/bootstrap/bootstrap"),
    ),
    (
        "lambdar/runtime.R",
        Mode::FILE,
        include_str!("../../../rules/bootstrap/runtime.R"),
    ),
    (
        "lambdar/script.R",
        Mode::FILE,
        include_str!("../../../rules/bootstrap/script.R"),
    ),
];

const NO_R: &str = "there is no R in the tree: a bootstrap is written for a directory that has bin/R and library/base/DESCRIPTION, \
                    as `make install` of R leaves it; is R built elsewhere?";

/// The bootstrap for the only R, or for the one in the directory that was asked for.
pub(super) fn bootstrap(tree: &Tree, asked: Option<&str>) -> Result<Bootstrap, NoInterpreter> {
    let home = home(tree, asked)?;
    Ok(Bootstrap {
        files: files(&home),
        home,
    })
}

/// The R for which the bootstrap is.
fn home(tree: &Tree, asked: Option<&str>) -> Result<TreePath, NoInterpreter> {
    let homes: Vec<TreePath> = homes(tree)
        .into_iter()
        .filter(|home| start_script(home).is_some_and(|script| tree.contains(&script)))
        .collect();
    let known = || homes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(first) = homes.first() else {
        return Err(NoInterpreter(NO_R.to_owned()));
    };
    let Some(asked) = asked else {
        return match homes.len() {
            1 => Ok(first.clone()),
            _ => Err(NoInterpreter(format!(
                "the tree has several Rs, in {}; choose one with --r-home",
                known()
            ))),
        };
    };
    let directory = asked.trim_end_matches('/').trim_start_matches("./");
    let wanted = match directory {
        "" | "." => Some(TreePath::root()),
        _ => TreePath::from_lambda(directory).or_else(|| TreePath::new(directory)),
    };
    wanted.filter(|wanted| homes.contains(wanted)).ok_or_else(|| {
        NoInterpreter(format!(
            "there is no R in {asked} of the tree; it has one in {}",
            known()
        ))
    })
}

fn start_script(home: &TreePath) -> Option<TreePath> {
    home.join("bin/R")
}

/// The files that make a runtime of the R in this directory, sorted by path.
fn files(home: &TreePath) -> Vec<GeneratedFile> {
    let r = start_script(home).map(|script| script.on_lambda()).unwrap_or_default();
    FILES
        .into_iter()
        .filter_map(|(path, mode, text)| {
            Some(GeneratedFile {
                path: TreePath::new(path)?,
                mode,
                text: text
                    .replace("@R@", &quoted(&r))
                    .replace("@VERSION@", env!("CARGO_PKG_VERSION")),
            })
        })
        .collect()
}

/// A word of a shell script that stands for exactly this text (POSIX.1-2017, section 2.2.2).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::inspector;
    use crate::shell;

    fn tree(files: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in files {
            let file = GeneratedFile {
                path: TreePath::new(path).unwrap(),
                mode: Mode::EXECUTABLE,
                text: String::new(),
            };
            tree.insert(file.path.clone(), file.entry(inspector()));
        }
        tree
    }

    #[test]
    fn the_r_is_found_or_asked_for() {
        let one = tree(&["R/lib/R/bin/R", "R/lib/R/library/base/DESCRIPTION"]);
        let several = tree(&[
            "a/bin/R",
            "a/library/base/DESCRIPTION",
            "b/bin/R",
            "b/library/base/DESCRIPTION",
            // Not one that can be started by its script.
            "c/bin/exec/R",
            "c/library/base/DESCRIPTION",
        ]);
        let found = |tree: &Tree, asked| home(tree, asked).map(|home| home.to_string());
        assert_eq!(found(&one, None).unwrap(), "R/lib/R");
        for asked in ["R/lib/R", "R/lib/R/", "./R/lib/R", "/opt/R/lib/R"] {
            assert_eq!(found(&one, Some(asked)).unwrap(), "R/lib/R");
        }
        assert_eq!(found(&several, Some("b")).unwrap(), "b");
        let message = |tree, asked| found(tree, asked).unwrap_err().to_string();
        assert_eq!(
            message(&several, None),
            "the tree has several Rs, in a, b; choose one with --r-home"
        );
        assert_eq!(
            message(&several, Some("c")),
            "there is no R in c of the tree; it has one in a, b"
        );
        assert!(message(&tree(&["bin/python3"]), None).starts_with("there is no R in the tree"));
        let at_top = tree(&["bin/R", "library/base/DESCRIPTION"]);
        assert_eq!(home(&at_top, Some(".")).unwrap(), TreePath::root());
        assert_eq!(home(&at_top, Some("/opt")).unwrap(), TreePath::root());
    }

    #[test]
    fn the_start_script_is_filled_in_and_needs_what_every_runtime_has() {
        let files = files(&TreePath::new("it's R").unwrap());
        let bootstrap = &files[0];
        assert!(bootstrap.text.starts_with("#!/bin/sh\n") && !bootstrap.text.contains(['\r', '@']));
        assert!(
            bootstrap.text.contains(r"R='/opt/it'\''s R/bin/R'"),
            "{}",
            bootstrap.text
        );
        assert_eq!(
            shell::commands(&bootstrap.text).into_iter().collect::<Vec<_>>(),
            ["curl"]
        );
        for file in &files {
            assert!(file.text.is_ascii(), "{} is read in any locale", file.path);
        }
    }
}
