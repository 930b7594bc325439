//! The `which` of R: `Sys.which` runs it by the path at which R's configure found it, package utils runs `Sys.which` when it
//! is loaded, and Lambda has no `which`. What helps is one of our own, and lines in R's system profile that point
//! `Sys.which` at it.

use super::homes;
use crate::finding::{Code, Finding};
use crate::languages::Repair;
use crate::root::{Location, Root};
use crate::tree::{GeneratedFile, Mode, TreePath};

/// The name under which the manifest has what is changed.
pub(super) const R_WHICH: &str = "r-which";

/// Where the stand-in is: `/opt/bin` is on every runtime's `PATH`, so that scripts find it, too.
const STAND_IN: &str = "bin/which";

/// The stand-in, a shell script.
const SCRIPT: &str = include_str!("../../../rules/r-which/which");

const PROFILE_LINES: &str = include_str!("../../../rules/r-which/Rprofile");

/// An R whose `Sys.which` does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trap {
    /// The database of package base.
    pub(super) database: TreePath,
    /// R's system profile, which R reads however it is started (`?Startup`); whether it is there is not said.
    profile: TreePath,
    /// The path that `Sys.which` runs, where nothing is.
    pub(super) which: String,
}

/// Every R of the tree that runs a `which` that is neither in the tree nor in the runtime.
pub(super) fn traps(root: Root<'_>) -> Vec<Trap> {
    homes(root.tree)
        .iter()
        .filter_map(|home| {
            let database = home.join("library/base/R/base.rdb")?;
            let which = root.tree.file(&database)?.content.fact()?;
            let trap = Trap {
                profile: home.join("library/base/R/Rprofile")?,
                which: which.to_owned(),
                database,
            };
            (root.resolve(which).is_err() && !trap.is_defused(root)).then_some(trap)
        })
        .collect()
}

/// Makes `Sys.which` work: the stand-in comes in, and R's system profile points at it. An R whose profile is not there or
/// cannot be read as text is left as it is, and so is one where something else is in the place of the stand-in.
pub(super) fn repairs(root: Root<'_>) -> Vec<Repair> {
    let Some(stand_in) = TreePath::new(STAND_IN) else {
        return Vec::new();
    };
    let added = if has_stand_in(root) {
        Vec::new()
    } else if root.tree.contains(&stand_in) {
        return Vec::new();
    } else {
        vec![GeneratedFile {
            path: stand_in,
            mode: Mode::EXECUTABLE,
            text: SCRIPT.to_owned(),
        }]
    };
    let repair = |trap: Trap| {
        let profile = root.tree.file(&trap.profile)?;
        // A text of another length than the file had bytes that are not UTF-8: written back it would not be the same.
        let text = profile
            .content
            .text()
            .filter(|text| text.len() as u64 == profile.bytes.0)?;
        let words = [
            ("which", trap.which.as_str()),
            ("runtime", &root.runtime.name),
            ("stand_in", STAND_IN),
        ];
        Some(Repair {
            by: R_WHICH,
            text: trap.defused(text)?,
            added: added.clone(),
            finding: Finding::new(Code::RWhichRepaired, &words).at(trap.profile.to_string()),
            path: trap.profile,
            needed_by: trap.database,
        })
    };
    traps(root).into_iter().filter_map(repair).collect()
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
    fn defused(&self, profile: &str) -> Option<String> {
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

/// Whether something that can be run is where the stand-in belongs.
fn has_stand_in(root: Root<'_>) -> bool {
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
