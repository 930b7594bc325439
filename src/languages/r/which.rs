//! The `which` of R: `Sys.which` runs it by the path at which R's configure found it, package utils runs `Sys.which` when it
//! is loaded, and Lambda has no `which`. What helps is one of our own, and lines in R's system profile that point
//! `Sys.which` at it.

use super::RHome;
use crate::root::{Location, Root};
use crate::tree::{Content, TreePath};

/// Where the stand-in lies: `/opt/bin` is on every runtime's `PATH`, so that scripts find it, too.
pub const STAND_IN: &str = "bin/which";

/// The stand-in, a shell script.
pub const SCRIPT: &str = include_str!("../../../rules/r-which/which");

const PROFILE_LINES: &str = include_str!("../../../rules/r-which/Rprofile");

/// An R whose `Sys.which` does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// The database of package base.
    pub database: TreePath,
    /// R's system profile, which R reads however it is started (`?Startup`); whether it is there is not said.
    pub profile: TreePath,
    /// The path that `Sys.which` runs, where nothing is.
    pub which: String,
}

/// Every R of the tree that runs a `which` that is neither in the tree nor in the runtime.
pub fn traps(root: Root<'_>) -> Vec<Trap> {
    RHome::all(root.tree)
        .iter()
        .filter_map(|home| {
            let database = home.path.join("library/base/R/base.rdb")?;
            let Content::RBase(Some(which)) = &root.tree.file(&database)?.content else {
                return None;
            };
            let trap = Trap {
                profile: home.path.join("library/base/R/Rprofile")?,
                which: which.clone(),
                database,
            };
            (root.resolve(which).is_err() && !trap.is_defused(root)).then_some(trap)
        })
        .collect()
}

impl Trap {
    /// Whether R's system profile points `Sys.which` at a stand-in that can be run.
    fn is_defused(&self, root: Root<'_>) -> bool {
        let mark = self.mark();
        let pointed = root
            .tree
            .text(&self.profile)
            .is_some_and(|text| text.lines().any(|line| line == mark));
        pointed && has_stand_in(root)
    }

    /// A line that tells what the lines below it do.
    fn mark(&self) -> String {
        format!(
            "## lambdar-prune: Sys.which runs {}, for there is no {}.",
            stand_in(),
            self.which
        )
    }

    /// The system profile with the lines that point `Sys.which` at the stand-in where what it runs is not there. `None` for
    /// a path that cannot stand in a string of R as it is.
    pub fn defused(&self, profile: &str) -> Option<String> {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        self.which.chars().all(plain).then(|| {
            let lines = PROFILE_LINES
                .replace("@MARK@", &self.mark())
                .replace("@WHICH@", &self.which)
                .replace("@STAND_IN@", &stand_in());
            format!("{profile}{lines}")
        })
    }
}

/// Whether something that can be run lies where the stand-in belongs.
pub fn has_stand_in(root: Root<'_>) -> bool {
    match root.resolve(&stand_in()) {
        Ok(Location::Tree(path)) => root.tree.file(&path).is_some_and(|file| file.mode.is_executable()),
        Ok(Location::Runtime(_)) => true,
        Err(_) => false,
    }
}

fn stand_in() -> String {
    format!("{}/{STAND_IN}", crate::tree::path::LAYER_ROOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_name_both_paths_and_only_plain_ones_are_written_into_code() {
        let trap = |which: &str| Trap {
            database: TreePath::root(),
            profile: TreePath::root(),
            which: which.to_owned(),
        };
        let text = trap("/usr/bin/which").defused("T <- TRUE\n").unwrap();
        assert!(text.starts_with("T <- TRUE\n\n## lambdar-prune: "), "{text}");
        assert!(text.contains("built <- \"/usr/bin/which\"\n"), "{text}");
        assert!(text.contains("stand_in <- \"/opt/bin/which\"\n"), "{text}");
        assert!(!text.contains('@'), "{text}");
        for hostile in ["/a\"); q(\"/which", "/a\\/which", "/a\n/which", "/\u{e9}/which"] {
            assert_eq!(trap(hostile).defused(""), None, "{hostile}");
        }
    }
}
