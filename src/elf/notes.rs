//! Notes by which an object says what it may open with dlopen (UAPI.12, "ELF dlopen metadata") and of which package it is
//! (UAPI.11, "Package metadata for executable files").

use serde::Deserialize;

use super::image::Image;

/// The notes' owner and types.
const OWNER: &[u8] = b"FDO\0";
const DLOPEN: u32 = 0x407c_0c0a;
const PACKAGE: u32 = 0xcafe_1a7e;

/// How much depends on the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Without it the object does not work.
    Required,
    /// Without it a part of it does not work.
    #[default]
    Recommended,
    /// It is of little use to most.
    Suggested,
}

/// One thing that an object may open at run time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DlopenNote {
    /// The names that it tries; the first that is found is taken.
    pub soname: Vec<String>,
    /// What it is for, in a word.
    #[serde(default)]
    pub feature: String,
    /// How much depends on it.
    #[serde(default)]
    pub priority: Priority,
}

/// The package of a distribution that an object was built for: section `.note.package`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PackageNote {
    /// The kind of package, such as `deb` or `rpm`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its name; with some distributions, that of the source package.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Its architecture.
    #[serde(default)]
    pub architecture: String,
    /// The distribution: `ID` of os-release(5).
    #[serde(default)]
    pub os: String,
    /// Its release: `VERSION_ID` of os-release(5).
    #[serde(rename = "osVersion", default)]
    pub os_version: String,
}

impl PackageNote {
    /// How long its texts are together, in bytes.
    pub(super) fn bytes(&self) -> usize {
        [
            &self.kind,
            &self.name,
            &self.version,
            &self.architecture,
            &self.os,
            &self.os_version,
        ]
        .into_iter()
        .map(String::len)
        .sum()
    }
}

/// What the notes of an object say.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) dlopen: Vec<DlopenNote>,
    pub(super) package: Option<PackageNote>,
}

/// Reads the notes of an object. A note that does not parse is passed over, as the loader does with all of them.
pub(super) fn notes(image: &Image<'_>) -> Notes {
    let mut found = Notes::default();
    for notes in image.notes() {
        let notes = notes.as_slice();
        let mut at = 0;
        // Elf64_Nhdr: the lengths of owner and description and the type (u32 each), then both, each padded to 4 bytes.
        while let (Some(owner_length), Some(length), Some(kind)) = (
            image.word(notes, at),
            image.word(notes, at + 4),
            image.word(notes, at + 8),
        ) {
            let owner_start = at + 12;
            let Some((start, end)) = description(owner_start, owner_length, length) else {
                break;
            };
            let Some(bytes) = notes.get(start..end) else { break };
            let owner = notes.get(owner_start..owner_start + owner_length as usize);
            if owner == Some(OWNER) {
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                match kind {
                    DLOPEN => found
                        .dlopen
                        .extend(serde_json::from_slice::<Vec<DlopenNote>>(text).unwrap_or_default()),
                    PACKAGE => found.package = found.package.or_else(|| serde_json::from_slice(text).ok()),
                    _ => {}
                }
            }
            at = end.next_multiple_of(4);
        }
    }
    found
}

fn description(owner_start: usize, owner_length: u32, length: u32) -> Option<(usize, usize)> {
    let owner_end = owner_start.checked_add(owner_length as usize)?;
    let start = owner_end.checked_next_multiple_of(4)?;
    Some((start, start.checked_add(length as usize)?))
}
