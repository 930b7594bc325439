//! What [`pack`](crate::pack) leaves in an output directory, by its names.
//!
//! ```text
//! layer-1.zip, layer-2.zip   the layers
//! layers.json                their manifest
//! .lambdar-prune-Ab3dE6/     a run's unfinished work: it is gone when the run ends, unless it was killed
//!   layers.json              there as soon as all layers are whole: the run has begun to rename them into place
//!   before/                  what was in their place, to be renamed back if that fails
//! ```

use std::path::{Path, PathBuf};

use super::MANIFEST_NAME;

/// How the name of a directory of unfinished work begins; random letters and digits follow.
pub(crate) const UNFINISHED: &str = ".lambdar-prune-";
/// How many of them.
const RANDOM: usize = 6;

/// The directory in it of what is being replaced.
pub(crate) const BEFORE: &str = "before";

/// The name of a layer by its number, from 1 on.
pub(crate) fn layer_name(number: usize) -> String {
    format!("layer-{number}.zip")
}

/// Whether a file of that name is one that pack writes as a layer.
pub(crate) fn is_layer_name(name: &str) -> bool {
    name.strip_prefix("layer-")
        .and_then(|rest| rest.strip_suffix(".zip"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The unfinished work of runs in an output directory. A link of such a name is none.
pub(crate) fn unfinished(output: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(output)? {
        let entry = entry?;
        let is_name = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(UNFINISHED))
            .is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_name && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether unfinished work was cut short while layers were renamed into place.
pub(crate) fn is_half_in_place(unfinished: &Path) -> bool {
    [unfinished.join(MANIFEST_NAME), unfinished.join(BEFORE)]
        .iter()
        .any(|path| path.symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_pack_makes_is_taken_for_its_own() {
        for (name, expected) in [
            ("layer-1.zip", true),
            ("layer-12.zip", true),
            ("layer-.zip", false),
            ("layer-1.zip.bak", false),
            ("my-layer-1.zip", false),
            ("layer-one.zip", false),
        ] {
            assert_eq!(is_layer_name(name), expected, "{name}");
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
