//! What a plan does about traps that Lambda has for the tree as it is.

use super::{MadeFile, Plan};
use crate::languages::r::which;
use crate::root::Root;
use crate::runtime::Runtime;
use crate::tree::{Mode, TreePath};

/// The name under which the manifest has what is changed for the `which` of R.
const R_WHICH: &str = "r-which";

impl Plan {
    /// Makes R's `Sys.which` work where the runtime has no `which`: a stand-in comes in, and R's system profile points at it.
    /// An R whose profile is not there or cannot be read as text is left as it is, for `check` to report.
    pub fn repair(&mut self, runtime: &Runtime) {
        for trap in which::traps(Root {
            tree: &self.kept,
            runtime,
        }) {
            let profile = self.kept.file(&trap.profile);
            // A text of another length than the file had bytes that are no UTF-8: written back it would not be the same.
            let text = profile.and_then(|file| file.content.text().filter(|text| text.len() as u64 == file.bytes.0));
            let (Some(text), Some(stand_in)) =
                (text.and_then(|text| trap.defused(text)), TreePath::new(which::STAND_IN))
            else {
                continue;
            };
            if !which::has_stand_in(Root {
                tree: &self.kept,
                runtime,
            }) {
                if self.kept.contains(&stand_in) {
                    continue;
                }
                let file = MadeFile {
                    path: stand_in,
                    mode: Mode::EXECUTABLE,
                    text: which::SCRIPT.to_owned(),
                };
                self.add(&file, vec![trap.database.clone()]);
            }
            self.change(&trap.profile, R_WHICH, &text);
        }
    }
}
