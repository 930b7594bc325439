//! ELF files: what the dynamic loader reads of them.

mod buffer;
mod directories;
mod image;
mod lower;
#[cfg(test)]
mod mutation;
mod notes;
mod object;
mod opened;
mod patch;
mod rename;
mod source;
pub mod strip;
mod symbol_count;
mod symbols;
mod tables;
mod versions;
mod view;

pub use directories::directories_in;
pub use image::ElfError;
pub use lower::{Blocked, LowerError, Lowered, Older, OlderSymbols, RebindPlan, Rebound, lower, rebind_plan};
pub use notes::{DlopenNote, PackageNote, Priority};
pub use object::{Class, Detail, Kind, MAGIC, Machine, Object, System, is_core, parse, parse_in, parse_with_symbols};
pub use opened::names_in;
pub use patch::Patch;
pub use rename::{Names, RenameError, private_name, rename_libraries};
pub use source::{FileSource, Source};
pub use symbols::{Symbols, Tell, Undefined};
pub use versions::{NAMED, VersionNeed};
pub use view::VerifyError;
