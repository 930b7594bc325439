//! ELF files: what the dynamic loader reads of them.

mod notes;
mod object;
mod versions;

pub use notes::{DlopenNote, Priority};
pub use object::{Class, ElfError, Kind, MAGIC, Machine, Object, parse};
pub use versions::VersionNeed;
