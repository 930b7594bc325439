//! ELF files: what the dynamic loader reads of them.

mod image;
mod lower;
mod notes;
mod object;
mod patch;
mod rename;
mod source;
pub mod strip;
mod tables;
mod versions;

pub use image::ElfError;
pub use lower::{Blocked, LowerError, Lowered, Older, OlderSymbols, Outlook, Rebound, lower, outlook};
pub use notes::{DlopenNote, Priority};
pub use object::{Class, Kind, MAGIC, Machine, Object, is_core, parse};
pub use patch::Patch;
pub use rename::{hidden_name, hide_libraries};
pub use source::{FileSource, Source};
pub use versions::{NAMED, VersionNeed};
