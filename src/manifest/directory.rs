//! What [`pack`](crate::pack) leaves in an output directory, by its names.
//!
//! ```text
//! R.zip                      a layer that the project names
//! layer-1.zip, layer-2.zip   the other layers
//! layers.json                their manifest
//! .lambdar-prune-Ab3dE6/     a run's unfinished work: it is gone when the run ends, unless it was killed
//!   layers.json              the journal, from when all layers are whole until they are in place
//!   before/                  what was in their place, to be put back if that fails
//! ```

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::{LayerName, MANIFEST_NAME};

/// How the name of a directory of unfinished work begins; random letters and digits follow.
pub(crate) const UNFINISHED: &str = ".lambdar-prune-";
/// How many of them.
const RANDOM: usize = 6;

/// The directory in it of what is being replaced.
pub(crate) const BEFORE: &str = "before";

/// The zip of a layer without a name by its number, from 1 on.
pub(crate) fn numbered_file(number: usize) -> String {
    format!("layer-{number}.zip")
}

/// Whether layers without a name are called so, apart from `.zip`.
pub(super) fn is_number_name(name: &str) -> bool {
    name.strip_prefix("layer-")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a file of that name is one that pack writes as a layer.
pub(crate) fn is_layer_file(file: &str) -> bool {
    file.strip_suffix(".zip")
        .is_some_and(|name| is_number_name(name) || name.parse::<LayerName>().is_ok())
}

/// The unfinished work of runs in an output directory. A link of such a name is none, nor is a directory of anybody but this
/// user and the owner of the output directory, to which others may be able to write.
pub(crate) fn unfinished(output: &Path) -> std::io::Result<Vec<PathBuf>> {
    let trusted = [geteuid().as_raw(), fs_err::metadata(output)?.uid()];
    let mut found = Vec::new();
    for entry in fs_err::read_dir(output)? {
        let entry = entry?;
        let is_name = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(UNFINISHED))
            .is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !is_name || !entry.file_type()?.is_dir() {
            continue;
        }
        match entry.metadata() {
            // The run has ended meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            metadata => {
                if trusted.contains(&metadata?.uid()) {
                    found.push(entry.path());
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether unfinished work was cut short while layers were renamed into place.
pub(crate) fn is_half_in_place(unfinished: &Path) -> bool {
    unfinished.join(MANIFEST_NAME).symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pack_makes_is_taken_for_its_own() {
        for (name, expected) in [
            ("layer-1.zip", true),
            ("layer-12.zip", true),
            ("R.zip", true),
            ("R", false),
            ("R.zip.bak", false),
            ("my layer.zip", false),
            (".zip", false),
        ] {
            assert_eq!(is_layer_file(name), expected, "{name}");
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in [
            ".lambdar-prune-Ab3dE6",
            ".lambdar-prune-notes",
            ".lambdar-prune-Ab3dE6x",
            ".mine",
        ] {
            fs_err::create_dir(at(name)).unwrap();
        }
        fs_err::write(at(".lambdar-prune-file12"), "").unwrap();
        fs_err::os::unix::fs::symlink(at(".mine"), at(".lambdar-prune-link12")).unwrap();
        assert_eq!(unfinished(directory.path()).unwrap(), [at(".lambdar-prune-Ab3dE6")]);
    }
}
